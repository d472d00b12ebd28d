"""Targets by literal loops over people, keypoints and cells, one sample at a time (numpy float64)."""

from __future__ import annotations

from typing import Any

import numpy as np

from personlab.skeleton import Skeleton

CROWD, UNANNOTATED, UNMASKED = 1, 2, 4
OFFSETS_ONLY = 3


def infer_places(keypoints: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """(person, keypoint, 3) of x, y and state: 2 labelled, 1 inferred, 0 unknown."""
    result = np.zeros(keypoints.shape)
    for j, person in enumerate(keypoints):
        places = {k: person[k, :2].astype(float) for k in range(len(person)) if person[k, 2] > 0}
        state = dict.fromkeys(places, 2)
        while places and len(places) < len(person):
            before = dict(places)
            for k in range(len(person)):
                near = [before[n] for n in skeleton.neighbours[k] if n in before]
                if k not in before and near:
                    places[k], state[k] = sum(near) / len(near), 1
        for k, place in places.items():
            result[j, k] = *place, state[k]
    return result


def encode(
    keypoints: np.ndarray,
    label_map: np.ndarray,
    skeleton: Skeleton,
    radius: float,
    stride: int,
    unlabelled: str = "negative",
    complete: bool = False,
    area: bool = True,
    valid: bool = True,
) -> dict[str, Any]:
    """All fields of `Targets` of one sample, from keypoints (person, keypoint, 3) and label map (3, height, width)."""
    rows, columns = label_map.shape[1:]
    height, width = (rows - 1) // stride + 1, (columns - 1) // stride + 1
    k_all, edges = skeleton.num_keypoints, skeleton.directed_edges
    t: dict[str, Any] = {
        "heatmaps": np.zeros((k_all, height, width)),
        "heatmap_valid": np.zeros((k_all, height, width), bool),
        "short_offsets": np.zeros((k_all, 2, height, width)),
        "short_valid": np.zeros((k_all, height, width), bool),
        "mid_offsets": np.zeros((len(edges), 2, height, width)),
        "mid_valid": np.zeros((len(edges), height, width), bool),
        "segmentation": np.zeros((1, height, width)),
        "segmentation_valid": np.zeros((1, height, width), bool),
        "long_offsets": np.zeros((k_all, 2, height, width)),
        "long_valid": np.zeros((k_all, height, width), bool),
    }
    places = infer_places(keypoints, skeleton)
    if complete:
        for place in places.reshape(-1, 3):
            if place[2] == 1:  # in single precision, as ties are rounded
                place[:2] = np.floor(place[:2].astype(np.float32) / np.float32(stride) + np.float32(0.5)) * stride
    least = 1 if complete else 2
    for i in range(height):
        for j in range(width):
            x = np.array([j * stride, i * stride], float)
            first, second, ignore = (int(v) for v in label_map[:, i * stride, j * stride])
            t["segmentation"][0, i, j] = _share(label_map[0], i * stride, j * stride, stride // 2 if area else 0)
            if not valid:
                continue
            t["segmentation_valid"][0, i, j] = not ignore & (CROWD | UNMASKED)
            for k in range(k_all):
                inside = [(float(((p[k, :2] - x) ** 2).sum()), n) for n, p in enumerate(places) if p[k, 2] > 0]
                inside = [(d, n) for d, n in inside if d <= radius**2]
                positive = any(places[n][k, 2] == 2 and keypoints[n, k, 2] != OFFSETS_ONLY for _, n in inside)
                guessed = any(places[n][k, 2] == 1 for _, n in inside)
                imputed = any(keypoints[n, k, 2] == OFFSETS_ONLY for _, n in inside)
                t["heatmaps"][k, i, j] = positive
                left_out = imputed or (unlabelled == "ignore" and guessed)
                t["heatmap_valid"][k, i, j] = not ignore & (CROWD | UNANNOTATED) and (positive or not left_out)
                known = [(d, n) for d, n in inside if places[n][k, 2] >= least]
                if known:
                    person = places[min(known)[1]]
                    t["short_valid"][k, i, j] = True
                    t["short_offsets"][k, :, i, j] = person[k, :2] - x
                    for e, (source, target) in enumerate(edges):
                        if source == k and person[target, 2] >= least:
                            t["mid_valid"][e, i, j] = True
                            t["mid_offsets"][e, :, i, j] = person[target, :2] - x
                if first and not second and not ignore & CROWD and places[first - 1][k, 2] >= least:
                    t["long_valid"][k, i, j] = True
                    t["long_offsets"][k, :, i, j] = places[first - 1][k, :2] - x
    return t


def _share(first: np.ndarray, y: int, x: int, half: int) -> float:
    """Share of covered pixels in the window around a pixel, counting only pixels of the image."""
    inside = [
        first[v, u] > 0
        for v in range(y - half, y + half + 1)
        for u in range(x - half, x + half + 1)
        if 0 <= v < first.shape[0] and 0 <= u < first.shape[1]
    ]
    return float(np.mean(inside))
