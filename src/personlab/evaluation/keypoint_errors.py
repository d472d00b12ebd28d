"""What is wrong with found keypoints, and the AP that each type of error costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from personlab.evaluation.error_cases import Case, read_cases
from personlab.evaluation.error_parts import (
    SIZES,
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
from personlab.evaluation.keypoint_labels import (
    LABELS,
    Confusions,
    keypoint_similarity,
    label_keypoints,
    object_similarity,
)
from personlab.evaluation.results import Result
from personlab.skeleton import COCO, Skeleton

ORDER = ("miss", "swap", "inversion", "jitter", "score", "inexact", "false_positive", "false_negative")
"""Types of error in the order in which they are corrected."""


@dataclass(frozen=True, eq=False)
class KeypointErrors:
    """Errors of found keypoints.

    Source: Ronchi and Perona, Benchmarking and Error Diagnosis in Multi-Instance Pose Estimation, ICCV 2017, section 3
    (types of error), section 4 (correcting them one after the other). Departures: docs/errors.md.

    Attributes:
        ap: COCO's keypoint AP, 0 to 1.
        ap_ideal_scores: AP of the same keypoints if confidences were ideal, see `ideally_scored`.
        parts: Types of error in `ORDER`; their costs add up to 1 - `ap`.
        images: Images looked at.
        people: People to be found in them.
        detections: Detections that COCO's evaluation looks at and does not ignore at every threshold.
        ignored: Those that it does ignore at every threshold.
        matched: Detections that stand for a person; their keypoints are labelled.
        duplicates: Those false positives that are near somebody for whom another detection stands.
        keypoints: By keypoint and label, how many keypoints of them.
        sizes: By size of the person (a false positive's own), how many people, labels, errors of score, false
            positives and false negatives.
        labels: `(result, keypoint)` int8 index into `LABELS`; -1 where there is nothing to compare with.
    """

    ap: float
    ap_ideal_scores: float
    parts: tuple[ErrorPart, ...]
    images: int
    people: int
    detections: int
    ignored: int
    matched: int
    duplicates: int
    keypoints: dict[str, dict[str, int]]
    sizes: dict[str, dict[str, int]]
    labels: NDArray[np.int8]

    def to_json(self) -> dict[str, Any]:
        """All attributes but `labels`, with `parts` as `ErrorPart.to_json` gives them."""
        plain = {k: v for k, v in vars(self).items() if k not in ("parts", "labels")}
        return plain | {"parts": [part.to_json() for part in self.parts]}


def keypoint_errors(
    annotations: str | Path | Mapping[str, Any],
    results: Sequence[Result],
    skeleton: Skeleton = COCO,
    image_ids: Iterable[int] | None = None,
    confusions: Confusions = "mirrored",
    source: str = "results",
) -> KeypointErrors:
    """Tell what is wrong with found keypoints, and the AP that it costs.

    Args:
        annotations: COCO annotation file, or its content.
        results: COCO results of these images.
        skeleton: Of both.
        image_ids: Images that were looked at; None for all of the annotations.
        confusions: What counts as inversion and swap; everything else that is not close is a miss.
        source: What to call the results in errors.

    Raises:
        InputError: If annotations or results cannot be used, or nobody in the images counts.
    """
    cases = read_cases(annotations, results, "keypoints", skeleton, image_ids, source=source)
    images = [_Image.of(case, skeleton, confusions) for case in cases]
    labels = np.full((len(results), skeleton.num_keypoints), -1, np.int8)
    for image in images:
        labels[image.case.rows] = image.labels
    ignored = sum(int(image.is_ignored.sum()) for image in images)
    detections = sum(len(image.case.scores) for image in images) - ignored
    sizes = _by_size(images)
    return KeypointErrors(
        ap=score_scenes([image.scene for image in images]),
        ap_ideal_scores=score_scenes([ideally_scored(image.scene, image.contended) for image in images]),
        parts=_parts(images, labels, sizes, detections),
        images=len(images),
        people=sum(size["people"] for size in sizes.values()),
        detections=detections,
        ignored=ignored,
        matched=sum(int((image.person >= 0).sum()) for image in images),
        duplicates=sum(int((image.is_false_positive & (image.contended >= 0)).sum()) for image in images),
        keypoints={
            name: {label: int((labels[:, k] == n).sum()) for n, label in enumerate(LABELS)}
            for k, name in enumerate(skeleton.keypoint_names)
        },
        sizes=sizes,
        labels=labels,
    )


@dataclass(frozen=True, eq=False)
class _Image:
    """An image with the labels of its keypoints, from which every correction is computed."""

    case: Case
    sigmas: NDArray[np.float64]
    found_xy: NDArray[np.float64]  # (detection, keypoint, 2)
    truth: NDArray[np.float64]  # (person, keypoint, 3)
    scene: Scene
    person: NDArray[np.int64]  # (detection,) whom it stands for
    contended: NDArray[np.int64]  # (detection,) for whom it contends
    labels: NDArray[np.int8]  # (detection, keypoint)

    @classmethod
    def of(cls, case: Case, skeleton: Skeleton, confusions: Confusions) -> _Image:
        """Match and label."""
        sigmas = np.array(skeleton.sigmas)
        rows = [r["keypoints"] for r in case.found]
        found_xy = np.array(rows, np.float64).reshape(-1, skeleton.num_keypoints, 3)[:, :, :2]
        truth = np.array([p["keypoints"] for p in case.people], np.float64).reshape(-1, skeleton.num_keypoints, 3)
        truth[~case.counted, :, 2] = 0  # a place on somebody who does not count is no place
        scene = Scene(object_similarity(found_xy, truth, case.people, sigmas), case.scores, case.counted, case.crowd)
        person, contended = nearest_people(scene)
        labels = np.full(found_xy.shape[:2], -1, np.int8)
        areas = np.array([p["area"] for p in case.people], np.float64)
        for d in np.flatnonzero(person >= 0):
            similarity = keypoint_similarity(found_xy[d], truth, areas, sigmas)
            labels[d] = label_keypoints(similarity, truth[person[d], :, 2] > 0, person[d], skeleton, confusions)
        return cls(case, sigmas, found_xy, truth, scene, person, contended, labels)

    def corrected(self, types: frozenset[str]) -> Scene:
        """What is matched if errors of these types are corrected: keypoints to their places, scores, who is there."""
        names = ["good" if name == "inexact" else name for name in types]
        moved = np.isin(self.labels, [LABELS.index(name) for name in names if name in LABELS])
        scene = self.scene
        if moved.any():
            xy = np.where(moved[:, :, None], self.truth[self.person, :, :2], self.found_xy)
            scene = replace(scene, overlaps=object_similarity(xy, self.truth, self.case.people, self.sigmas))
        if "score" in types:
            scene = rescored(scene, self.contended)
        if "false_positive" in types:
            # With confidences as they are, a detection that stands for nobody may be the only right one.
            scene = scene.without((self.person < 0) & (never_right(scene) | ("score" in types)))
        if "false_negative" in types:
            scene = scene.without(np.zeros(len(scene.scores), bool), self.is_missed)
        return scene

    @cached_property
    def is_off(self) -> NDArray[np.bool_]:
        """`(detection, keypoint)`: not exactly at the place where it should be, if there is one."""
        if not len(self.truth):
            return np.zeros(self.labels.shape, bool)
        return (self.found_xy != self.truth[self.person, :, :2]).any(axis=-1)

    @cached_property
    def is_ignored(self) -> NDArray[np.bool_]:
        """`(detection,)`: ignored at every threshold."""
        return ignored_always(self.scene)

    @cached_property
    def is_false_positive(self) -> NDArray[np.bool_]:
        """`(detection,)`: stands for nobody, right at no threshold and wrong at one at least."""
        return (self.person < 0) & never_right(self.scene) & ~self.is_ignored

    @cached_property
    def is_missed(self) -> NDArray[np.bool_]:
        """`(person,)`: counts, and no detection stands for it."""
        return self.case.counted & ~np.isin(np.arange(len(self.case.people)), self.person)


def _parts(
    images: Sequence[_Image], labels: NDArray[np.int8], sizes: Mapping[str, Mapping[str, int]], detections: int
) -> tuple[ErrorPart, ...]:
    """The types of error with what they cost."""
    found = costs(ORDER, lambda types: score_scenes([image.corrected(types) for image in images]))
    counts = {name: int((labels == n).sum()) for n, name in enumerate(LABELS)}
    counts |= {name: sum(size[name] for size in sizes.values()) for name in ("score", *ORDER[-2:])}
    counts["inexact"] = sum(int(((image.labels == 0) & image.is_off).sum()) for image in images)
    of = dict.fromkeys(ORDER, (int((labels >= 0).sum()), "keypoints")) | {
        "score": (sum(int((image.person >= 0).sum()) for image in images), "people"),
        "false_positive": (detections, "detections"),
        "false_negative": (sum(size["people"] for size in sizes.values()), "people"),
    }
    return tuple(ErrorPart(name, counts[name], *of[name], *found[name]) for name in ORDER)


def _by_size(images: Sequence[_Image]) -> dict[str, dict[str, int]]:
    """See `KeypointErrors.sizes`."""
    names = ("people", *LABELS, "score", "false_positive", "false_negative")
    sizes = {size: dict.fromkeys(names, 0) for size in SIZES}
    for image in images:
        of = [sizes[size_of(p["area"])] for p in image.case.people]
        for person in np.flatnonzero(image.case.counted):
            of[person]["people"] += 1
            of[person]["false_negative"] += int(image.is_missed[person])
        for d in np.flatnonzero(image.person >= 0):
            for n, label in enumerate(LABELS):
                of[image.person[d]][label] += int((image.labels[d] == n).sum())
        for rival in scoring_errors(image.scene, image.contended):
            of[rival]["score"] += 1
        extent = np.ptp(image.found_xy[image.is_false_positive], axis=1)
        for width, height in extent:
            sizes[size_of(width * height)]["false_positive"] += 1
    return sizes
