"""Rows of a COCO annotation file as arrays, checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from personlab.data.coco_tables import found, whole_number
from personlab.data.imputed import Row
from personlab.data.segmentations import Segmentations
from personlab.errors import InputError
from personlab.skeleton import Skeleton

MAX_PIXELS = 2**30
"""Largest image, as in OpenCV, which reads no larger ones: a size that is a slip would ask for all memory."""
_LARGEST = 1e12
"""No number of an annotation reaches this, whether place, length or area."""


def size_of(where: str, image: Row) -> tuple[int, int]:
    """(height, width) of an image, in pixels.

    Raises:
        InputError: If they are missing or no size; `where` names the entry.
    """
    height, width = (whole_number(where, image, key) for key in ("height", "width"))
    if min(height, width) < 1 or height * width > MAX_PIXELS:
        raise InputError(
            f"{where}: height {height} and width {width} must be positive, with at most {MAX_PIXELS} pixels"
        )
    return height, width


def check_keypoint_names(path: Path, category: dict[str, Any], skeleton: Skeleton) -> None:
    """Compare the keypoints that a file names, if it names any, with a skeleton's.

    Raises:
        InputError: If they are others, or in another order.
    """
    names = category.get("keypoints")
    if names is None:
        return
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(
            f"{path}: the keypoints of category 'person' must be a list of names, {found(category, 'keypoints')}"
        )
    k = skeleton.num_keypoints
    if len(names) != k:
        raise InputError(
            f"{path}: has {len(names)} keypoints, skeleton {skeleton.name} {k}; name a skeleton that matches"
        )
    plain = [name.lower().replace(" ", "_").replace("-", "_") for name in names]
    if set(plain) == set(skeleton.keypoint_names) and plain != list(skeleton.keypoint_names):
        raise InputError(f"{path}: its keypoints are not in the order of skeleton {skeleton.name}; reorder one of them")


def keypoint_rows(path: Path, people: list[dict[str, Any]], skeleton: Skeleton) -> NDArray[np.float32]:
    """`(annotation, keypoint, 3)`: x, y and visibility; those not labelled are 0.

    Raises:
        InputError: If an annotation has too few or too many numbers, or another visibility than 0, 1, 2.
    """
    rows = number_rows(path, people, "keypoints", 3 * skeleton.num_keypoints).reshape(
        len(people), skeleton.num_keypoints, 3
    )
    wrong = (~np.isin(rows[..., 2], (0, 1, 2))).any(axis=1)
    if wrong.any():
        raise InputError(f"{path}: annotation {people[int(wrong.argmax())].get('id')}: visibility must be 0, 1 or 2")
    rows[rows[..., 2] == 0] = 0
    return rows


def number_rows(path: Path, people: list[dict[str, Any]], key: str, length: int) -> NDArray[np.float32]:
    """`(annotation, length)` numbers of an optional field; zeros where it is missing.

    Raises:
        InputError: If an annotation has something else there.
    """
    rows = np.zeros((len(people), length), dtype=np.float32)
    for i, annotation in enumerate(people):
        value = annotation.get(key)
        if not value:
            continue
        try:
            row = np.asarray(value).reshape(-1)
        except ValueError:  # lists of unlike lengths
            row = np.empty(0)
        if row.dtype.kind not in "iuf":  # numpy would take "3" for 3, COCO's evaluation does not
            row = np.empty(0)
        if len(row) != length or not (np.abs(row) < _LARGEST).all():
            wrong = f"got {len(row)}" if len(row) != length else "some are not finite, or beyond all images"
            raise InputError(f"{path}: annotation {annotation.get('id')}: {key} needs {length} numbers, {wrong}")
        rows[i] = row
    return rows


def packed_segmentations(path: Path, people: list[dict[str, Any]], sizes: NDArray[np.int64]) -> Segmentations:
    """The segmentations of all annotations; `sizes` are (height, width) of their images.

    Raises:
        InputError: If one of them is no polygon or run-length code of its image.
    """
    current: Any = None

    def values() -> Iterator[tuple[Any, tuple[int, int]]]:
        nonlocal current
        for annotation, (height, width) in zip(people, sizes.tolist(), strict=True):
            current = annotation.get("id")
            yield annotation.get("segmentation"), (height, width)

    try:
        return Segmentations.pack(values())
    except (OverflowError, TypeError, ValueError) as error:
        raise InputError(f"{path}: annotation {current}: {error}") from None
