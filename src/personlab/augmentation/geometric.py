"""Random placement of an image in a crop, as one affine matrix."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from personlab.geometry import affine
from personlab.skeleton import Skeleton
from personlab.structures import Sample


def placement(
    extent_xy: NDArray[np.float64],
    crop_size: int,
    translation: float,
    focus_xy: NDArray[np.float64] | None,
    generator: np.random.Generator,
) -> affine.Affine:
    """Shift a crop over an image, or an image inside a crop that is larger.

    Along each axis, the crop stays inside an image that is larger, and the image inside a crop that is larger; nothing
    is lost that need not be.

    Args:
        extent_xy: `(n, 2)` places whose bounding box is the image, such as its corners.
        crop_size: Pixels of the side of the crop.
        translation: Share of the possible range that is used, around its middle: 0 is always centred, 1 anywhere.
        focus_xy: `(2,)` place inside the image that must stay inside the crop, or None.
        generator: Source of chance; two numbers are drawn.

    Returns:
        The translation from the frame of the places to `crop_xy`.
    """
    low, high = extent_xy.min(axis=0), extent_xy.max(axis=0)
    span = crop_size - 1
    ends = np.stack([low, high - span])
    first, last = ends.min(axis=0), ends.max(axis=0)
    middle, reach = (first + last) / 2, (last - first) / 2 * translation
    first, last = middle - reach, middle + reach
    if focus_xy is not None:
        first, last = (np.clip(end, focus_xy - span, focus_xy) for end in (first, last))
    corner_x, corner_y = first + generator.random(2) * (last - first)
    return affine.translation(-float(corner_x), -float(corner_y))


def corners(height: int, width: int) -> NDArray[np.float64]:
    """`(4, 2)`: centres of the corner pixels of an image."""
    return np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], dtype=np.float64)


def swap_sides(sample: Sample, skeleton: Skeleton) -> Sample:
    """Name the keypoints of a mirrored sample rightly: what looks like a left wrist in the mirror was a right one."""
    return replace(sample, keypoints=sample.keypoints[:, skeleton.flip_permutation])
