"""From seeds to people: each seed that is not explained yet walks the kinematic tree."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64
from numba import njit
from numpy.typing import NDArray

from personlab.decoding.reads import READS, Read, follow
from personlab.decoding.seeds import Seeds
from personlab.skeleton import Skeleton

MAX_CANDIDATES = 1000
"""People walked in one image before the best are chosen. Only fields of noise have more: it bounds their time."""


class Grouping(NamedTuple):
    """People that seeds became, in the order of their seeds.

    Attributes:
        crop_xy: Places of all their keypoints, pixels; all finite.
        seeds: Index of the seed of each.
    """

    crop_xy: Float64[np.ndarray, "person keypoint 2"]
    seeds: Int64[np.ndarray, " person"]


@njit(cache=True, nogil=True)
def walk(
    heatmaps: NDArray[np.float32],
    short_offsets: NDArray[np.float32],
    mid_offsets: NDArray[np.float32],
    stride: int,
    order: NDArray[np.int64],
    short_refinements: int,
    edge_read: int,
    short_read: int,
    person: NDArray[np.float64],
) -> None:
    """Fill the row `(keypoint, 2)` of a person whose seed is set already, edge by edge."""
    for step in range(len(order)):
        edge, source, target = order[step]
        x, y = follow(
            mid_offsets[edge], heatmaps[source], short_offsets[source],
            person[source, 0], person[source, 1], stride, edge_read,
        )  # fmt: skip
        for _ in range(short_refinements):
            x, y = follow(
                short_offsets[target], heatmaps[target], short_offsets[target], x, y, stride, short_read
            )  # fmt: skip
        person[target, 0] = x
        person[target, 1] = y


@njit(cache=True, nogil=True, inline="always")
def is_taken(places: NDArray[np.float64], count: int, x: float, y: float, radius_px: float) -> bool:
    """Whether one of the first `count` of the places `(2, person)` of a keypoint is within `radius_px` of (x, y)."""
    for n in range(count):
        dx, dy = places[0, n] - x, places[1, n] - y
        if dx * dx + dy * dy <= radius_px * radius_px:
            return True
    return False


@njit(cache=True, nogil=True)
def remember(person: NDArray[np.float64], n: int, places: NDArray[np.float64]) -> None:
    """Note the keypoints of the n-th person in `(keypoint, 2, person)`, where those of one type lie side by side."""
    for k in range(len(person)):
        places[k, 0, n], places[k, 1, n] = person[k]


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
    edge_read: int,
    short_read: int,
    people: NDArray[np.float64],
    used: NDArray[np.int64],
) -> int:
    """Write the people to `people`, at most as many as it has rows, and their seeds to `used`; returns how many."""
    count = 0
    places = np.empty((len(heatmaps), 2, len(people)))
    for n in range(len(seed_keypoints)):
        k = seed_keypoints[n]
        x, y = seed_xy[n]
        if count == len(people):
            break
        if not is_taken(places[k], count, x, y, nms_radius_px):
            people[count, k, 0] = x
            people[count, k, 1] = y
            walk(
                heatmaps, short_offsets, mid_offsets, stride, orders[k],
                short_refinements, edge_read, short_read, people[count],
            )  # fmt: skip
            remember(people[count], count, places)
            used[count] = n
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
    edge_read: Read = "bilinear",
    short_read: Read = "bilinear",
    max_people: int = MAX_CANDIDATES,
) -> Grouping:
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
        edge_read: How mid offsets are read between cells. `bilinear` suits the smooth fields of a network. True fields
            jump where the disks of two people meet: there `nearest` takes the offset of the nearest cell, from that
            cell's centre, and `consistent` that of the cell, of the 3x3 nearest, which points to the very keypoint read
            at. The other two are those of released decoders, see `reads`.
        short_read: How short offsets are read.
        max_people: Stop after so many.

    Returns:
        At most `max_people` people in the order of their seeds.

    Source: PersonLab, section 3.1, greedy grouping. Departure: every read but `bilinear`.
    """
    people = np.empty((min(len(seeds.scores), max_people), len(orders), 2))
    used = np.empty(len(people), dtype=np.int64)
    count = _group(
        seeds.keypoints, seeds.xy, heatmaps, short_offsets, mid_offsets, stride, orders, nms_radius_px,
        short_refinements, READS.index(edge_read), READS.index(short_read), people, used,
    )  # fmt: skip
    return Grouping(people[:count], used[:count])


@njit(cache=True, nogil=True)
def _select(
    seed_keypoints: NDArray[np.int64],
    seed_xy: NDArray[np.float64],
    walked: NDArray[np.float64],
    nms_radius_px: float,
    people: NDArray[np.float64],
    used: NDArray[np.int64],
) -> int:
    """As `_group`, where the walks are done already."""
    count = 0
    places = np.empty((walked.shape[1], 2, len(people)))
    for n in range(len(seed_keypoints)):
        if count == len(people):
            break
        if not is_taken(places[seed_keypoints[n]], count, seed_xy[n, 0], seed_xy[n, 1], nms_radius_px):
            people[count] = walked[n]
            remember(people[count], count, places)
            used[count] = n
            count += 1
    return count


def select_walked(
    seeds: Seeds,
    walked: Float64[np.ndarray, "seed keypoint 2"],
    nms_radius_px: float = 10.0,
    max_people: int = MAX_CANDIDATES,
) -> Grouping:
    """What `group_keypoints` gives, from walks that were taken from every seed beforehand.

    Args:
        seeds: Starting points, best first.
        walked: The person each would become.
        nms_radius_px: A seed this near to the same keypoint of a person is that person's.
        max_people: Stop after so many.

    Returns:
        At most `max_people` people in the order of their seeds.
    """
    people = np.empty((min(len(seeds.scores), max_people), *walked.shape[1:]))
    used = np.empty(len(people), dtype=np.int64)
    count = _select(seeds.keypoints, seeds.xy, walked, nms_radius_px, people, used)
    return Grouping(people[:count], used[:count])
