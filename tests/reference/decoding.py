"""The equations of decoding, as literal loops in float64."""

from __future__ import annotations

import math

import numpy as np


def bilinear(plane: np.ndarray, x: float, y: float) -> float:
    """Sum over all cells of the bilinear kernel times the cell, at a place clamped to the map."""
    height, width = plane.shape
    x, y = min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)
    total = 0.0
    for i in range(height):
        for j in range(width):
            total += max(0.0, 1 - abs(x - j)) * max(0.0, 1 - abs(y - i)) * float(plane[i, j])
    return total


def hough(heatmaps: np.ndarray, short: np.ndarray, stride: int, grid_px: float, radius_px: float) -> np.ndarray:
    """Eq. 1: every grid cell collects the votes of every cell."""
    keypoints, height, width = heatmaps.shape
    rows, columns = int((height - 1) * stride / grid_px) + 1, int((width - 1) * stride / grid_px) + 1
    score = np.zeros((keypoints, rows, columns))
    for k in range(keypoints):
        for i in range(height):
            for j in range(width):
                x = (j * stride + float(short[k, 0, i, j])) / grid_px
                y = (i * stride + float(short[k, 1, i, j])) / grid_px
                for r in range(rows):
                    for c in range(columns):
                        kernel = max(0.0, 1 - abs(x - c)) * max(0.0, 1 - abs(y - r))
                        score[k, r, c] += float(heatmaps[k, i, j]) * kernel * stride**2 / (math.pi * radius_px**2)
    return score


def walk(
    start: int, xy: tuple[float, float], short: np.ndarray, mid: np.ndarray, steps: np.ndarray, stride: int, again: int
) -> np.ndarray:
    """One person from one seed: y_l = y_k + M_kl(y_k), then y_l += S_l(y_l) `again` times, each from inside the map."""
    person = np.zeros((len(steps) + 1, 2))
    person[start] = xy
    border = (np.array(short.shape[:1:-1]) - 1) * stride

    def clamp(x: float, y: float) -> np.ndarray:
        return np.clip([x, y], 0, border)

    for edge, source, target in steps:
        x, y = person[source]
        cell = x / stride, y / stride
        x, y = clamp(x, y) + np.array([bilinear(mid[edge, 0], *cell), bilinear(mid[edge, 1], *cell)])
        for _ in range(again):
            cell = x / stride, y / stride
            x, y = clamp(x, y) + np.array([bilinear(short[target, 0], *cell), bilinear(short[target, 1], *cell)])
        person[target] = x, y
    return person


def box_scale(person: np.ndarray, smallest_px: float) -> float:
    """Square root of the area of the tight box around keypoints (K, 2)."""
    width, height = person.max(axis=0) - person.min(axis=0)
    return max(math.sqrt(width * height), smallest_px)


def expected_oks(
    p: float, votes: np.ndarray, x: float, y: float, grid_px: float, radius_px: float, scale: float, kappa: float
) -> float:
    """Eq. 3 for one keypoint of type k at (x, y): `votes` is the Hough map of k, `p` the heatmap there."""
    total = expected = 0.0
    for r in range(votes.shape[0]):
        for c in range(votes.shape[1]):
            squared = (c * grid_px - x) ** 2 + (r * grid_px - y) ** 2
            if squared <= radius_px**2:
                total += float(votes[r, c])
                expected += float(votes[r, c]) * math.exp(-squared / (2 * scale**2 * kappa**2))
    return p * expected / total if total > 0 else 0.0


def soft_nms(people: np.ndarray, keypoint_scores: np.ndarray, radius_px: float) -> np.ndarray:
    """Eq. 4: a person keeps the scores of keypoints that no better person has."""
    count, keypoints = keypoint_scores.shape
    order = sorted(range(count), key=lambda n: -keypoint_scores[n].mean())
    result = np.zeros(count)
    for place, n in enumerate(order):
        for k in range(keypoints):
            if all(math.dist(people[n, k], people[better, k]) > radius_px for better in order[:place]):
                result[n] += keypoint_scores[n, k] / keypoints
    return result


def hard_nms(people: np.ndarray, order: list[int], sigmas: tuple[float, ...], most: float) -> list[int]:
    """People in order without those whose OKS with one that was kept before is above `most`."""
    kept: list[int] = []
    for n in order:
        similar = False
        for better in kept:
            area = float(np.prod(people[better].max(axis=0) - people[better].min(axis=0)))
            oks = 0.0
            for k, sigma in enumerate(sigmas):
                squared = math.dist(people[n, k], people[better, k]) ** 2
                oks += math.exp(-squared / (2 * area * (2 * sigma) ** 2)) / len(sigmas)
            similar = similar or oks > most
        if not similar:
            kept.append(n)
    return kept


def mask_distance(
    long: np.ndarray, person: np.ndarray, probabilities: np.ndarray, scale: float, i: int, j: int, stride: int
) -> float:
    """Eq. 5 and 6 for one cell and one person."""
    total = 0.0
    for k in range(len(person)):
        x, y = j * stride + float(long[k, 0, i, j]), i * stride + float(long[k, 1, i, j])
        total += probabilities[k] * math.dist((x, y), person[k])
    return total / (scale * probabilities.sum())


def mask(
    segmentation: np.ndarray,
    distances: np.ndarray,
    stride: int,
    image_to_crop: np.ndarray,
    size: tuple[int, int],
    segmentation_threshold: float,
    distance_threshold: float,
) -> np.ndarray:
    """Every pixel: probability and distance are interpolated, the latter over likely cells, then compared."""
    height, width = segmentation.shape
    inside = (segmentation >= segmentation_threshold).astype(np.float64)
    near = np.where(inside > 0, distances, 0.0)
    result = np.zeros(size, dtype=np.uint8)
    for v in range(size[0]):
        for u in range(size[1]):
            x, y = image_to_crop @ (u, v, 1) / stride
            shown = -0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5
            if shown and bilinear(segmentation, x, y) >= segmentation_threshold:
                result[v, u] = bilinear(near, x, y) / bilinear(inside, x, y) <= distance_threshold
    return result
