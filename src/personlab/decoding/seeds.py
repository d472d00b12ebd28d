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


@njit(cache=True, nogil=True, inline="always")
def _is_peak(plane: NDArray[np.float32], i: int, j: int) -> bool:
    """Whether no cell of the 3x3 window is larger; of equal cells the first in reading order wins."""
    height, width = plane.shape
    value = plane[i, j]
    if 0 < i < height - 1 and 0 < j < width - 1:  # nearly always; all eight without a branch, which none foresees
        return (
            (plane[i - 1, j - 1] < value) & (plane[i - 1, j] < value) & (plane[i - 1, j + 1] < value)
            & (plane[i, j - 1] < value) & (plane[i, j + 1] <= value)
            & (plane[i + 1, j - 1] <= value) & (plane[i + 1, j] <= value) & (plane[i + 1, j + 1] <= value)
        )  # fmt: skip
    for a in range(max(i - 1, 0), min(i + 2, height)):
        for b in range(max(j - 1, 0), min(j + 2, width)):
            other = plane[a, b]
            if other > value or (other == value and (a < i or (a == i and b < j))):
                return False
    return True


@njit(cache=True, nogil=True)
def _peaks(votes: NDArray[np.float32], candidates: NDArray[np.int64]) -> int:
    """Move those of the rising flat indices that are peaks to the front, in their order; returns how many."""
    _, height, width = votes.shape
    count = k = i = start = 0
    for n in range(len(candidates)):
        while candidates[n] >= start + width:  # to the row of the candidate; a division each takes longer
            start += width
            i += 1
            if i == height:
                k, i = k + 1, 0
        if _is_peak(votes[k], i, candidates[n] - start):
            candidates[count] = candidates[n]
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
    candidates = np.flatnonzero(votes.ravel() > threshold)
    peaks = candidates[: _peaks(votes, candidates)]
    peaks = peaks[np.argsort(-votes.ravel()[peaks], kind="stable")[:MAX_SEEDS]]
    xy = np.empty((len(peaks), 2))
    _centroids(votes, peaks, max(round(centroid_radius_px / grid_px), 1), grid_px, xy)
    return Seeds(votes.ravel()[peaks], peaks // (votes.shape[1] * votes.shape[2]), xy)
