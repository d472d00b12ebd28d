"""Scores of people among others: soft non-maximum suppression, and the hard one for comparisons."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from numba import njit
from numpy.typing import NDArray

from personlab.decoding.grouping import is_taken
from personlab.decoding.scoring import person_scale


@njit(cache=True, nogil=True)
def _unexplained(
    people: NDArray[np.float64], keypoint_scores: NDArray[np.float64], radius_px: float, means: NDArray[np.float64]
) -> None:
    """Fill `means`, one a person, for people in score order."""
    keypoints = people.shape[1]
    places = np.empty((keypoints, 2, len(people)))  # those of one type side by side
    for n in range(len(people)):
        kept = 0.0
        for k in range(keypoints):
            x, y = people[n, k]
            if not is_taken(places[k], n, x, y, radius_px):
                kept += keypoint_scores[n, k]
            places[k, 0, n], places[k, 1, n] = x, y
        means[n] = kept / keypoints


def best_first(scores: Float64[np.ndarray, " person"]) -> NDArray[np.int64]:
    """Indices that sort scores downwards; those that differ by rounding alone stay in the order given."""
    return np.argsort(-np.round(scores, 6), kind="stable")


def unexplained_means(
    people: Float64[np.ndarray, "person keypoint 2"],
    keypoint_scores: Float64[np.ndarray, "person keypoint"],
    nms_radius_px: float,
) -> Float64[np.ndarray, " person"]:
    """Mean over keypoints of the scores of those that no earlier person has within a radius.

    Args:
        people: Places of keypoints in `crop_xy`, best person first.
        keypoint_scores: Score of each.
        nms_radius_px: The same keypoint of two people this near is one keypoint.

    Returns:
        One score a person, in the order given.

    Source: PersonLab, section 3.1, eq. 4.
    """
    means = np.empty(len(people))
    _unexplained(people, keypoint_scores, nms_radius_px, means)
    return means


def soft_nms_scores(
    people: Float64[np.ndarray, "person keypoint 2"],
    keypoint_scores: Float64[np.ndarray, "person keypoint"],
    nms_radius_px: float,
) -> Float64[np.ndarray, " person"]:
    """Scores of people that count only keypoints which no better person has.

    Args:
        people: Places of keypoints in `crop_xy`.
        keypoint_scores: Score of each.
        nms_radius_px: The same keypoint of two people this near is one keypoint.

    Returns:
        One score a person, in the order given. Who is better is told by the mean keypoint score, ties by the order.

    Source: PersonLab, section 3.1, eq. 4.
    """
    order = best_first(keypoint_scores.mean(axis=1))
    scores = np.empty(len(people))
    scores[order] = unexplained_means(people[order], keypoint_scores[order], nms_radius_px)
    return scores


def hard_nms(
    people: Float64[np.ndarray, "person keypoint 2"],
    order: NDArray[np.int64],
    kappas: Float64[np.ndarray, " keypoint"],
    most: float,
) -> NDArray[np.int64]:
    """Leave out people who are too much like a better one.

    Args:
        people: Places of keypoints in `crop_xy`.
        order: Indices of people, best first.
        kappas: OKS constant of each keypoint, relative to the person's scale.
        most: OKS of two people, in the scale of the better one, above which the other is left out.

    Returns:
        The indices that are left, best first.

    Source: non-maximum suppression by keypoints, as in Papandreou et al., CVPR 2017. Departure: not part of PersonLab,
    whose people are scored by `soft_nms_scores`; for comparisons.
    """
    kept: list[int] = []
    for n in order:
        squared = ((people[n] - people[kept]) ** 2).sum(axis=2)
        scales = np.array([person_scale(people[better]) for better in kept]).reshape(-1, 1)
        if not (np.exp(-squared / (2.0 * (scales * kappas) ** 2)).mean(axis=1) > most).any():
            kept.append(int(n))
    return np.array(kept, dtype=np.int64)
