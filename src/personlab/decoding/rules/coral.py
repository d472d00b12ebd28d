"""The decoder of the paper's authors for edge devices: bilinear reads, soft-NMS, masks shared out by cell."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int32
from numba import njit
from numpy.typing import NDArray

from personlab.decoding.base import Decoder, Poses, array, check_options, people_in_image
from personlab.decoding.grouping import is_taken, remember, walk, walk_orders
from personlab.decoding.reads import READS, follow
from personlab.decoding.rules.cells import LOGIT_LIMIT, cell_seeds, label_rles
from personlab.decoding.suppression import soft_nms_scores
from personlab.geometry.affine import Affine
from personlab.geometry.kernels import bilinear_at
from personlab.skeleton import COCO, Skeleton
from personlab.structures import Fields, People

CLAMPED = READS.index("clamped")


class CoralDecoder(Decoder):
    """Decode poses and instance masks as the released C++ decoder for edge devices does.

    Source: released decoder of the paper's authors. Departures: the backward edge 0 is read from its own offsets,
    where the released code reads two others; a mask is cut by the segmentation, which it leaves to its caller.
    """

    def __init__(
        self,
        skeleton: Skeleton = COCO,
        max_people: int = 10,
        score_threshold: float = 0.5,
        nms_radius_px: float = 10.0,
        short_refinements: int = 5,
        long_refinements: int = 2,
        segmentation_threshold: float = 0.5,
        masks: bool = True,
    ) -> None:
        """Set the options.

        Args:
            skeleton: Keypoints and tree of the fields.
            max_people: Stop after so many people.
            score_threshold: Smallest heatmap probability of a seed, and smallest score of a person, before soft-NMS and
                after it.
            nms_radius_px: Keypoints of one type this near are the same one, for seeds and for soft-NMS.
            short_refinements: How often each keypoint reached along the tree is corrected by the short offsets.
            long_refinements: How often the long offsets are followed after the first time.
            segmentation_threshold: Smallest probability of a person's pixel.
            masks: Whether to make instance masks.

        Raises:
            InputError: If an option is out of range.
        """
        check_options({}, {"max_people": max_people, "nms_radius_px": nms_radius_px,
                           "short_refinements": short_refinements, "long_refinements": long_refinements})  # fmt: skip
        self.skeleton = skeleton
        self.max_people = max_people
        self.score_threshold = score_threshold
        self.nms_radius_px = nms_radius_px
        self.short_refinements = short_refinements
        self.long_refinements = long_refinements
        self.segmentation_threshold = segmentation_threshold
        self.masks = masks
        self._orders = walk_orders(skeleton)

    def decode_image(self, fields: Fields, image_to_crop: Affine, image_size: tuple[int, int]) -> People:
        """Decode one image, best people first."""
        poses = self.poses(fields)
        masks = None
        if self.masks:
            masks = label_rles(self.label_map(fields, poses), image_to_crop, image_size, len(poses.scores))
        return people_in_image(poses, masks, image_to_crop)

    def poses(self, fields: Fields) -> Poses:
        """People of one image, best first."""
        stride = fields.stride
        logits = np.clip(array(fields.heatmap_logits), -LOGIT_LIMIT, LOGIT_LIMIT)
        heatmaps, short_offsets = array(fields.heatmaps), array(fields.short_offsets)
        seeds = cell_seeds(heatmaps, short_offsets, stride, self.score_threshold)
        limits = (np.array(logits.shape[:0:-1]) - 1) * stride
        candidates = np.empty((min(self.max_people, len(seeds.scores)), len(logits), 2))
        candidate_scores = np.empty(candidates.shape[:2])
        count = _group_scored(
            seeds.keypoints, np.clip(seeds.xy, 0.0, limits), heatmaps, logits, short_offsets, array(fields.mid_offsets),
            stride, self._orders, self.nms_radius_px, self.short_refinements, self.score_threshold,
            candidates, candidate_scores,
        )  # fmt: skip
        crop_xy, keypoint_scores = candidates[:count], candidate_scores[:count]
        scores = soft_nms_scores(crop_xy, keypoint_scores, self.nms_radius_px)
        order = np.argsort(-scores, kind="stable")
        order = order[scores[order] >= self.score_threshold]
        return Poses(crop_xy[order], keypoint_scores[order], keypoint_scores[order], scores[order])

    def label_map(self, fields: Fields, poses: Poses) -> Int32[np.ndarray, "height width"]:
        """Which person each pixel of the network input belongs to, counted from 0; -1 for nobody.

        Each cell belongs to the person at the smallest sum of squared distances; a pixel has the person of its nearest
        cell, if its interpolated segmentation is probable enough.
        """
        logits = array(fields.segmentation_logits)[0]
        cells = np.empty(logits.shape, dtype=np.int32)
        _share_out_cells(array(fields.long_offsets), fields.stride, poses.crop_xy, self.long_refinements, cells)
        height, width = ((n - 1) * fields.stride + 1 for n in logits.shape)
        labels = np.empty((height, width), dtype=np.int32)
        _enlarge(
            cells, np.clip(logits, -LOGIT_LIMIT, LOGIT_LIMIT), fields.stride, self.segmentation_threshold, labels
        )  # fmt: skip
        return labels


@njit(cache=True, nogil=True)
def _group_scored(
    seed_keypoints: NDArray[np.int64],
    seed_xy: NDArray[np.float64],
    heatmaps: NDArray[np.float32],
    logits: NDArray[np.float32],
    short_offsets: NDArray[np.float32],
    mid_offsets: NDArray[np.float32],
    stride: int,
    orders: NDArray[np.int64],
    nms_radius_px: float,
    short_refinements: int,
    score_threshold: float,
    people: NDArray[np.float64],
    scores: NDArray[np.float64],
) -> int:
    """Write people that score at least `score_threshold` and the scores of their keypoints; returns how many.

    Those that score less are forgotten: their keypoints do not stand in the way of later seeds.
    """
    count = 0
    keypoints = len(heatmaps)
    places = np.empty((keypoints, 2, len(people)))
    for n in range(len(seed_keypoints)):
        k = seed_keypoints[n]
        x, y = seed_xy[n]
        if count == len(people):
            break
        if is_taken(places[k], count, x, y, nms_radius_px):
            continue
        people[count, k, 0] = x
        people[count, k, 1] = y
        walk(
            heatmaps, short_offsets, mid_offsets, stride, orders[k], short_refinements, CLAMPED, CLAMPED, people[count]
        )  # fmt: skip
        for k in range(keypoints):
            logit = bilinear_at(logits[k], people[count, k, 0] / stride, people[count, k, 1] / stride)
            scores[count, k] = 1.0 / (1.0 + np.exp(-logit))
        if scores[count].mean() >= score_threshold:
            remember(people[count], count, places)
            count += 1
    return count


@njit(cache=True, nogil=True)
def _share_out_cells(
    long_offsets: NDArray[np.float32],
    stride: int,
    people: NDArray[np.float64],
    refinements: int,
    labels: NDArray[np.int32],
) -> None:
    """Fill `labels` with the person each cell points to, -1 if there is nobody."""
    keypoints = len(long_offsets)
    embedded = np.empty((keypoints, 2))
    for i in range(labels.shape[0]):
        for j in range(labels.shape[1]):
            labels[i, j] = -1
            for k in range(keypoints):
                x, y = float(j * stride), float(i * stride)
                for _ in range(refinements + 1):
                    # The heatmap and short offsets are only for `consistent`; any map of the right size will do.
                    x, y = follow(long_offsets[k], long_offsets[k, 0], long_offsets[k], x, y, stride, CLAMPED)
                embedded[k] = x, y
            best = np.inf
            for n in range(len(people)):
                total = 0.0
                for k in range(keypoints):
                    total += (embedded[k, 0] - people[n, k, 0]) ** 2 + (embedded[k, 1] - people[n, k, 1]) ** 2
                if total < best:
                    best = total
                    labels[i, j] = n


@njit(cache=True, nogil=True)
def _enlarge(
    cells: NDArray[np.int32],
    logits: NDArray[np.float32],
    stride: int,
    threshold: float,
    labels: NDArray[np.int32],
) -> None:
    """Fill the pixels of the network input from the cells."""
    for row in range(labels.shape[0]):
        for column in range(labels.shape[1]):
            x, y = column / stride, row / stride
            probability = 1.0 / (1.0 + np.exp(-bilinear_at(logits, x, y)))
            labels[row, column] = cells[int(y + 0.5), int(x + 0.5)] if probability >= threshold else -1
