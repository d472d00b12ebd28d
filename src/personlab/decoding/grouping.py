"""From seeds to people: each seed that is not explained yet walks the kinematic tree."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from jaxtyping import Float32, Float64, Int64
from numba import njit
from numpy.typing import NDArray

from personlab.decoding.seeds import Seeds
from personlab.geometry.kernels import bilinear_corner, bilinear_pair_at, nearest_cell
from personlab.skeleton import Skeleton

CellRead = Literal["bilinear", "nearest", "consistent"]
"""How an offset field is read at a place between cells, see `group_keypoints`."""
CELL_READS: tuple[CellRead, ...] = ("bilinear", "nearest", "consistent")
MAX_CANDIDATES = 1000
"""People walked in one image before the best are chosen. Only fields of noise have more: it bounds their time."""

SAME_KEYPOINT_PX = 0.5
"""Short offsets of neighbouring cells that lead this near to each other speak of the same keypoint."""
MAX_PLACE_PX = 1e6
"""An offset that leads farther than this from the image's corner is taken for undefined."""


@njit(cache=True, nogil=True)
def _landing(short: NDArray[np.float32], i: int, j: int, stride: int) -> tuple[float, float]:
    """Where the short offset of a cell leads, in pixels."""
    return j * stride + short[0, i, j], i * stride + short[1, i, j]


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


@njit(cache=True, nogil=True)
def _follow_bilinear(offsets: NDArray[np.float32], x: float, y: float, stride: int) -> tuple[float, float]:
    """Bilinear over the four cells around a place; a place outside the map starts from the border that it reads."""
    dx, dy = bilinear_pair_at(offsets, x / stride, y / stride)
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
                sum_x += weight * (j * stride + offsets[0, i, j])
                sum_y += weight * (i * stride + offsets[1, i, j])
    if total > 0.0:
        return sum_x / total, sum_y / total
    return best_j * stride + offsets[0, best_i, best_j], best_i * stride + offsets[1, best_i, best_j]


@njit(cache=True, nogil=True)
def follow(
    offsets: NDArray[np.float32],
    heatmap: NDArray[np.float32],
    short: NDArray[np.float32],
    x: float,
    y: float,
    stride: int,
    cell_read: int,
) -> tuple[float, float]:
    """Where a field `(2, height, width)` of offsets leads from a place in pixels; an undefined offset leads nowhere.

    `heatmap` and `short` are those of the keypoint type that stands at the place, `cell_read` indexes `CELL_READS`.
    """
    if cell_read == 2:
        target_x, target_y = _follow_consistent(offsets, heatmap, short, x, y, stride)
    elif cell_read == 1:
        i, j = nearest_cell(y / stride, heatmap.shape[0]), nearest_cell(x / stride, heatmap.shape[1])
        target_x, target_y = j * stride + offsets[0, i, j], i * stride + offsets[1, i, j]
    else:
        target_x, target_y = _follow_bilinear(offsets, x, y, stride)
    if abs(target_x) < MAX_PLACE_PX and abs(target_y) < MAX_PLACE_PX:  # false for what is not a number, too
        return target_x, target_y
    return x, y


@njit(cache=True, nogil=True)
def _walk(
    heatmaps: NDArray[np.float32],
    short_offsets: NDArray[np.float32],
    mid_offsets: NDArray[np.float32],
    stride: int,
    order: NDArray[np.int64],
    short_refinements: int,
    cell_read: int,
    person: NDArray[np.float64],
) -> None:
    """Fill the row `(keypoint, 2)` of a person whose seed is set already, edge by edge."""
    for step in range(len(order)):
        edge, source, target = order[step]
        x, y = follow(
            mid_offsets[edge], heatmaps[source], short_offsets[source],
            person[source, 0], person[source, 1], stride, cell_read,
        )  # fmt: skip
        for _ in range(short_refinements):
            x, y = follow(
                short_offsets[target], heatmaps[target], short_offsets[target], x, y, stride, cell_read
            )  # fmt: skip
        person[target, 0] = x
        person[target, 1] = y


