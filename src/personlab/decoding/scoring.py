"""Scores of keypoints (Expected-OKS)."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float32, Float64
from numba import njit
from numpy.typing import NDArray

from personlab.geometry.kernels import bilinear_at

MIN_SCALE_PX = 8.0
"""Smallest scale of a person: keypoints on one spot or one line have a box without area."""

RIM = 1.0 + 1e-6
"""Squared radii are stretched by this, so that a cell exactly at the rim is inside however it is rounded."""


@njit(cache=True, nogil=True)
def person_scale(person: NDArray[np.float64]) -> float:
    """Square root of the area of the tight box around keypoints `(keypoint, 2)`, at least `MIN_SCALE_PX`, in pixels."""
    low_x = high_x = person[0, 0]
    low_y = high_y = person[0, 1]
    for k in range(1, len(person)):
        low_x, high_x = min(low_x, person[k, 0]), max(high_x, person[k, 0])
        low_y, high_y = min(low_y, person[k, 1]), max(high_y, person[k, 1])
    return max(math.sqrt((high_x - low_x) * (high_y - low_y)), MIN_SCALE_PX)


@njit(cache=True, nogil=True)
def _span(centre: float, radius: float, size: int) -> tuple[int, int]:
    """First and one past the last of `size` cells within `radius` of `centre`, all in cells."""
    first = min(max(math.ceil(centre - radius), 0.0), float(size))
    stop = min(max(math.floor(centre + radius) + 1.0, first), float(size))
    return int(first), int(stop)


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _row_sums(
    row: NDArray[np.float32], weights: NDArray[np.float32], away: NDArray[np.float32], limit: np.float32
) -> tuple[np.float32, np.float32]:
    """Sum of the cells of a row that are at most `limit` `away`, and of the same weighted.

    In any order, so that it can go several cells at a time.
    """
    total = weighted = np.float32(0.0)
    for j in range(len(row)):
        value = row[j] if away[j] <= limit else np.float32(0.0)
        total += value
        weighted += value * weights[j]
    return total, weighted


@njit(cache=True, nogil=True)
def _gaussian(centre: float, nearest: int, variance: float, shrink: float, falloff: NDArray[np.float32]) -> None:
    """Fill `falloff` with exp(-(j - centre)^2 / (2 variance)) for j = `nearest` - half ... `nearest` + half.

    A step outwards multiplies by a factor that itself shrinks by a constant, `shrink` = exp(-1 / variance), so that
    three more exponentials do for all.
    """
    half = len(falloff) // 2
    away = nearest - centre
    middle = math.exp(-(away**2) / (2.0 * variance))
    up = math.exp(-(2.0 * away + 1.0) / (2.0 * variance))
    down = math.exp((2.0 * away - 1.0) / (2.0 * variance))
    falloff[half] = middle
    low = high = middle
    for step in range(1, half + 1):
        low *= down
        high *= up
        falloff[half - step] = low
        falloff[half + step] = high
        down *= shrink
        up *= shrink


@njit(cache=True, nogil=True)
def _expected_oks(
    plane: NDArray[np.float32],
    x: float,
    y: float,
    radius: float,
    variance: float,
    columns: NDArray[np.float32],
    rows: NDArray[np.float32],
    away: NDArray[np.float32],
) -> float:
    """Mean of the OKS over the votes within `radius` of (x, y), in cells; 0 without votes.

    The OKS is a Gaussian, so that it is a product of one factor a row (`rows`) and one a column (`columns`); `away` are
    squared distances along a row.
    """
    height, width = plane.shape
    top, bottom = _span(y, radius, height)
    left, right = _span(x, radius, width)
    if top == bottom or left == right:
        return 0.0
    half = len(columns) // 2
    nearest_x, nearest_y = math.floor(x + 0.5), math.floor(y + 0.5)
    shrink = math.exp(-1.0 / variance)
    _gaussian(x, nearest_x, variance, shrink, columns)
    _gaussian(y, nearest_y, variance, shrink, rows)
    weights = columns[left - nearest_x + half : right - nearest_x + half]
    for j in range(left, right):
        away[j - left] = (j - x) ** 2
    total = expected = 0.0
    for i in range(top, bottom):
        limit = radius**2 * RIM - (i - y) ** 2
        row_total, row_expected = _row_sums(plane[i, left:right], weights, away[: right - left], np.float32(limit))
        total += row_total
        expected += row_expected * rows[i - nearest_y + half]
    return expected / total if total > 0.0 else 0.0


@njit(cache=True, nogil=True)
def _score_keypoints(
    people: NDArray[np.float64],
    heatmaps: NDArray[np.float32],
    stride: int,
    votes: NDArray[np.float32],
    grid_px: float,
    radius_px: float,
    kappas: NDArray[np.float64],
    expected_oks: bool,
    probabilities: NDArray[np.float64],
    scores: NDArray[np.float64],
) -> None:
    """Fill `probabilities` and `scores`, both `(person, keypoint)`."""
    columns = np.empty(2 * int(radius_px / grid_px + 1.0) + 1, dtype=np.float32)
    rows, away = np.empty_like(columns), np.empty_like(columns)
    for n in range(len(people)):
        scale = person_scale(people[n]) / grid_px
        for k in range(people.shape[1]):
            x, y = people[n, k]
            p = bilinear_at(heatmaps[k], x / stride, y / stride)
            probabilities[n, k] = p if p > 0.0 else 0.0  # not a number counts as 0
            scores[n, k] = probabilities[n, k]
            if expected_oks and scores[n, k] > 0.0:
                variance = (scale * kappas[k]) ** 2
                scores[n, k] *= _expected_oks(
                    votes[k], x / grid_px, y / grid_px, radius_px / grid_px, variance, columns, rows, away
                )  # fmt: skip


def score_keypoints(
    people: Float64[np.ndarray, "person keypoint 2"],
    heatmaps: Float32[np.ndarray, "keypoint height width"],
    stride: int,
    votes: Float32[np.ndarray, "keypoint rows columns"],
    grid_px: float,
    disk_radius_px: float,
    kappas: Float64[np.ndarray, " keypoint"],
    expected_oks: bool = True,
) -> tuple[Float64[np.ndarray, "person keypoint"], Float64[np.ndarray, "person keypoint"]]:
    """Score every keypoint of every person.

    Args:
        people: Places of keypoints in `crop_xy`.
        heatmaps: Probability of the disks, read bilinearly at each keypoint.
        stride: Output stride of the heatmaps.
        votes: Hough score maps.
        grid_px: Pixels between cells of the score maps.
        disk_radius_px: Radius R of the disks.
        kappas: OKS constant of each keypoint, relative to the person's scale.
        expected_oks: Weigh the probability with the OKS expected under the votes; otherwise it is the score.

    Returns:
        The probability at each keypoint, and its score. Keypoints without votes around them have score 0.

    Source: PersonLab, section 3.1, eq. 3. Departure: the scale of a person is at least `MIN_SCALE_PX`.
    """
    probabilities = np.empty(people.shape[:2])
    scores = np.empty(people.shape[:2])
    _score_keypoints(
        people, heatmaps, stride, votes, grid_px, disk_radius_px, kappas, expected_oks, probabilities, scores
    )
    return probabilities, scores
