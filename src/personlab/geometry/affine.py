"""Affine matrices between frames, `(2, 3)` float64, acting on (x, y)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Affine = NDArray[np.float64]


def identity() -> Affine:
    """The matrix that moves nothing."""
    return np.eye(2, 3)


def translation(dx: float, dy: float) -> Affine:
    """Shift by (dx, dy) pixels."""
    return np.array([[1.0, 0.0, dx], [0.0, 1.0, dy]])


def scaling(factor: float) -> Affine:
    """Scale about the centre of pixel (0, 0), so that resized maps stay corner-aligned."""
    return np.array([[factor, 0.0, 0.0], [0.0, factor, 0.0]])


def rotation(degrees: float) -> Affine:
    """Rotate about (0, 0); positive turns x towards y (clockwise on the screen)."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, -s, 0.0], [s, c, 0.0]])


def horizontal_flip(width: int) -> Affine:
    """Mirror an image of `width` pixels: pixel x goes to `width - 1 - x`."""
    return np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0]])


def compose(*steps: Affine) -> Affine:
    """One matrix for several, the first step applied first."""
    total = np.eye(3)
    for step in steps:
        total = np.vstack([step, [0.0, 0.0, 1.0]]) @ total
    return total[:2]


def invert(matrix: Affine) -> Affine:
    """The way back."""
    return np.linalg.inv(np.vstack([matrix, [0.0, 0.0, 1.0]]))[:2]


def apply(matrix: Affine, place_xy: NDArray[np.floating]) -> NDArray[np.float64]:
    """Move places `(..., 2)`."""
    return np.asarray(place_xy, dtype=np.float64) @ matrix[:, :2].T + matrix[:, 2]


def fit_longer_side(height: int, width: int, longer_side: int) -> Affine:
    """The matrix that resizes an image so that its longer side has `longer_side` pixels, corners on corners."""
    return scaling((longer_side - 1) / max(height - 1, width - 1, 1))
