"""Scalar reads and writes of maps, compiled by numba, for loops that torch cannot express well.

Places are in cells of the map. All of these are total: a place outside the map, or not a number, is clamped to it.
Arrays are expected float32 and C-contiguous, so that each kernel compiles once. Numba's file cache does not notice
changes of a kernel in another file: after editing here, remove the `__pycache__` folders of the callers.
"""

from __future__ import annotations

import math

from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def clamp(place: float, size: int) -> float:
    """The nearest place in [0, size - 1]; 0 for what is not a number."""
    if not place > 0.0:
        return 0.0
    return min(place, size - 1.0)


@njit(cache=True, nogil=True)
def nearest_cell(place: float, size: int) -> int:
    """Index of the cell nearest to a place, ties upwards."""
    return int(clamp(place, size) + 0.5)


@njit(cache=True, nogil=True)
def bilinear_corner(place: float, size: int) -> tuple[int, int, float]:
    """The two cells around a place along one axis, and the weight of the second."""
    inside = clamp(place, size)
    low = int(inside)
    return low, min(low + 1, size - 1), inside - low


@njit(cache=True, nogil=True)
def bilinear_at(plane: NDArray, x: float, y: float) -> float:  # type: ignore[type-arg]
    """Read a map `(height, width)` bilinearly at cell (x, y)."""
    x0, x1, u = bilinear_corner(x, plane.shape[1])
    y0, y1, v = bilinear_corner(y, plane.shape[0])
    above = plane[y0, x0] * (1.0 - u) + plane[y0, x1] * u
    below = plane[y1, x0] * (1.0 - u) + plane[y1, x1] * u
    return above * (1.0 - v) + below * v


@njit(cache=True, nogil=True)
def bilinear_pair_at(planes: NDArray, x: float, y: float) -> tuple[float, float]:  # type: ignore[type-arg]
    """Read a map of vectors `(2, height, width)` bilinearly at cell (x, y)."""
    return bilinear_at(planes[0], x, y), bilinear_at(planes[1], x, y)


@njit(cache=True, nogil=True)
def splat(plane: NDArray, x: float, y: float, weight: float) -> None:  # type: ignore[type-arg]
    """Add `weight` to the up to four cells around (x, y), bilinearly; shares that fall outside the map are lost."""
    height, width = plane.shape
    if x >= 0.0 and y >= 0.0 and x < width - 1 and y < height - 1:  # nearly always: no cell is left out
        j, i = int(x), int(y)
        u, v = x - j, y - i
        above, below = weight * (1.0 - v), weight * v
        plane[i, j] += above * (1.0 - u)
        plane[i, j + 1] += above * u
        plane[i + 1, j] += below * (1.0 - u)
        plane[i + 1, j + 1] += below * u
        return
    if not (x > -1.0 and y > -1.0 and x < width and y < height):
        return
    left, top = math.floor(x), math.floor(y)
    u, v = x - left, y - top
    j, i = int(left), int(top)
    if i >= 0:
        if j >= 0:
            plane[i, j] += weight * (1.0 - u) * (1.0 - v)
        if j + 1 < width:
            plane[i, j + 1] += weight * u * (1.0 - v)
    if i + 1 < height:
        if j >= 0:
            plane[i + 1, j] += weight * (1.0 - u) * v
        if j + 1 < width:
            plane[i + 1, j + 1] += weight * u * v
