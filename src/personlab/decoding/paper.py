"""The paper's decoder: fields -> people, by two engines with one result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float64
from numpy.typing import ArrayLike
from torch import Tensor

from personlab.decoding import batched
from personlab.decoding.base import Decoder, Poses, array, check_options, people_in_image
from personlab.decoding.grouping import group_keypoints, select_walked, walk_orders
from personlab.decoding.hough import hough_maps
from personlab.decoding.masks import embed, person_distances, person_mask
from personlab.decoding.reads import CELL_READS, CellRead
from personlab.decoding.scoring import person_scale, score_keypoints
from personlab.decoding.seeds import Seeds, find_seeds
from personlab.decoding.suppression import best_first, hard_nms, soft_nms_scores
from personlab.errors import InputError
from personlab.geometry.affine import Affine
from personlab.skeleton import COCO, Skeleton
from personlab.structures import Fields, People

Engine = Literal["auto", "numba", "torch"]


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
        hard_nms_oks: float | None = None,
        cell_read: CellRead = "bilinear",
        short_refinements: int = 1,
        segmentation_threshold: float = 0.5,
        mask_distance_threshold: float = 0.25,
        masks: bool = True,
        engine: Engine = "auto",
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
            hard_nms_oks: OKS with a better person above which a person is dropped; None drops nobody. An alternative
                to soft-NMS, for comparisons.
            cell_read: How offsets are read between cells, see `grouping.group_keypoints`.
            short_refinements: How often each keypoint reached along the tree is corrected by the short offsets.
            segmentation_threshold: Smallest probability of a person's pixel.
            mask_distance_threshold: Largest distance of a pixel from its person, relative to the person's scale.
            masks: Whether to make instance masks.
            engine: `numba` decodes on the CPU, image by image; `torch` on the device of the fields, a batch at once;
                both find the same people. `auto` takes torch on a GPU and numba elsewhere.

        Raises:
            InputError: If an option is out of range.
        """
        check_options(
            {"disk_radius_px": disk_radius_px, "hough_grid_px": hough_grid_px, "hard_nms_oks": hard_nms_oks},
            {"seed_threshold": seed_threshold, "nms_radius_px": nms_radius_px, "short_refinements": short_refinements,
             "max_people": max_people},
        )  # fmt: skip
        if cell_read not in CELL_READS:
            raise InputError(f"decoder: cell_read must be one of {', '.join(CELL_READS)}, got {cell_read!r}")
        if engine not in get_args(Engine):
            raise InputError(f"decoder: engine must be one of {', '.join(get_args(Engine))}, got {engine!r}")
        self.skeleton = skeleton
        self.disk_radius_px = disk_radius_px
        self.hough_grid_px = hough_grid_px
        self.seed_threshold = seed_threshold
        self.nms_radius_px = nms_radius_px
        self.max_people = max_people
        self.score_threshold = score_threshold
        self.expected_oks = expected_oks
        self.soft_nms = soft_nms
        self.hard_nms_oks = hard_nms_oks
        self.cell_read: CellRead = cell_read
        self.short_refinements = short_refinements
        self.segmentation_threshold = segmentation_threshold
        self.mask_distance_threshold = mask_distance_threshold
        self.masks = masks
        self.engine: Engine = engine
        self._orders = walk_orders(skeleton)
        self._levels = batched.walk_levels(skeleton)
        self._kappas = 2.0 * np.array(skeleton.sigmas)

    def __call__(
        self, fields: Fields, image_to_crop: Tensor | ArrayLike, image_sizes: Sequence[Sequence[int]] | Tensor
    ) -> list[People]:
        """Decode a batch, see `Decoder`; by the torch engine on the device of the fields, all images at once."""
        on_device = fields.heatmap_logits.device.type == "cuda" if self.engine == "auto" else self.engine == "torch"
        if not on_device:
            return super().__call__(fields, image_to_crop, image_sizes)
        self.check(fields)
        fields = fields.detach().to(fields.heatmap_logits.device, torch.float32)
        matrices = image_to_crop.cpu() if isinstance(image_to_crop, Tensor) else image_to_crop
        batch = zip(
            self._batch_poses(fields), np.asarray(matrices, dtype=np.float64), image_sizes, fields.segmentation[:, 0],
            fields.long_offsets, strict=True,
        )  # fmt: skip
        found = []
        for poses, matrix, size, segmentation, long_offsets in batch:
            masks = None
            if self.masks:
                crop_xy, probabilities = (
                    torch.from_numpy(v).to(segmentation.device) for v in (poses.crop_xy, poses.probabilities)
                )
                masks = batched.person_masks(
                    segmentation, long_offsets, fields.stride, crop_xy, probabilities, matrix,
                    (int(size[0]), int(size[1])), self.segmentation_threshold, self.mask_distance_threshold,
                )  # fmt: skip
            found.append(people_in_image(poses, masks, matrix))
        return found

    def decode_image(self, fields: Fields, image_to_crop: Affine, image_size: tuple[int, int]) -> People:
        """Decode one image, best people first."""
        poses = self._poses(fields)
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
        return people_in_image(poses, masks, image_to_crop)

    def _poses(self, fields: Fields) -> Poses:
        """People of one image, best first, by the numba engine."""
        heatmaps, short_offsets, stride = array(fields.heatmaps), array(fields.short_offsets), fields.stride
        radius_px = self._radius_px(fields)
        votes = hough_maps(heatmaps, short_offsets, stride, self.hough_grid_px, radius_px)
        seeds = find_seeds(votes, self.seed_threshold, self.hough_grid_px)
        crop_xy, _ = group_keypoints(
            seeds, heatmaps, short_offsets, array(fields.mid_offsets), stride, self._orders,
            self.nms_radius_px, self.short_refinements, self.cell_read, self.cell_read,
        )  # fmt: skip
        probabilities, keypoint_scores = score_keypoints(
            crop_xy, heatmaps, stride, votes, self.hough_grid_px, radius_px, self._kappas, self.expected_oks
        )
        return self._best(crop_xy, probabilities, keypoint_scores)

    def _batch_poses(self, fields: Fields) -> list[Poses]:
        """People of each image, best first, by the torch engine: one copy to the host, then the greedy choice there."""
        heatmaps, short_offsets, stride = fields.heatmaps, fields.short_offsets, fields.stride
        radius_px = self._radius_px(fields)
        votes = batched.hough_maps(heatmaps, short_offsets, stride, self.hough_grid_px, radius_px)
        seeds = batched.find_seeds(votes, self.seed_threshold, self.hough_grid_px)
        walk = batched.Walker(
            heatmaps, short_offsets, fields.mid_offsets, stride, self._levels, self.short_refinements, self.cell_read
        )
        walked = walk(seeds)
        kappas = torch.from_numpy(self._kappas).to(walked.device)
        scored = batched.score_keypoints(
            walked, seeds.images, heatmaps, stride, votes, self.hough_grid_px, radius_px, kappas, self.expected_oks
        )
        names = [seeds.images, seeds.scores, seeds.keypoints]
        table = (
            torch.cat([v.double().flatten(1) for v in (torch.stack(names, 1), seeds.xy, walked, *scored)], dim=1)
            .cpu()
            .numpy()
        )
        found = []
        for n in range(len(heatmaps)):
            rows = table[table[:, 0] == n]
            xy, places, probabilities, scores = np.split(rows[:, 3:], np.cumsum([2, 2 * len(kappas), len(kappas)]), 1)
            starts = Seeds(rows[:, 1].astype(np.float32), rows[:, 2].astype(np.int64), np.ascontiguousarray(xy))
            people, used = select_walked(
                starts, np.ascontiguousarray(places).reshape(len(rows), len(kappas), 2), self.nms_radius_px
            )  # fmt: skip
            found.append(
                self._best(people, np.ascontiguousarray(probabilities[used]), np.ascontiguousarray(scores[used]))
            )  # fmt: skip
        return found

    def _radius_px(self, fields: Fields) -> float:
        return fields.disk_radius_px if self.disk_radius_px is None else self.disk_radius_px

    def _best(
        self,
        crop_xy: Float64[np.ndarray, "person keypoint 2"],
        probabilities: Float64[np.ndarray, "person keypoint"],
        keypoint_scores: Float64[np.ndarray, "person keypoint"],
    ) -> Poses:
        """The people to return, best first; equal scores stay in the order in which they were found."""
        scores = keypoint_scores.mean(axis=1)
        if self.soft_nms:
            scores = soft_nms_scores(crop_xy, keypoint_scores, self.nms_radius_px)
        best = best_first(scores)
        if self.hard_nms_oks is not None:
            best = hard_nms(crop_xy, best, self._kappas, self.hard_nms_oks)
        best = best[: self.max_people]
        best = best[(scores[best] >= self.score_threshold) & (scores[best] > 0)]
        return Poses(crop_xy[best], probabilities[best], keypoint_scores[best], scores[best])
