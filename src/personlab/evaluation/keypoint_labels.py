"""What a found keypoint is: good, or wrong in which way; and how like a person's the keypoints of a detection are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from personlab.skeleton import Skeleton

LABELS = ("good", "jitter", "inversion", "swap", "miss")
"""What a found keypoint is."""
GOOD, CLOSE = 0.85, 0.5
"""Keypoint similarity from which on a keypoint is good, and from which on it is at a place at all."""
Confusions = Literal["mirrored", "any"]
"""Which keypoints a keypoint may be taken for: the one of its name on the other side of the body, or any other."""


def keypoint_similarity(
    found_xy: NDArray[np.float64], truth: NDArray[np.float64], areas: NDArray[np.float64], sigmas: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How near found keypoints are to true ones, whichever, in terms of these.

    Args:
        found_xy: `(keypoint, 2)` of one detection.
        truth: `(person, keypoint, 3)`, x, y and COCO's visibility.
        areas: `(person,)` square pixels.
        sigmas: `(keypoint,)` of the skeleton.

    Returns:
        `(found keypoint, person, true keypoint)` exp(-d² / (2 · area · (2 sigma)²)), 0 for one that is not labelled.
        Scale and sigma are those of the true keypoint.

    Source: Ronchi and Perona 2017, eq. 1; the constants are those of COCO's evaluation code.
    """
    square = ((found_xy[:, None, None] - truth[None, :, :, :2]) ** 2).sum(axis=-1)
    similarity = np.exp(-square / (2 * sigmas) ** 2 / (areas + np.spacing(1))[:, None] / 2)
    return np.where(truth[:, :, 2] > 0, similarity, 0.0)


def label_keypoints(
    similarity: NDArray[np.float64],
    labelled: NDArray[np.bool_],
    person: int,
    skeleton: Skeleton,
    confusions: Confusions,
) -> NDArray[np.int8]:
    """What each keypoint of a detection is.

    Args:
        similarity: `(found keypoint, person, true keypoint)`, see `keypoint_similarity`.
        labelled: `(keypoint,)`: the person has it.
        person: Whom the detection stands for.
        skeleton: Of all.
        confusions: See there.

    Returns:
        `(keypoint,)` index into `LABELS`, -1 where the person's keypoint is not labelled.

    Source: Ronchi and Perona 2017, section 3.1. Departure: one that is close to a place on the same person and to
    another person's is what it is closer to, the same person in doubt; the paper does not say.
    """
    count = skeleton.num_keypoints
    own = similarity[np.arange(count), person, np.arange(count)]
    if confusions == "mirrored":
        taken_for = np.eye(count, dtype=bool)
        taken_for[np.arange(count), skeleton.flip_permutation] = True
    else:
        taken_for = np.ones((count, count), bool)
    places = np.where(taken_for[:, None], similarity, 0.0)
    same = np.where(np.eye(count, dtype=bool), 0.0, places[:, person]).max(axis=1)
    other = np.delete(places, person, axis=1).max(axis=(1, 2), initial=0.0)
    confused = np.where(same >= other, LABELS.index("inversion"), LABELS.index("swap"))
    labels = np.where(np.maximum(same, other) >= CLOSE, confused, LABELS.index("miss"))
    labels = np.where(own >= CLOSE, LABELS.index("jitter"), labels)
    labels = np.where(own >= GOOD, LABELS.index("good"), labels)
    return np.where(labelled, labels, -1).astype(np.int8)


def object_similarity(
    found_xy: NDArray[np.float64],
    truth: NDArray[np.float64],
    people: Sequence[Mapping[str, Any]],
    sigmas: NDArray[np.float64],
) -> NDArray[np.float64]:
    """OKS, object keypoint similarity.

    Args:
        found_xy: `(detection, keypoint, 2)`.
        truth: `(person, keypoint, 3)`, x, y and COCO's visibility.
        people: Annotations of the people, with `area` and `bbox`.
        sigmas: `(keypoint,)` of the skeleton.

    Returns:
        `(detection, person)`, 0 to 1. To somebody without labelled keypoints: by how far the keypoints lie outside of a
        box three times as wide and high as the person's.

    Source: COCO's evaluation code, `computeOks`, whose number this is.
    """
    if not len(found_xy) or not len(truth):
        return np.zeros((len(found_xy), len(truth)))
    labelled = truth[:, :, 2] > 0
    offset = found_xy[:, None] - truth[None, :, :, :2]
    box = np.array([p["bbox"] for p in people], np.float64)[None, :, None]
    low, high = box[..., :2] - box[..., 2:], box[..., :2] + 2 * box[..., 2:]
    xy = found_xy[:, None]
    outside = np.maximum(low - xy, 0) + np.maximum(xy - high, 0)
    anybody: NDArray[np.bool_] = np.logical_not(labelled.any(axis=1))
    offset = np.where(anybody[None, :, None, None], outside, offset)
    areas = np.array([p["area"] for p in people], np.float64) + np.spacing(1)
    similarity = np.exp(-(offset**2).sum(axis=-1) / (2 * sigmas) ** 2 / areas[:, None] / 2)
    weight = labelled | anybody[:, None]
    return (similarity * weight).sum(axis=-1) / weight.sum(axis=-1)
