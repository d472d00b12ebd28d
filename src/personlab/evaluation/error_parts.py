"""What breakdowns of errors have in common: matching as COCO's evaluation does it, and the AP that an error costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from personlab.evaluation.bootstrap import Matches, average_precision

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""COCO's thresholds of OKS and IoU."""
NEAR = 0.1
"""OKS or IoU from which on a detection belongs to a person for the sake of telling what is wrong with it."""
SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, math.inf)}
"""COCO's sizes by area in square pixels, from and below."""


@dataclass(frozen=True, eq=False)
class Scene:
    """What is matched in one image.

    Attributes:
        overlaps: `(detection, person)` OKS or IoU.
        scores: `(detection,)` confidences, in any order; of equal ones the first comes first.
        counted: `(person,)` bool; who finds one of the others is ignored.
        crowd: `(person,)` bool: can be found any number of times.
    """

    overlaps: NDArray[np.float64]
    scores: NDArray[np.float64]
    counted: NDArray[np.bool_]
    crowd: NDArray[np.bool_]

    def without(self, detections: NDArray[np.bool_], people: NDArray[np.bool_] | None = None) -> Scene:
        """The same without some detections, and without some people."""
        gone = np.zeros_like(self.counted) if people is None else people
        return Scene(
            self.overlaps[~detections][:, ~gone], self.scores[~detections], self.counted[~gone], self.crowd[~gone]
        )


@dataclass(frozen=True)
class ErrorPart:
    """One type of error.

    Attributes:
        name: Of the type.
        count: How often it happened.
        of: How often it could have.
        unit: What is counted: `keypoints`, `people` or `detections`.
        cost: AP gained by correcting it after the types before it; the costs of all types add up to 1 - AP.
        alone: AP gained by correcting it and nothing else. These add up to nothing in particular.
        after: AP after the correction of this type and all before it.
    """

    name: str
    count: int
    of: int
    unit: str
    cost: float
    alone: float
    after: float

    @property
    def share(self) -> float | None:
        """`count / of`; None if it could not happen."""
        return self.count / self.of if self.of else None

    def to_json(self) -> dict[str, Any]:
        """`type`, `count`, `of`, `unit`, `share`, `ap_cost`, `ap_alone`, `ap_after`."""
        return {
            "type": self.name, "count": self.count, "of": self.of, "unit": self.unit, "share": self.share,
            "ap_cost": self.cost, "ap_alone": self.alone, "ap_after": self.after,
        }  # fmt: skip


def match(scene: Scene, thresholds: NDArray[np.float64] = THRESHOLDS) -> NDArray[np.int64]:
    """Who is found by each detection: the best first, each takes the person it overlaps most of those still free.

    Returns:
        `(threshold, detection)` index of the person, -1 for nobody.

    Source: COCO's evaluation code, `evaluateImg` over people of all sizes, whose matches these are.
    """
    found = np.full((len(thresholds), len(scene.scores)), -1, np.int64)
    people = len(scene.counted)
    if people == 0:
        return found
    least = np.minimum(thresholds, 1 - 1e-10)[:, None]
    free = np.ones((len(thresholds), people), bool)
    for d in np.argsort(-scene.scores, kind="stable"):
        row = scene.overlaps[d]
        fits = free & (row >= least)
        if not fits.any():
            continue
        # Whoever counts goes before those who do not.
        first = fits & scene.counted
        fits = np.where(first.any(axis=1, keepdims=True), first, fits)
        best = people - 1 - np.argmax(np.where(fits, row, -1.0)[:, ::-1], axis=1)  # of equal ones, COCO takes the last
        hit = np.flatnonzero(fits.any(axis=1))
        found[hit, d] = best[hit]
        free[hit, best[hit]] = scene.crowd[best[hit]]
    return found


def is_right(scene: Scene, found: NDArray[np.int64]) -> NDArray[np.bool_]:
    """`(threshold, detection)`: finds a person that counts, by what `match` gave."""
    return np.asarray(np.append(scene.counted, False)[found], bool)  # the last one stands for nobody, -1


def never_right(scene: Scene) -> NDArray[np.bool_]:
    """`(detection,)`: finds nobody who counts at any threshold."""
    return np.logical_not(is_right(scene, match(scene)).any(axis=0))


def ignored_always(scene: Scene) -> NDArray[np.bool_]:
    """`(detection,)`: neither right nor wrong at any threshold."""
    found = match(scene)
    return np.asarray(((found >= 0) & ~is_right(scene, found)).all(axis=0))


