"""What is wrong with found masks, and the AP that each type of error costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from personlab.evaluation.error_cases import Case, masks_of, read_cases
from personlab.evaluation.error_parts import (
    SIZES,
    THRESHOLDS,
    ErrorPart,
    Scene,
    costs,
    ideally_scored,
    ignored_always,
    nearest_people,
    never_right,
    rescored,
    score_scenes,
    scoring_errors,
    size_of,
)
from personlab.evaluation.results import Result
from personlab.skeleton import COCO, Skeleton

MASK_LABELS = ("good", "boundary", "another", "merged", "duplicate", "spurious")
"""What a found mask is; `another`, `merged` and `duplicate` are the errors of the type `wrong_person`."""
MASK_ORDER = ("score", "boundary", "wrong_person", "spurious", "missed")
"""Types of error in the order in which they are corrected."""
MAINLY = 0.5
"""Share of pixels from which on a mask lies mainly on a person, and from which on it holds one."""
_WRONG_PERSON = ("another", "merged", "duplicate")


@dataclass(frozen=True, eq=False)
class MaskErrors:
    """Errors of found masks; definitions in docs/errors.md.

    Source: the idea of correcting one type after the other is that of Ronchi and Perona, Benchmarking and Error
    Diagnosis in Multi-Instance Pose Estimation, ICCV 2017, section 4, who have keypoints alone. The types are ours.

    Attributes:
        ap: COCO's mask AP, 0 to 1.
        ap_ideal_scores: AP of the same masks if confidences were ideal, see `ideally_scored`.
        parts: Types of error in `MASK_ORDER`; their costs add up to 1 - `ap`.
        images: Images looked at.
        people: People to be found in them.
        detections: Detections that COCO's evaluation looks at and does not ignore at every threshold.
        ignored: Those that it does ignore at every threshold.
        matched: People who have a detection.
        masks: How many masks are what, by `MASK_LABELS`.
        ious: How many people have a best detection of an IoU from .1, .2, ... and .9 on, below the next.
        sizes: By size of the person (a spurious mask's own), how many people, labels, errors of score and missed.
        labels: `(result,)` int8 index into `MASK_LABELS`; -1 for what is ignored, and for a detection that is right at
            some threshold although a better one is there: an error of score.
    """

    ap: float
    ap_ideal_scores: float
    parts: tuple[ErrorPart, ...]
    images: int
    people: int
    detections: int
    ignored: int
    matched: int
    masks: dict[str, int]
    ious: dict[str, int]
    sizes: dict[str, dict[str, int]]
    labels: NDArray[np.int8]

    def to_json(self) -> dict[str, Any]:
        """All attributes but `labels`, with `parts` as `ErrorPart.to_json` gives them."""
        plain = {k: v for k, v in vars(self).items() if k not in ("parts", "labels")}
        return plain | {"parts": [part.to_json() for part in self.parts]}


def mask_errors(
    annotations: str | Path | Mapping[str, Any],
    results: Sequence[Result],
    skeleton: Skeleton = COCO,
    image_ids: Iterable[int] | None = None,
    only_with_keypoints: bool = False,
    source: str = "results",
) -> MaskErrors:
    """Tell what is wrong with found masks, and the AP that it costs.

    Args:
        annotations: COCO annotation file, or its content.
        results: COCO results of these images.
        skeleton: Of the annotations; matters to who has keypoints.
        image_ids: Images that were looked at; None for all of the annotations.
        only_with_keypoints: Leave people without any labelled keypoint out of the ground truth, see `CocoAP`.
        source: What to call the results in errors.

    Raises:
        InputError: If annotations or results cannot be used, or nobody in the images counts.
    """
    cases = read_cases(annotations, results, "segmentation", skeleton, image_ids, only_with_keypoints, source)
    images = [_Image.of(case, source) for case in cases]
    labels = np.full(len(results), -1, np.int8)
    for image in images:
        labels[image.case.rows] = image.labels
    masks = {label: int((labels == n).sum()) for n, label in enumerate(MASK_LABELS)}
    sizes = _by_size(images)
    ignored = sum(int(ignored_always(image.scene).sum()) for image in images)
    detections = sum(len(image.labels) for image in images) - ignored
    best = np.concatenate([image.best_ious for image in images])
    tenths = np.clip((best * 10 + 1e-9).astype(int), 1, 9)
    return MaskErrors(
        ap=score_scenes([image.scene for image in images]),
        ap_ideal_scores=score_scenes([ideally_scored(image.scene, image.contended) for image in images]),
        parts=_parts(images, masks, sizes, detections),
        images=len(images),
        people=sum(size["people"] for size in sizes.values()),
        detections=detections,
        ignored=ignored,
        matched=len(best),
        masks=masks,
        ious={f"{n / 10}": int((tenths == n).sum()) for n in range(1, 10)},
        sizes=sizes,
        labels=labels,
    )


@dataclass(frozen=True, eq=False)
class _Image:
    """An image with the labels of its masks, from which every correction is computed."""

    case: Case
    scene: Scene
    true_ious: NDArray[np.float64]  # (person, person) of the true masks, as of a detection and a person
    person: NDArray[np.int64]  # (detection,) for whom it is the best of all that contend, -1 for nobody
    contended: NDArray[np.int64]  # (detection,) for whom it contends
    labels: NDArray[np.int8]  # (detection,)
    areas: NDArray[np.float64]  # (detection,) pixels

    @classmethod
    def of(cls, case: Case, source: str) -> _Image:
        """Match and label."""
        truth = masks_of(case.people, case.height, case.width, "annotations")
        found = masks_of(case.found, case.height, case.width, source)
        scene = Scene(_overlaps(found, truth, case.crowd), case.scores, case.counted, case.crowd)
        _, contended = nearest_people(scene)
        person = np.full(len(found), -1, np.int64)
        for rival in np.unique(contended[contended >= 0]):
            group = np.flatnonzero(contended == rival)
            person[group[scene.overlaps[group, rival].argmax()]] = rival
        everybody = np.ones(len(truth), bool)
        on = np.where(case.counted, _overlaps(found, truth, everybody), 0.0)  # share of the detection on each person
        held = _overlaps(truth, found, np.ones(len(found), bool)).T  # share of each person in the detection
        apart = _overlaps(truth, truth, everybody) < MAINLY  # (person, person) the first is not inside the second
        labels = np.full(len(found), -1, np.int8)
        aside = never_right(scene) & ~ignored_always(scene)
        for d, own in enumerate(person.tolist()):
            if own >= 0:
                held_too = case.counted & (held[d] >= MAINLY) & apart[:, own]
                held_too[own] = False
                labels[d] = MASK_LABELS.index(_standing(scene.overlaps[d, own], on[d], own, bool(held_too.any())))
            elif aside[d]:
                near = contended[d] >= 0 or on[d].max(initial=0.0) >= MAINLY
                labels[d] = MASK_LABELS.index("duplicate" if near else "spurious")
        areas = np.array([coco_mask.area(mask) for mask in found], np.float64)
        return cls(case, scene, _overlaps(truth, truth, case.crowd), person, contended, labels, areas)

    def corrected(self, types: frozenset[str]) -> Scene:
        """What is matched if errors of these types are corrected: scores, masks to the true ones, who is there."""
        scene = rescored(self.scene, self.contended) if "score" in types else self.scene
        exact = ["good", "boundary"] * ("boundary" in types) + [*_WRONG_PERSON] * ("wrong_person" in types)
        moved = (self.person >= 0) & np.isin(self.labels, [MASK_LABELS.index(name) for name in exact])
        if moved.any():
            scene = replace(scene, overlaps=np.where(moved[:, None], self.true_ious[self.person], scene.overlaps))
        if {"wrong_person", "spurious"} & types:
            by_somebody = (self.contended >= 0) | (self.labels == MASK_LABELS.index("duplicate"))
            gone = np.where(by_somebody, "wrong_person" in types, "spurious" in types)
            # With confidences as they are, a detection that is not the best may be the only right one.
            scene = scene.without((self.person < 0) & gone & (never_right(scene) | ("score" in types)))
        if "missed" in types:
            scene = scene.without(np.zeros(len(scene.scores), bool), self.is_missed)
        return scene

    @cached_property
    def is_missed(self) -> NDArray[np.bool_]:
        """`(person,)`: counts and has no detection."""
        return self.case.counted & ~np.isin(np.arange(len(self.case.people)), self.person)

    @property
    def best_ious(self) -> NDArray[np.float64]:
        """IoU of the best detection of each person who has one."""
        d = np.flatnonzero(self.person >= 0)
        return self.scene.overlaps[d, self.person[d]]


def _standing(iou: float, on: NDArray[np.float64], own: int, holds_another: bool) -> str:
    """What a person's best detection is."""
    if iou >= THRESHOLDS[-1]:
        return "good"
    if on.max() > on[own]:
        return "another"
    return "merged" if holds_another else "boundary"


def _overlaps(found: list[Result], truth: list[Result], by_found: NDArray[np.bool_]) -> NDArray[np.float64]:
    """`(found, truth)` IoU; share of the found mask instead where `by_found` of the true one."""
    if not found or not truth:
        return np.zeros((len(found), len(truth)))
    return np.asarray(coco_mask.iou(found, truth, by_found.astype(np.uint8).tolist()), np.float64)


def _parts(
    images: Sequence[_Image], masks: Mapping[str, int], sizes: Mapping[str, Mapping[str, int]], detections: int
) -> tuple[ErrorPart, ...]:
    """The types of error with what they cost."""
    found = costs(MASK_ORDER, lambda types: score_scenes([image.corrected(types) for image in images]))
    counts = {name: masks[name] for name in ("boundary", "spurious")}
    counts |= {name: sum(size[name] for size in sizes.values()) for name in ("score", "missed")}
    counts["wrong_person"] = sum(masks[name] for name in _WRONG_PERSON)
    matched = sum(len(image.best_ious) for image in images)
    of = dict.fromkeys(MASK_ORDER, (detections, "detections")) | {
        "score": (matched, "people"),
        "boundary": (matched, "people"),
        "missed": (sum(size["people"] for size in sizes.values()), "people"),
    }
    return tuple(ErrorPart(name, counts[name], *of[name], *found[name]) for name in MASK_ORDER)


def _by_size(images: Sequence[_Image]) -> dict[str, dict[str, int]]:
    """See `MaskErrors.sizes`."""
    names = ("people", *MASK_LABELS, "score", "missed")
    sizes = {size: dict.fromkeys(names, 0) for size in SIZES}
    for image in images:
        of = [sizes[size_of(p["area"])] for p in image.case.people]
        for person in np.flatnonzero(image.case.counted):
            of[person]["people"] += 1
            of[person]["missed"] += int(image.is_missed[person])
        for d in np.flatnonzero(image.labels >= 0):
            own = image.contended[d]
            row = of[own] if own >= 0 else sizes[size_of(image.areas[d])]
            row[MASK_LABELS[image.labels[d]]] += 1
        for rival in scoring_errors(image.scene, image.contended):
            of[rival]["score"] += 1
    return sizes
