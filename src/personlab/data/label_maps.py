"""The masks of all people of an image in one array of three bytes a pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from personlab.data.coco import CocoAnnotations
from personlab.errors import InputError
from personlab.structures import CROWD, FIRST, IGNORE, SECOND, UNANNOTATED, UNMASKED


def rasterise(annotations: CocoAnnotations, image: int) -> NDArray[np.uint8]:
    """Draw the people and crowd regions of one image.

    Args:
        annotations: The annotation file.
        image: Index of the image in it.

    Returns:
        `(height, width, 3)` label map, see `personlab.structures`. Person p of `annotations.people(image)` is stored as
        p + 1; where people overlap, the first two are kept. A person without any labelled keypoint also sets
        `UNANNOTATED`, one without a segmentation sets `UNMASKED`. A crowd region sets `CROWD` only. Pixels are those of
        COCO's own rasteriser; what has no segmentation sets its bits in its box, or, without a box, in that of its
        keypoints.

    Raises:
        InputError: If a run-length code is corrupt.
    """
    height, width = annotations.size(image)
    label_map = np.zeros((height, width, 3), dtype=np.uint8)
    for person, annotation in enumerate(annotations.people(image)):
        (rows, columns), covered = _covered(annotations, annotation, height, width)
        window = label_map[rows, columns]
        if covered is not None:
            first, second = window[..., FIRST], window[..., SECOND]
            second[covered & (first > 0) & (second == 0)] = person + 1
            first[covered & (first == 0)] = person + 1
        else:
            window[..., IGNORE] |= UNMASKED
        if not annotations.has_keypoints[annotation]:
            window[..., IGNORE][slice(None) if covered is None else covered] |= UNANNOTATED
    for annotation in annotations.crowds(image):
        (rows, columns), covered = _covered(annotations, annotation, height, width)
        label_map[rows, columns, IGNORE][slice(None) if covered is None else covered] |= CROWD
    return label_map


def _covered(
    annotations: CocoAnnotations, annotation: int, height: int, width: int
) -> tuple[tuple[slice, slice], NDArray[np.bool_] | None]:
    """The window of an annotation, and which of its pixels it covers (None without a segmentation).

    Work on the window instead of the image is what keeps images with many small people cheap.
    """
    rle = annotations.segmentations.rle(annotation, height, width)
    if rle is None:
        return _box(annotations, annotation), None
    try:
        window = _window(*coco_mask.toBbox(rle))
        return window, coco_mask.decode(rle)[window].astype(bool)
    except ValueError as error:
        number = annotations.annotation_ids[annotation]
        raise InputError(f"{annotations.path}: annotation {number}: {error}; its counts are corrupt") from None


def _box(annotations: CocoAnnotations, annotation: int) -> tuple[slice, slice]:
    """The window of an annotation's box, or of its keypoints where it has none."""
    x, y, width, height = annotations.boxes[annotation]
    if width <= 0 or height <= 0:
        keypoints = annotations.keypoints[annotation]
        places_xy = keypoints[keypoints[:, 2] > 0, :2]
        if len(places_xy):
            (x, y), (right, bottom) = places_xy.min(axis=0), places_xy.max(axis=0)
            width, height = right - x + 1, bottom - y + 1  # with the last keypoints' pixels
    return _window(x, y, width, height)


def _window(x: float, y: float, width: float, height: float) -> tuple[slice, slice]:
    """Rows and columns of the pixels that a box touches."""
    left, top = max(int(np.floor(x)), 0), max(int(np.floor(y)), 0)
    right, bottom = max(int(np.ceil(x + width)), 0), max(int(np.ceil(y + height)), 0)
    return slice(top, bottom), slice(left, right)
