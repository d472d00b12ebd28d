"""Scalar reads and writes of maps, compiled by numba, for loops that torch cannot express well.

Places are in cells of the map. All of these are total: a place outside the map, or not a number, is clamped to it.
Arrays are expected float32 and C-contiguous, so that each kernel compiles once.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray

from personlab.geometry.kernel_cache import drop_stale_kernels

drop_stale_kernels(Path(__file__).resolve().parent.parent)  # before the first kernel is looked for


@njit(cache=True, nogil=True, inline="always")
def clamp(place: float, size: int) -> float:
    """The nearest place in [0, size - 1]; 0 for what is not a number."""
    if not place > 0.0:
        return 0.0
    return min(place, size - 1.0)


@njit(cache=True, nogil=True)
def nearest_cell(place: float, size: int) -> int:
    """Index of the cell nearest to a place, ties upwards."""
    return int(clamp(place, size) + 0.5)


@njit(cache=True, nogil=True, inline="always")
def bilinear_corner(place: float, size: int) -> tuple[int, int, float]:
    """The two cells around a place along one axis, and the weight of the second."""
    inside = clamp(place, size)
    low = int(inside)
    return low, min(low + 1, size - 1), inside - low


@njit(cache=True, nogil=True, inline="always")
def bilinear_at(plane: NDArray, x: float, y: float) -> float:  # type: ignore[type-arg]
    """Read a map `(height, width)` bilinearly at cell (x, y)."""
    x0, x1, u = bilinear_corner(x, plane.shape[1])
    y0, y1, v = bilinear_corner(y, plane.shape[0])
    above = plane[y0, x0] * (1.0 - u) + plane[y0, x1] * u
    below = plane[y1, x0] * (1.0 - u) + plane[y1, x1] * u
    return above * (1.0 - v) + below * v


@njit(cache=True, nogil=True, inline="always")
def bilinear_pair_at(planes: NDArray, x: float, y: float) -> tuple[float, float]:  # type: ignore[type-arg]
    """Read a map of vectors `(2, height, width)` bilinearly at cell (x, y)."""
    x0, x1, u = bilinear_corner(x, planes.shape[2])
    y0, y1, v = bilinear_corner(y, planes.shape[1])
    first, second = planes[0], planes[1]
    above, below = 1.0 - v, v
    a, b, c, d = above * (1.0 - u), above * u, below * (1.0 - u), below * u
    return (
        first[y0, x0] * a + first[y0, x1] * b + first[y1, x0] * c + first[y1, x1] * d,
        second[y0, x0] * a + second[y0, x1] * b + second[y1, x0] * c + second[y1, x1] * d,
    )


@njit(cache=True, nogil=True)
def _splat_at_border(plane: NDArray, x: np.float32, y: np.float32, weight: np.float32) -> None:  # type: ignore[type-arg]
    height, width = plane.shape
    left, top = math.floor(x), math.floor(y)
    u, v = x - np.float32(left), y - np.float32(top)
    one = np.float32(1)
    for row, row_share in ((int(top), one - v), (int(top) + 1, v)):
        for column, share in ((int(left), row_share * (one - u)), (int(left) + 1, row_share * u)):
            if 0 <= row < height and 0 <= column < width:
                plane[row, column] += weight * share


@njit(cache=True, nogil=True, inline="always")
def splat(plane: NDArray, x: np.float32, y: np.float32, weight: np.float32) -> None:  # type: ignore[type-arg]
    """Add `weight` to the up to four cells around (x, y), bilinearly; shares that fall outside the map are lost.

    In single precision, which is half again as fast and exact to a ten-thousandth of a cell on maps of any real size.
    """
    height, width = plane.shape
    zero = np.float32(0)
    if x >= zero and y >= zero and x < np.float32(width - 1) and y < np.float32(height - 1):  # nearly always
        j, i = np.int32(x), np.int32(y)
        u, v = x - np.float32(j), y - np.float32(i)
        below = weight * v
        above = weight - below
        above_right, below_right = above * u, below * u
        plane[i, j] += above - above_right
        plane[i, j + 1] += above_right
        plane[i + 1, j] += below - below_right
        plane[i + 1, j + 1] += below_right
    elif x > -1.0 and y > -1.0 and x < width and y < height:
        _splat_at_border(plane, x, y, weight)
