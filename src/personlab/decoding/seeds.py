"""Seeds: the local maxima of the Hough score maps, best first."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64
from numba import njit
from numpy.typing import NDArray

MAX_SEEDS = 10_000
"""Seeds kept of one image, best first. Only fields of noise have more: it bounds the time they take."""
CENTROID_RADIUS_PX = 8.0
"""Votes this near to a peak, along each axis, place it: 5x5 cells of a 4 px grid, and never less than 3x3 cells."""


class Seeds(NamedTuple):
    """Starting points of people, best first.

    Attributes:
        scores: Hough score of the peak.
        keypoints: Which keypoint the seed is.
        xy: Its place in `crop_xy`.
    """

    scores: Float32[np.ndarray, " seed"]
    keypoints: Int64[np.ndarray, " seed"]
    xy: Float64[np.ndarray, "seed 2"]


@njit(cache=True, nogil=True)
def _is_peak(plane: NDArray[np.float32], i: int, j: int) -> bool:
    """Whether no cell of the 3x3 window is larger; of equal cells the first in reading order wins."""
    height, width = plane.shape
    value = plane[i, j]
    for a in range(max(i - 1, 0), min(i + 2, height)):
        for b in range(max(j - 1, 0), min(j + 2, width)):
            other = plane[a, b]
            if other > value or (other == value and (a < i or (a == i and b < j))):
                return False
    return True


@njit(cache=True, nogil=True, fastmath=True)
def _largest(row: NDArray[np.float32]) -> np.float32:
    """Largest vote of a row, several cells at a time; votes are always finite."""
    value = row[0]
    for j in range(1, len(row)):
        value = max(value, row[j])
    return value


@njit(cache=True, nogil=True)
def _peaks(votes: NDArray[np.float32], threshold: float, found: NDArray[np.int64]) -> int:
    """Write the flat indices of all peaks above `threshold` to `found`; returns how many."""
    keypoints, height, width = votes.shape
    count = 0
    for k in range(keypoints):
        plane = votes[k]
        for i in range(height):
            if not _largest(plane[i]) > threshold:
                continue
            for j in range(width):
                if plane[i, j] > threshold and _is_peak(plane, i, j):
                    found[count] = (k * height + i) * width + j
                    count += 1
    return count


@njit(cache=True, nogil=True)
def _centroids(
    votes: NDArray[np.float32], peaks: NDArray[np.int64], radius: int, grid_px: float, xy: NDArray[np.float64]
) -> None:
    """Write the centroid of the votes around each peak to `xy`, in pixels."""
    _, height, width = votes.shape
    for n in range(len(peaks)):
        j = peaks[n] % width
        i = peaks[n] // width % height
        plane = votes[peaks[n] // (width * height)]
        total = x = y = 0.0
        for a in range(max(i - radius, 0), min(i + radius + 1, height)):
            for b in range(max(j - radius, 0), min(j + radius + 1, width)):
                total += plane[a, b]
                x += plane[a, b] * b
                y += plane[a, b] * a
        xy[n, 0] = x / total * grid_px
        xy[n, 1] = y / total * grid_px


def find_seeds(
    votes: Float32[np.ndarray, "keypoint rows columns"],
    threshold: float,
    grid_px: float,
    centroid_radius_px: float = CENTROID_RADIUS_PX,
) -> Seeds:
    """All local maxima above a threshold, best first.

    Args:
        votes: Hough score maps.
        threshold: Peaks must be higher than this; at least 0.
        grid_px: Pixels between cells of the score maps.
        centroid_radius_px: The place of a peak is the centroid of the votes this near to it along each axis.

    Returns:
        The best `MAX_SEEDS` peaks. The order is deterministic: equal scores stay in the order of keypoint, row, column.

    Source: PersonLab, section 3.1, "grouping keypoints into person detection instances". Departure: the sub-cell place
    is the centroid of the peak's neighbourhood, where the paper does not say.
    """
    # Two peaks are never neighbours, so that every 2x2 block holds at most one.
    bound = votes.shape[0] * ((votes.shape[1] + 1) // 2) * ((votes.shape[2] + 1) // 2)
    found = np.empty(bound, dtype=np.int64)
    peaks = found[: _peaks(votes, threshold, found)]
    peaks = peaks[np.argsort(-votes.ravel()[peaks], kind="stable")[:MAX_SEEDS]]
    xy = np.empty((len(peaks), 2))
    _centroids(votes, peaks, max(round(centroid_radius_px / grid_px), 1), grid_px, xy)
    return Seeds(votes.ravel()[peaks], peaks // (votes.shape[1] * votes.shape[2]), xy)
