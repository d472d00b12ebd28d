"""What a found keypoint is, word by word after the definitions of docs/errors.md."""

from __future__ import annotations

import math

import numpy as np

from personlab.skeleton import Skeleton


def similarity(found: np.ndarray, truth: np.ndarray, area: float, sigma: float) -> float:
    if truth[2] == 0:
        return 0.0
    square = (found[0] - truth[0]) ** 2 + (found[1] - truth[1]) ** 2
    return math.exp(-square / (2 * area * (2 * sigma) ** 2))


def partner(skeleton: Skeleton, keypoint: int) -> int:
    name = skeleton.keypoint_names[keypoint]
    if "left" in name:
        return skeleton.keypoint_names.index(name.replace("left", "right"))
    return skeleton.keypoint_names.index(name.replace("right", "left"))


def labels(
    found: np.ndarray, truth: np.ndarray, areas: np.ndarray, person: int, skeleton: Skeleton, confusions: str
) -> list[str | None]:
    """`found` (keypoint, 2), `truth` (person, keypoint, 3); the found person stands for `person`."""
    result: list[str | None] = []
    for i in range(skeleton.num_keypoints):
        if truth[person, i, 2] == 0:
            result.append(None)
            continue
        own = similarity(found[i], truth[person, i], areas[person], skeleton.sigmas[i])
        if own >= 0.85:
            result.append("good")
            continue
        if own >= 0.5:
            result.append("jitter")
            continue
        best_same = best_other = 0.0
        for q in range(len(truth)):
            for j in range(skeleton.num_keypoints):
                if confusions == "mirrored" and j not in (i, partner(skeleton, i)):
                    continue
                near = similarity(found[i], truth[q, j], areas[q], skeleton.sigmas[j])
                if q != person:
                    best_other = max(best_other, near)
                elif j != i:
                    best_same = max(best_same, near)
        if best_same < 0.5 and best_other < 0.5:
            result.append("miss")
        else:
            result.append("inversion" if best_same >= best_other else "swap")
    return result
