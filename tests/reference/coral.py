"""The rules of the released decoder for edge devices, word by word, in block units and without any sharing."""

from __future__ import annotations

import math

import numpy as np

from personlab.skeleton import COCO


def read(plane: np.ndarray, y: float, x: float) -> float:
    height, width = plane.shape
    y0, x0 = math.floor(y), math.floor(x)
    y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
    v, u = y - y0, x - x0
    return float(
        (1 - v) * ((1 - u) * plane[y0, x0] + u * plane[y0, x1]) + v * ((1 - u) * plane[y1, x0] + u * plane[y1, x1])
    )


def move(field: np.ndarray, y: float, x: float) -> tuple[float, float]:
    """`field` is (2, height, width), (dx, dy) in blocks."""
    _, height, width = field.shape
    to_y, to_x = y + read(field[1], y, x), x + read(field[0], y, x)
    return min(max(to_y, 0.0), height - 1.0), min(max(to_x, 0.0), width - 1.0)


def close(a: tuple[float, float], b: tuple[float, float], radius: float) -> bool:
    return (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 <= radius**2


def decode(
    logits: np.ndarray, short: np.ndarray, mid: np.ndarray, most: int, threshold: float, radius: float, steps: int
) -> list[tuple[float, list[tuple[float, float]], list[float]]]:
    """(score, places (y, x), scores of keypoints) of each person; offsets and radius in blocks."""
    keypoints, height, width = logits.shape
    floor = math.log(threshold / (1 - threshold))
    seeds = []
    for k in range(keypoints):
        for i in range(height):
            for j in range(width):
                window = logits[k, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
                if logits[k, i, j] >= floor and logits[k, i, j] >= window.max():
                    y = min(max(i + float(short[k, 1, i, j]), 0.0), height - 1.0)
                    x = min(max(j + float(short[k, 0, i, j]), 0.0), width - 1.0)
                    seeds.append((float(logits[k, i, j]), k, (y, x)))
    seeds.sort(key=lambda seed: -seed[0])
    people: list[tuple[list[tuple[float, float]], list[float]]] = []
    for _, k, place in seeds:
        if len(people) == most:
            break
        if any(close(place, places[k], radius) for places, _ in people):
            continue
        places = {k: place}
        while len(places) < keypoints:
            for edge, (source, target) in enumerate(COCO.directed_edges.tolist()):
                if source in places and target not in places:
                    y, x = move(mid[edge], *places[source])
                    for _ in range(steps):
                        y, x = move(short[target], y, x)
                    places[target] = (y, x)
        scores = [1 / (1 + math.exp(-read(logits[n], *places[n]))) for n in range(keypoints)]
        if sum(scores) / keypoints >= threshold:
            people.append(([places[n] for n in range(keypoints)], scores))
    people.sort(key=lambda person: -sum(person[1]))
    found = []
    for n, (own, scores) in enumerate(people):
        kept = 0.0
        for k in range(keypoints):
            if not any(close(own[k], better[k], radius) for better, _ in people[:n]):
                kept += scores[k]
        found.append((kept / keypoints, own, scores))
    found.sort(key=lambda person: -person[0])
    return [person for person in found if person[0] >= threshold]


def owner(long: np.ndarray, people: np.ndarray, i: int, j: int, steps: int) -> int:
    """Which of the people (n, K, 2), (x, y) in blocks, a cell points to."""
    totals = np.zeros(len(people))
    for k, field in enumerate(long):
        y, x = float(i), float(j)
        for _ in range(steps + 1):
            y, x = move(field, y, x)
        totals += (people[:, k, 0] - x) ** 2 + (people[:, k, 1] - y) ** 2
    return int(np.argmin(totals))
