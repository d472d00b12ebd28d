"""How an offset field is read at a place between its cells, and where it leads from there."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
from numba import njit
from numpy.typing import NDArray

from personlab.geometry.kernels import bilinear_corner, bilinear_pair_at, clamp, nearest_cell

CellRead = Literal["bilinear", "nearest", "consistent"]
"""How the paper's rules may read an offset field between cells, see `grouping.group_keypoints`."""
CELL_READS: tuple[CellRead, ...] = get_args(CellRead)

Read = Literal[CellRead, "displaced", "clamped"]
"""Released decoders read in two more ways: `displaced` adds the offset of the nearest cell to the place itself,
`clamped` reads bilinearly and clamps the end to the map."""
READS: tuple[Read, ...] = (*CELL_READS, "displaced", "clamped")

SAME_KEYPOINT_PX = 0.5
"""Short offsets of neighbouring cells that lead this near to each other speak of the same keypoint."""
MIN_WEIGHT = 1e-6
"""Cells with less bilinear weight than this in all cannot speak for a place: rounding alone may give them theirs."""
MAX_PLACE_PX = 1e6
"""An offset that leads farther than this from the image's corner is taken for undefined."""


@njit(cache=True, nogil=True)
def _landing(offsets: NDArray[np.float32], i: int, j: int, stride: int) -> tuple[float, float]:
    """Where the offset of a cell leads, in pixels."""
    return j * stride + offsets[0, i, j], i * stride + offsets[1, i, j]


@njit(cache=True, nogil=True)
def _consistent_cell(
    heatmap: NDArray[np.float32], short: NDArray[np.float32], x: float, y: float, stride: int
) -> tuple[int, int]:
    """Of the 3x3 cells around a place, the one inside a disk whose short offset leads nearest to it, or (-1, -1)."""
    height, width = heatmap.shape
    row, column = nearest_cell(y / stride, height), nearest_cell(x / stride, width)
    best_i, best_j, best = -1, -1, math.inf
    for i in range(max(row - 1, 0), min(row + 2, height)):
        for j in range(max(column - 1, 0), min(column + 2, width)):
            if heatmap[i, j] >= 0.5:
                to_x, to_y = _landing(short, i, j, stride)
                distance = (to_x - x) ** 2 + (to_y - y) ** 2
                if distance < best:
                    best_i, best_j, best = i, j, distance
    return best_i, best_j


@njit(cache=True, nogil=True, inline="always")
def _follow_bilinear(offsets: NDArray[np.float32], x: float, y: float, stride: int) -> tuple[float, float]:
    """Bilinear over the four cells around a place; a place outside the map starts from the border that it reads."""
    to_cells = 1.0 / stride
    dx, dy = bilinear_pair_at(offsets, x * to_cells, y * to_cells)
    inside_x = min(max(x, 0.0), (offsets.shape[2] - 1.0) * stride)
    inside_y = min(max(y, 0.0), (offsets.shape[1] - 1.0) * stride)
    return inside_x + dx, inside_y + dy


@njit(cache=True, nogil=True)
def _follow_consistent(
    offsets: NDArray[np.float32],
    heatmap: NDArray[np.float32],
    short: NDArray[np.float32],
    x: float,
    y: float,
    stride: int,
) -> tuple[float, float]:
    """Bilinear over those of the four cells around a place that speak of the keypoint which stands there."""
    best_i, best_j = _consistent_cell(heatmap, short, x, y, stride)
    if best_i < 0:
        return _follow_bilinear(offsets, x, y, stride)
    best_x, best_y = _landing(short, best_i, best_j, stride)
    y0, y1, v = bilinear_corner(y / stride, heatmap.shape[0])
    x0, x1, u = bilinear_corner(x / stride, heatmap.shape[1])
    total = sum_x = sum_y = 0.0
    for i, row_weight in ((y0, 1.0 - v), (y1, v)):
        for j, column_weight in ((x0, 1.0 - u), (x1, u)):
            to_x, to_y = _landing(short, i, j, stride)
            if (to_x - best_x) ** 2 + (to_y - best_y) ** 2 <= SAME_KEYPOINT_PX**2:
                weight = row_weight * column_weight
                total += weight
                end_x, end_y = _landing(offsets, i, j, stride)
                sum_x += weight * end_x
                sum_y += weight * end_y
    if total > MIN_WEIGHT:
        return sum_x / total, sum_y / total
    return _landing(offsets, best_i, best_j, stride)


@njit(cache=True, nogil=True)
def _follow_otherwise(
    offsets: NDArray[np.float32],
    heatmap: NDArray[np.float32],
    short: NDArray[np.float32],
    x: float,
    y: float,
    stride: int,
    read: int,
) -> tuple[float, float]:
    """Every read but the plain bilinear one."""
    if read == 2:
        return _follow_consistent(offsets, heatmap, short, x, y, stride)
    if read == 4:
        target_x, target_y = _follow_bilinear(offsets, x, y, stride)
        return (
            clamp(target_x / stride, heatmap.shape[1]) * stride, clamp(target_y / stride, heatmap.shape[0]) * stride
        )  # fmt: skip
    i, j = nearest_cell(y / stride, heatmap.shape[0]), nearest_cell(x / stride, heatmap.shape[1])
    from_x, from_y = (x, y) if read == 3 else (float(j * stride), float(i * stride))
    return from_x + offsets[0, i, j], from_y + offsets[1, i, j]


@njit(cache=True, nogil=True, inline="always")
def follow(
    offsets: NDArray[np.float32],
    heatmap: NDArray[np.float32],
    short: NDArray[np.float32],
    x: float,
    y: float,
    stride: int,
    read: int,
) -> tuple[float, float]:
    """Where a field `(2, height, width)` of offsets leads from a place in pixels; an undefined offset leads nowhere.

    `heatmap` and `short` are those of the keypoint type that stands at the place, `read` indexes `READS`.
    """
    if read == 0:  # small enough to become part of the caller, which is twice as fast
        target_x, target_y = _follow_bilinear(offsets, x, y, stride)
    else:
        target_x, target_y = _follow_otherwise(offsets, heatmap, short, x, y, stride, read)
    if abs(target_x) < MAX_PLACE_PX and abs(target_y) < MAX_PLACE_PX:  # false for what is not a number, too
        return target_x, target_y
    return x, y
