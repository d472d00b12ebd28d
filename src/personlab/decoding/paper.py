"""The paper's decoder: fields -> people, on the CPU."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from personlab.decoding.base import Decoder, array, check_options
from personlab.decoding.grouping import group_keypoints, walk_orders
from personlab.decoding.hough import hough_maps
from personlab.decoding.masks import embed, person_distances, person_mask
from personlab.decoding.reads import CELL_READS, CellRead
from personlab.decoding.scoring import person_scale, score_keypoints, soft_nms_scores
from personlab.decoding.seeds import find_seeds
from personlab.errors import InputError
from personlab.geometry.affine import Affine, apply, invert
from personlab.skeleton import COCO, Skeleton
from personlab.structures import Fields, People


class Poses(NamedTuple):
    """People found in one image, before they leave the frame of the network input."""

    crop_xy: Float64[np.ndarray, "person keypoint 2"]
    probabilities: Float64[np.ndarray, "person keypoint"]
    keypoint_scores: Float64[np.ndarray, "person keypoint"]
    scores: Float64[np.ndarray, " person"]


class PaperDecoder(Decoder):
    """Decode poses and instance masks by the rules of the paper.

    Source: PersonLab, section 3.1 (poses) and 3.2 (masks). Departures are told where the steps are: `hough`, `seeds`,
    `grouping`, `scoring`, `masks`.
    """

    def __init__(
        self,
        skeleton: Skeleton = COCO,
        disk_radius_px: float | None = None,
        hough_grid_px: float = 4.0,
        seed_threshold: float = 0.01,
        nms_radius_px: float = 10.0,
        max_people: int = 20,
        score_threshold: float = 0.0,
        expected_oks: bool = True,
        soft_nms: bool = True,
        cell_read: CellRead = "bilinear",
        short_refinements: int = 1,
        segmentation_threshold: float = 0.5,
        mask_distance_threshold: float = 0.25,
        masks: bool = True,
    ) -> None:
        """Set the options.

        Args:
            skeleton: Keypoints and tree of the fields.
            disk_radius_px: Radius R of the disks, in pixels of the network input; None takes that of the fields, which
                is right unless votes should be weighed and looked up in another radius on purpose.
            hough_grid_px: Pixels between cells of the Hough score maps.
            seed_threshold: Hough score above which a local maximum may start a person.
            nms_radius_px: Keypoints of one type this near are the same one, for seeds and for soft-NMS.
            max_people: People returned of an image.
            score_threshold: People with a lower score are dropped, and always those with none at all.
            expected_oks: Score keypoints by Expected-OKS; otherwise by their heatmap probability.
            soft_nms: Count only keypoints that no better person has; otherwise a person scores the plain mean.
            cell_read: How offsets are read between cells, see `grouping.group_keypoints`.
            short_refinements: How often each keypoint reached along the tree is corrected by the short offsets.
            segmentation_threshold: Smallest probability of a person's pixel.
            mask_distance_threshold: Largest distance of a pixel from its person, relative to the person's scale.
            masks: Whether to make instance masks.

        Raises:
            InputError: If an option is out of range.
        """
        check_options(
            {"disk_radius_px": disk_radius_px, "hough_grid_px": hough_grid_px},
            {"seed_threshold": seed_threshold, "nms_radius_px": nms_radius_px, "short_refinements": short_refinements,
             "max_people": max_people},
        )  # fmt: skip
        if cell_read not in CELL_READS:
            raise InputError(f"decoder: cell_read must be one of {', '.join(CELL_READS)}, got {cell_read!r}")
        self.skeleton = skeleton
        self.disk_radius_px = disk_radius_px
        self.hough_grid_px = hough_grid_px
        self.seed_threshold = seed_threshold
        self.nms_radius_px = nms_radius_px
        self.max_people = max_people
        self.score_threshold = score_threshold
        self.expected_oks = expected_oks
        self.soft_nms = soft_nms
        self.cell_read: CellRead = cell_read
        self.short_refinements = short_refinements
        self.segmentation_threshold = segmentation_threshold
        self.mask_distance_threshold = mask_distance_threshold
        self.masks = masks
        self._orders = walk_orders(skeleton)
        self._kappas = 2.0 * np.array(skeleton.sigmas)

    def decode_image(self, fields: Fields, image_to_crop: Affine, image_size: tuple[int, int]) -> People:
        """Decode one image, best people first."""
        poses = self._best(self._poses(fields))
        masks: list[dict[str, Any]] | None = None
        if self.masks:
            embedding = embed(
                array(fields.segmentation)[0], array(fields.long_offsets), fields.stride, self.segmentation_threshold
            )
            # One person at a time, so that memory does not grow with people times pixels.
            masks = [
                person_mask(
                    embedding.segmentation,
                    person_distances(embedding, person, probabilities, person_scale(person)),
                    fields.stride, image_to_crop, image_size, self.segmentation_threshold, self.mask_distance_threshold,
                )
                for person, probabilities in zip(poses.crop_xy, poses.probabilities, strict=True)
            ]  # fmt: skip
        image_xy = apply(invert(image_to_crop), poses.crop_xy)
        keypoints = np.concatenate([image_xy, poses.keypoint_scores[..., None]], axis=-1)
        return People(keypoints.astype(np.float32), poses.scores.astype(np.float32), masks)

    def _poses(self, fields: Fields) -> Poses:
        """All candidates, in the order in which they were found."""
        heatmaps, short_offsets, stride = array(fields.heatmaps), array(fields.short_offsets), fields.stride
        radius_px = fields.disk_radius_px if self.disk_radius_px is None else self.disk_radius_px
        votes = hough_maps(heatmaps, short_offsets, stride, self.hough_grid_px, radius_px)
        seeds = find_seeds(votes, self.seed_threshold, self.hough_grid_px)
        crop_xy, _ = group_keypoints(
            seeds, heatmaps, short_offsets, array(fields.mid_offsets), stride, self._orders,
            self.nms_radius_px, self.short_refinements, self.cell_read, self.cell_read,
        )  # fmt: skip
        probabilities, keypoint_scores = score_keypoints(
            crop_xy, heatmaps, stride, votes, self.hough_grid_px, radius_px, self._kappas, self.expected_oks
        )
        scores = keypoint_scores.mean(axis=1)
        if self.soft_nms:
            scores = soft_nms_scores(crop_xy, keypoint_scores, self.nms_radius_px)
        return Poses(crop_xy, probabilities, keypoint_scores, scores)

    def _best(self, poses: Poses) -> Poses:
        """The people to return, best first; equal scores stay in the order in which they were found."""
        scores = poses.scores
        best = np.argsort(-scores, kind="stable")[: self.max_people]
        best = best[(scores[best] >= self.score_threshold) & (scores[best] > 0)]
        return Poses(*(values[best] for values in poses))
