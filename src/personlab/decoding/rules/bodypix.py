"""BodyPix's decoder in the browser: PoseNet's poses, and every pixel of a person given to the pose it points to."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int32
from numba import njit
from numpy.typing import NDArray

from personlab.decoding.base import Poses, array, check_options, people_in_image
from personlab.decoding.rules.cells import LOGIT_LIMIT, label_rles
from personlab.decoding.rules.tfjs import TfjsDecoder
from personlab.geometry.affine import Affine
from personlab.geometry.kernels import bilinear_at, clamp, nearest_cell
from personlab.skeleton import COCO, Skeleton
from personlab.structures import Fields, People


class BodyPixDecoder(TfjsDecoder):
    """Decode poses and instance masks as BodyPix 2.2 does in the browser.

    Source: released decoder `@tensorflow-models/body-pix` 2.2.1. Departure: places are clamped into the map at all four
    borders, where its CPU code forgets two.
    """

    def __init__(
        self,
        skeleton: Skeleton = COCO,
        max_people: int = 10,
        score_threshold: float = 0.4,
        nms_radius_px: float = 20.0,
        segmentation_threshold: float = 0.7,
        min_person_score: float = 0.2,
        min_keypoint_score: float = 0.3,
        long_refinements: int = 8,
        matched_keypoints: int = 17,
        masks: bool = True,
    ) -> None:
        """Set the options, by default those of BodyPix on a GPU.

        Args:
            skeleton: Keypoints and tree of the fields.
            max_people: Stop after so many people.
            score_threshold: Smallest heatmap probability of a seed.
            nms_radius_px: Keypoints of one type this near are the same one, for seeds and for scores.
            segmentation_threshold: Pixels with at most this probability are nobody's.
            min_person_score: People with a lower score get no pixels.
            min_keypoint_score: Keypoints of people with at most this score are not matched.
            long_refinements: How often the long offsets are followed after the first time.
            matched_keypoints: The first so many keypoints are matched; BodyPix's CPU code matches 5.
            masks: Whether to make instance masks.

        Raises:
            InputError: If an option is out of range.
        """
        super().__init__(skeleton, max_people, score_threshold, nms_radius_px)
        check_options({"matched_keypoints": matched_keypoints}, {"long_refinements": long_refinements})
        self.segmentation_threshold = segmentation_threshold
        self.min_person_score = min_person_score
        self.min_keypoint_score = min_keypoint_score
        self.long_refinements = long_refinements
        self.matched_keypoints = min(matched_keypoints, skeleton.num_keypoints)
        self.masks = masks

    def decode_image(self, fields: Fields, image_to_crop: Affine, image_size: tuple[int, int]) -> People:
        """Decode one image, people in the order of their seeds."""
        poses = self.poses(fields)
        masks = None
        if self.masks:
            masks = label_rles(self.label_map(fields, poses), image_to_crop, image_size, len(poses.scores))
        return people_in_image(poses, masks, image_to_crop)

    def label_map(self, fields: Fields, poses: Poses) -> Int32[np.ndarray, "height width"]:
        """Which person each pixel of the network input belongs to, counted from 0; -1 for nobody.

        The person at the smallest mean squared distance gets the pixel, however far that is.
        """
        matched = self.matched_keypoints
        usable = poses.keypoint_scores[:, :matched] > self.min_keypoint_score
        usable &= (poses.scores >= self.min_person_score)[:, None]
        logits = array(fields.segmentation_logits)[0]
        height, width = ((n - 1) * fields.stride + 1 for n in logits.shape)
        labels = np.empty((height, width), dtype=np.int32)
        _share_out(
            np.clip(logits, -LOGIT_LIMIT, LOGIT_LIMIT), array(fields.long_offsets)[:matched], fields.stride,
            np.ascontiguousarray(poses.crop_xy[:, :matched]), usable, self.segmentation_threshold,
            self.long_refinements, labels,
        )  # fmt: skip
        return labels


@njit(cache=True, nogil=True)
def _embed(offsets: NDArray[np.float32], x: float, y: float, stride: int, refinements: int) -> tuple[float, float]:
    """Where the long offsets of one keypoint lead from a pixel; places are clamped into the map before each read."""
    height, width = offsets.shape[1:]
    for _ in range(refinements + 1):
        x, y = clamp(x / stride, width) * stride, clamp(y / stride, height) * stride
        i, j = nearest_cell(y / stride, height), nearest_cell(x / stride, width)
        x, y = x + offsets[0, i, j], y + offsets[1, i, j]
    return x, y


@njit(cache=True, nogil=True)
def _share_out(
    logits: NDArray[np.float32],
    long_offsets: NDArray[np.float32],
    stride: int,
    people: NDArray[np.float64],
    usable: NDArray[np.bool_],
    threshold: float,
    refinements: int,
    labels: NDArray[np.int32],
) -> None:
    """Fill `labels`; a person without usable keypoints is at an infinite distance."""
    matched = long_offsets.shape[0]
    for row in range(labels.shape[0]):
        for column in range(labels.shape[1]):
            labels[row, column] = -1
            logit = bilinear_at(logits, column / stride, row / stride)
            if len(people) == 0 or not 1.0 / (1.0 + np.exp(-logit)) > threshold:
                continue
            embedded = np.empty((matched, 2))
            for k in range(matched):
                embedded[k, 0], embedded[k, 1] = _embed(long_offsets[k], column, row, stride, refinements)
            best = np.inf
            for n in range(len(people)):
                total, count = 0.0, 0
                for k in range(matched):
                    if usable[n, k]:
                        dx, dy = embedded[k, 0] - people[n, k, 0], embedded[k, 1] - people[n, k, 1]
                        total += dx * dx + dy * dy
                        count += 1
                if count > 0 and total / count < best:
                    best = total / count
                    labels[row, column] = n
