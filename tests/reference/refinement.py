"""Recurrent offset refinement in literal loops over plain numbers (PersonLab, eq. 2 and 5)."""

from __future__ import annotations

import math

import numpy as np


def read(field: np.ndarray, x_px: float, y_px: float, stride: int) -> np.ndarray:
    """Bilinear value of `(channel, height, width)` at a place in pixels, clamped to the map."""
    height, width = field.shape[1:]
    x = min(max(x_px / stride, 0.0), width - 1.0)
    y = min(max(y_px / stride, 0.0), height - 1.0)
    x0, y0 = min(math.floor(x), max(width - 2, 0)), min(math.floor(y), max(height - 2, 0))
    x1, y1 = min(x0 + 1, width - 1), min(y0 + 1, height - 1)
    fx, fy = x - x0, y - y0
    top = field[:, y0, x0] * (1 - fx) + field[:, y0, x1] * fx
    bottom = field[:, y1, x0] * (1 - fx) + field[:, y1, x1] * fx
    return top * (1 - fy) + bottom * fy


def step(offsets: np.ndarray, correction: np.ndarray, stride: int) -> np.ndarray:
    """One step for one entry: `(2, height, width)` offsets plus what `correction` says where they point."""
    result = np.empty_like(offsets)
    for i in range(offsets.shape[1]):
        for j in range(offsets.shape[2]):
            dx, dy = offsets[:, i, j]
            result[:, i, j] = offsets[:, i, j] + read(correction, j * stride + dx, i * stride + dy, stride)
    return result


def refine_mid(mid: np.ndarray, short: np.ndarray, edges: list[tuple[int, int]], stride: int, steps: int) -> np.ndarray:
    """`(edge, 2, height, width)` mid offsets of one image, moved by the target keypoint's short offsets."""
    result = mid.copy()
    for e, (_, target) in enumerate(edges):
        for _ in range(steps):
            result[e] = step(result[e], short[target], stride)
    return result


def refine_long(long: np.ndarray, short: np.ndarray, stride: int, steps: int, short_steps: int) -> np.ndarray:
    """`(keypoint, 2, height, width)` long offsets of one image, moved by themselves, then by the short offsets."""
    result = long.copy()
    for k in range(long.shape[0]):
        for _ in range(steps):
            result[k] = step(result[k], result[k].copy(), stride)
        for _ in range(short_steps):
            result[k] = step(result[k], short[k], stride)
    return result