@njit(cache=True, nogil=True)
def _is_taken(people: NDArray[np.float64], count: int, k: int, x: float, y: float, radius_px: float) -> bool:
    """Whether one of the first `count` people has keypoint k within `radius_px` of a place."""
    for n in range(count):
        dx, dy = people[n, k, 0] - x, people[n, k, 1] - y
        if dx * dx + dy * dy <= radius_px * radius_px:
            return True
    return False


@njit(cache=True, nogil=True)
def _group(
    seed_keypoints: NDArray[np.int64],
    seed_xy: NDArray[np.float64],
    heatmaps: NDArray[np.float32],
    short_offsets: NDArray[np.float32],
    mid_offsets: NDArray[np.float32],
    stride: int,
    orders: NDArray[np.int64],
    nms_radius_px: float,
    short_refinements: int,
    cell_read: int,
    people: NDArray[np.float64],
) -> int:
    """Write the people to `people`, at most as many as it has rows; returns how many."""
    count = 0
    for n in range(len(seed_keypoints)):
        k = seed_keypoints[n]
        x, y = seed_xy[n]
        if count == len(people):
            break
        if not _is_taken(people, count, k, x, y, nms_radius_px):
            people[count, k, 0] = x
            people[count, k, 1] = y
            _walk(
                heatmaps, short_offsets, mid_offsets, stride, orders[k], short_refinements, cell_read, people[count]
            )  # fmt: skip
            count += 1
    return count


def walk_orders(skeleton: Skeleton) -> Int64[np.ndarray, "keypoint steps 3"]:
    """`Skeleton.walk` from every keypoint: (directed edge, source, target) of each step."""
    return np.stack([skeleton.walk(k) for k in range(skeleton.num_keypoints)])


def group_keypoints(
    seeds: Seeds,
    heatmaps: Float32[np.ndarray, "keypoint height width"],
    short_offsets: Float32[np.ndarray, "keypoint 2 height width"],
    mid_offsets: Float32[np.ndarray, "edge 2 height width"],
    stride: int,
    orders: Int64[np.ndarray, "keypoint steps 3"],
    nms_radius_px: float = 10.0,
    short_refinements: int = 1,
    cell_read: CellRead = "bilinear",
) -> Float64[np.ndarray, "person keypoint 2"]:
    """Walk the kinematic tree from every seed that no person found so far explains.

    Args:
        seeds: Starting points, best first.
        heatmaps: Probability of the disks; only `consistent` reads it.
        short_offsets: From a cell to the keypoint of its disk, in pixels.
        mid_offsets: From a cell to the next keypoint along each directed edge, in pixels.
        stride: Output stride of the fields.
        orders: What `walk_orders` gives for the skeleton.
        nms_radius_px: A seed this near to the same keypoint of a person is that person's.
        short_refinements: How often the place at the end of an edge is corrected by the short offsets there.
        cell_read: How offsets are read between cells. `bilinear` suits the smooth fields of a network. True fields jump
            where the disks of two people meet: there `nearest` takes the offset of the nearest cell, from that cell's
            centre, and `consistent` that of the cell, of the 3x3 nearest, which points to the very keypoint read at.

    Returns:
        Places of all keypoints in `crop_xy`, at most `MAX_CANDIDATES` people in the order of their seeds; all finite.

    Source: PersonLab, section 3.1, greedy grouping. Departure: `nearest` and `consistent`.
    """
    people = np.empty((min(len(seeds.scores), MAX_CANDIDATES), len(orders), 2))
    count = _group(
        seeds.keypoints, seeds.xy, heatmaps, short_offsets, mid_offsets, stride, orders,
        nms_radius_px, short_refinements, CELL_READS.index(cell_read), people,
    )  # fmt: skip
    return people[:count]
