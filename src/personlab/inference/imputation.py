"""Keypoints for a person of whom only the mask is known: look closely, take the pose that fits the mask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from personlab.data.warp import Resize
from personlab.errors import InputError
from personlab.geometry import affine
from personlab.inference.predictor import Prediction
from personlab.inference.stopwatch import Stopwatch
from personlab.structures import FIRST, People, Sample

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
MIN_KEYPOINTS = 3
"""Fewer labelled keypoints are no pose: a face, or one limb, fits most masks somewhere."""


@dataclass(frozen=True)
class Imputation:
    """The keypoints that were found for a person.

    Attributes:
        keypoints: `(keypoint, 3)` float32: x, y in `image_xy` and visibility, 2 labelled or 0, which is 0, 0, 0.
        score: The pose's score, as its decoder gives it.
        fit: How well it fits the mask, 0 to 1, see `mask_fit`.
    """

    keypoints: NDArray[np.float32]
    score: float
    fit: float


@final
class Imputer:
    """Finds the keypoints of one person by its mask.

    The person is cropped with the surroundings, and everybody in the crop is found, at whatever size the predictor
    resizes images to: a small person becomes a large one. The pose that fits the mask best is taken, or none.

    Args:
        predictor: Finds people in an image, such as a `Predictor` with a small `size`.
        enlarge: How many times the box's longer side the crop is high and wide beyond a tight one: on each side it
            has a margin of (enlarge - 1) / 2 longer sides, as far as the image reaches.
        min_score: Poses with a lower score are not looked at. Soft-NMS leaves duplicate detections hardly any score.
        min_fit: The best pose is refused below this fit.
        keypoint_score: Keypoints with a lower score are not labelled.
        tolerance: How far from the mask a keypoint may lie to be labelled and to count as inside, as a part of the
            longer side of the mask's box: masks are drawn by hand, and joints lie at their rims.

    Raises:
        InputError: If an option is out of its range.

    Source: PersonLab, section on imputing missing keypoint annotations: small people get keypoints from a single-person
    pose estimator. Departure: the estimator is a network of this project, which finds everybody; how the paper chooses
    or refuses poses is not told.
    """

    def __init__(
        self,
        predictor: Callable[[Image], Prediction],
        enlarge: float = 2.0,
        min_score: float = 0.2,
        min_fit: float = 0.3,
        keypoint_score: float = 0.1,
        tolerance: float = 0.05,
    ) -> None:
        """See the class."""
        if not 1 <= enlarge <= 100:
            raise InputError(f"enlarge: {enlarge} must lie between 1 (a tight box) and 100")
        shares = {"min_score": min_score, "min_fit": min_fit, "keypoint_score": keypoint_score, "tolerance": tolerance}
        for name, value in shares.items():
            if not 0 <= value <= 1:
                raise InputError(f"{name}: {value} must lie between 0 and 1")
        self.predictor = predictor
        self.enlarge = enlarge
        self.min_score = min_score
        self.min_fit = min_fit
        self.keypoint_score = keypoint_score
        self.tolerance = tolerance
        self.watch = Stopwatch()

    def __call__(self, image: Image, mask: Mask, shrink: float = 1.0) -> Imputation | None:
        """The keypoints of one person.

        Args:
            image: `(height, width, 3)` uint8, RGB.
            mask: `(height, width)` of the person in it.
            shrink: Look at a crop made smaller by this factor (1 or less), as though the person were as small.

        Returns:
            The best pose, or None if no pose is good enough.
        """
        crop = cut_out(image, mask, self.enlarge)
        if shrink < 1:
            crop = Resize(factor=shrink)(crop)
        here = crop.label_map[..., FIRST] > 0
        if not here.any():
            return None
        prediction = self.predictor(crop.image)
        self.watch.add(prediction.seconds)
        with self.watch.stage("fit"):
            return self._best(prediction.people, here, affine.invert(crop.image_to_crop), image.shape[:2])

    def _best(self, people: People, mask: Mask, to_image: affine.Affine, size: tuple[int, int]) -> Imputation | None:
        """The pose that fits a mask best, both in the frame of the crop."""
        able = np.flatnonzero(people.scores >= self.min_score)
        if not len(able):
            return None
        near = near_mask(people.keypoints[able, :, :2], mask, self.tolerance)
        fits = mask_fit(people.keypoints[able], near, [people.masks[i] for i in able] if people.masks else None, mask)
        best = int(fits.argmax())
        found = people.keypoints[able[best]]
        place_xy = affine.apply(to_image, found[:, :2])
        inside = ((place_xy >= -0.5) & (place_xy <= np.array(size[::-1]) - 0.5)).all(axis=1)
        labelled = near[best] & inside & (found[:, 2] >= self.keypoint_score)
        if fits[best] < self.min_fit or labelled.sum() < MIN_KEYPOINTS:
            return None
        keypoints = np.where(labelled[:, None], np.column_stack([place_xy, np.full(len(found), 2.0)]), 0.0)
        return Imputation(keypoints.astype(np.float32), float(people.scores[able[best]]), float(fits[best]))


def cut_out(image: Image, mask: Mask, enlarge: float) -> Sample:
    """A person with the surroundings, as a sample without keypoints.

    Args:
        image: `(height, width, 3)` uint8, RGB.
        mask: `(height, width)`, covers a pixel at least.
        enlarge: See `Imputer`.

    Returns:
        The part of the image, unscaled, so that its pixels are those of the image; the mask is person 1 of its label
        map, `image_to_crop` leads into it.
    """
    top, bottom, left, right = _box(mask)
    margin = round((enlarge - 1) / 2 * max(bottom - top, right - left))
    rows = slice(max(top - margin, 0), bottom + margin)
    columns = slice(max(left - margin, 0), right + margin)
    here = mask[rows, columns]
    crop = Sample.of_image(np.ascontiguousarray(image[rows, columns]), num_keypoints=0)
    crop.label_map[..., FIRST] = here
    return replace(
        crop,
        image_size=(image.shape[0], image.shape[1]),
        image_to_crop=affine.translation(-columns.start, -rows.start),
    )


def near_mask(place_xy: NDArray[np.floating], mask: Mask, tolerance: float) -> Mask:
    """Which places lie in a mask, or not far from it.

    Args:
        place_xy: `(..., 2)`, also outside the mask's frame.
        mask: Covers a pixel at least.
        tolerance: How far, as a part of the longer side of the mask's box; half a pixel is granted on top.

    Returns:
        Which places are near, with the shape of `place_xy` without its last axis.
    """
    top, bottom, left, right = _box(mask)
    distance_px = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    limit = np.array(mask.shape[::-1]) - 1
    inside_xy = np.clip(np.nan_to_num(place_xy), 0, limit)
    beyond_px = np.linalg.norm(place_xy - inside_xy, axis=-1)
    x, y = np.moveaxis(np.round(inside_xy).astype(np.int64), -1, 0)
    # A lower bound of the distance would label what is far outside: the sum of both ways is an upper one.
    return np.asarray(distance_px[y, x] + beyond_px <= tolerance * max(bottom - top, right - left) + 0.5)


def mask_fit(
    keypoints: NDArray[np.float32], near: Mask, masks: list[dict[str, Any]] | None, mask: Mask
) -> NDArray[np.float64]:
    """How well poses fit a person's mask: the share of the pose in the mask, times the overlap of both extents.

    The first factor alone prefers half a pose, the second a pose of the wrong person with a lucky outline.

    Args:
        keypoints: `(person, keypoint, 3)`: x, y and score, in the mask's frame.
        near: `(person, keypoint)`: which keypoints lie in the mask, or not far from it.
        masks: The instance masks that came with the poses, as COCO RLE; None without any.
        mask: The person's mask.

    Returns:
        `(person,)` 0 to 1: share of the keypoints' scores that lies in the mask, times the intersection over union of
        the instance mask (without one, of the box of the keypoints) with the mask (with its box).
    """
    scores = keypoints[..., 2].astype(np.float64)
    inside = (scores * near).sum(axis=1) / np.maximum(scores.sum(axis=1), 1e-9)
    if masks is not None:
        truth = [coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))]
        overlap = coco_mask.iou(masks, truth, [0])[:, 0]
    else:
        low, high = keypoints[..., :2].min(axis=1), keypoints[..., :2].max(axis=1)
        top, bottom, left, right = _box(mask)
        boxes = np.concatenate([low, high - low + 1], axis=1).astype(np.float64)
        overlap = coco_mask.iou(boxes, np.array([[left, top, right - left, bottom - top]], np.float64), [0])[:, 0]
    return np.asarray(inside * overlap, dtype=np.float64)


def _box(mask: Mask) -> tuple[int, int, int, int]:
    """First row, row after the last, first column, column after the last of what a mask covers."""
    (rows,), (columns,) = np.nonzero(mask.any(axis=1)), np.nonzero(mask.any(axis=0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