def score_scenes(scenes: Sequence[Scene]) -> float:
    """COCO's average precision over people of all sizes; 1 if there is nobody to be found."""
    image, scores, matched, right = [], [], [], []
    for i, scene in enumerate(scenes):
        order = np.argsort(-scene.scores, kind="stable")
        found = match(scene)
        image.append(np.full(len(order), i, np.int64))
        scores.append(scene.scores[order])
        matched.append((found >= 0)[:, order])
        right.append(is_right(scene, found)[:, order])
    hit, good = np.concatenate(matched, axis=1), np.concatenate(right, axis=1)
    truths = np.array([scene.counted.sum() for scene in scenes], np.int64)
    matches = Matches(np.arange(len(scenes)), truths, np.concatenate(image), np.concatenate(scores), hit, hit & ~good)
    value = average_precision(matches.sorted())
    return 1.0 if math.isnan(value) else value


def nearest_people(scene: Scene) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Whom each detection stands for, also where it is too bad for COCO's thresholds.

    Detections are matched as at a threshold of `NEAR`. One that COCO ignores at its lowest threshold stands for nobody,
    unless it reaches that threshold with a person that counts.

    Returns:
        `(detection,)` person that it is matched to, -1 for none; and `(detection,)` person that it is matched to or, if
        it is not, of those from `NEAR` on the one it overlaps most, -1 for none: those who contend for that person.
    """
    ignored = scene.overlaps[:, ~scene.counted].max(axis=1, initial=0.0) >= THRESHOLDS[0]
    hidden = ignored[:, None] & (scene.overlaps < THRESHOLDS[0])
    overlaps = np.where(scene.counted & ~hidden, scene.overlaps, 0.0)
    matched = match(replace(scene, overlaps=overlaps), np.array([NEAR]))[0]
    contended = matched.copy()
    if len(scene.counted):
        best = overlaps.argmax(axis=1)
        reached = overlaps.max(axis=1) >= NEAR
        contended = np.where(matched >= 0, matched, np.where(reached, best, -1))
    return matched, contended


def contenders(contended: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Detections of each person that several contend for, by what `nearest_people` gave."""
    groups = (np.flatnonzero(contended == person) for person in np.unique(contended[contended >= 0]))
    return [group for group in groups if len(group) > 1]


def scoring_errors(scene: Scene, contended: NDArray[np.int64]) -> list[int]:
    """People for whom several detections contend, of which the most confident is not the best."""
    found = []
    for group in contenders(contended):
        person = int(contended[group[0]])
        overlaps = scene.overlaps[group, person]
        if overlaps[scene.scores[group].argmax()] < overlaps.max():  # of equal scores, the first
            found.append(person)
    return found


def rescored(scene: Scene, contended: NDArray[np.int64]) -> Scene:
    """The same with the scores of those who contend for a person dealt out anew: the best of them gets the highest."""
    scores = scene.scores.copy()
    for group in contenders(contended):
        by_score = group[np.argsort(-scene.scores[group], kind="stable")]
        overlap = scene.overlaps[by_score, contended[by_score]]
        scores[by_score[np.argsort(-overlap, kind="stable")]] = scene.scores[by_score]
    return replace(scene, scores=scores)


def ideally_scored(scene: Scene, contended: NDArray[np.int64]) -> Scene:
    """The same with confidences that nothing could be gained over: overlap for the best of each person, 0 for the rest.

    Source: Ronchi and Perona 2017, section 3.2, optimal scores. Departure: theirs is the overlap for all; where a
    decoder leaves several detections a person, that puts one person's duplicates before the only detection of another.
    """
    scores = np.zeros_like(scene.scores)
    for person in np.unique(contended[contended >= 0]):
        group = np.flatnonzero(contended == person)
        best = group[scene.overlaps[group, person].argmax()]
        scores[best] = scene.overlaps[best, person]
    return replace(scene, scores=scores)


def costs(order: Sequence[str], score: Callable[[frozenset[str]], float]) -> dict[str, tuple[float, float, float]]:
    """The AP that each type of error costs.

    Args:
        order: Types of error in the order in which they are corrected. The last one's correction leaves no error.
        score: AP with these types corrected.

    Returns:
        By type: cost after the types before it, cost alone, AP after it; see `ErrorPart`.
    """
    original = before = score(frozenset())
    found = {}
    for n, name in enumerate(order, 1):
        after = score(frozenset(order[:n])) if n < len(order) else 1.0
        found[name] = (after - before, score(frozenset([name])) - original, after)
        before = after
    return found


def size_of(area: float) -> str:
    """COCO's name of a size, by the area in square pixels."""
    return next(name for name, (_, below) in SIZES.items() if area < below)
