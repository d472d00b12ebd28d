"""Hough score maps: every cell votes for the place its short offset points to."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float32
from numba import njit
from numpy.typing import NDArray

from personlab.geometry.kernels import splat

MIN_VOTE_PROBABILITY = 1e-3
"""Cells less probable than this do not vote: a whole disk of them stays ten times below the default seed threshold."""


@njit(cache=True, nogil=True)
def _vote(
    heatmaps: NDArray[np.float32],
    short_offsets: NDArray[np.float32],
    stride: int,
    grid_px: float,
    weight: float,
    votes: NDArray[np.float32],
) -> None:
    """Add the votes of all cells to `votes`, each `weight` times the cell's probability."""
    keypoints, height, width = heatmaps.shape
    a_cell, to_grid = np.float32(stride), np.float32(1.0 / grid_px)
    least, scale = np.float32(MIN_VOTE_PROBABILITY), np.float32(weight)
    for k in range(keypoints):
        plane = votes[k]
        for i in range(height):
            top = np.float32(i) * a_cell
            for j in range(width):
                p = heatmaps[k, i, j]
                if p > least:
                    x = (np.float32(j) * a_cell + short_offsets[k, 0, i, j]) * to_grid
                    y = (top + short_offsets[k, 1, i, j]) * to_grid
                    splat(plane, x, y, p * scale)


def hough_maps(
    heatmaps: Float32[np.ndarray, "keypoint height width"],
    short_offsets: Float32[np.ndarray, "keypoint 2 height width"],
    stride: int,
    grid_px: float,
    disk_radius_px: float,
) -> Float32[np.ndarray, "keypoint rows columns"]:
    """Vote for the places of keypoints.

    Args:
        heatmaps: Probability that a cell lies in the disk around a keypoint.
        short_offsets: Offset from the cell to that keypoint, in pixels.
        stride: Output stride of both.
        grid_px: Pixels between cells of the score maps: cell g stands at pixel `g * grid_px`.
        disk_radius_px: Radius R of the disks.

    Returns:
        Score maps; a keypoint with a full disk of certain cells that all point to one grid cell scores about 1.

    Source: PersonLab, section 3.1, eq. 1. Departure: the bilinear kernel is as wide as the grid of the score maps; a
    cell counts with its area, so that scores do not depend on the output stride; cells less probable than
    `MIN_VOTE_PROBABILITY` do not vote, and votes outside the map are lost.
    """
    keypoints, height, width = heatmaps.shape
    rows, columns = (int((n - 1) * stride / grid_px) + 1 for n in (height, width))
    votes = np.zeros((keypoints, rows, columns), dtype=np.float32)
    _vote(heatmaps, short_offsets, stride, grid_px, stride**2 / (math.pi * disk_radius_px**2), votes)
    return votes
