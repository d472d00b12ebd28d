"""How well the people of each image were found, and each keypoint: what is compared image by image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from personlab.evaluation.error_cases import Case, masks_of, read_cases
from personlab.evaluation.error_parts import THRESHOLDS, Scene, nearest_people
from personlab.evaluation.keypoint_labels import keypoint_similarity, object_similarity
from personlab.evaluation.results import Result
from personlab.skeleton import COCO, Skeleton


@dataclass(frozen=True, eq=False)
class ImageScores:
    """Each image by itself.

    Attributes:
        closeness: `(image,)` mean over the people who count of the OKS or IoU of the detection that stands for each, 0
            for those whom none with a score of `least_score` does; NaN where nobody counts.
        found: `(image, keypoint)` how many labelled keypoints were found: each counts as the share of COCO's thresholds
            that its similarity reaches. No columns for masks.
        labelled: `(image, keypoint)` how many there are.
    """

    closeness: NDArray[np.float64]
    found: NDArray[np.float64]
    labelled: NDArray[np.int64]

    def recall(self, weights: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Keypoint recall: the share of each keypoint that was found, NaN for one that is nowhere labelled.

        Args:
            weights: `(image,)` how often each image counts; None for once.

        Returns:
            `(keypoint,)`, 0 to 1. It is to one keypoint what COCO's average recall is to people: the mean over the same
            thresholds, of the keypoint's similarity in place of OKS. Average precision has no such parts, since a score
            belongs to a person and not to a keypoint.
        """
        count = np.ones(len(self.found), np.int64) if weights is None else weights
        total = count @ self.labelled
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(total > 0, (count @ self.found) / total, np.nan)


def keypoint_scores(
    annotations: str | Path | Mapping[str, Any],
    results: Sequence[Result],
    skeleton: Skeleton = COCO,
    image_ids: Iterable[int] | None = None,
    source: str = "results",
    least_score: float = 0.0,
) -> ImageScores:
    """Scores of each image by keypoints, in the order of ascending image ids.

    Args:
        annotations: COCO annotation file, or its content.
        results: COCO results of these images.
        skeleton: Of both.
        image_ids: Images that were looked at; None for all of the annotations.
        source: What to call the results in errors.
        least_score: Of detections that count for `closeness`.

    Raises:
        InputError: If annotations or results cannot be used, or nobody in the images counts.
    """
    cases = read_cases(annotations, results, "keypoints", skeleton, image_ids, source=source)
    count = skeleton.num_keypoints
    closeness = np.full(len(cases), np.nan)
    found, labelled = np.zeros((len(cases), count)), np.zeros((len(cases), count), np.int64)
    sigmas = np.array(skeleton.sigmas)
    for i, case in enumerate(cases):
        found_xy = np.array([r["keypoints"] for r in case.found], np.float64).reshape(-1, count, 3)[:, :, :2]
        truth = np.array([p["keypoints"] for p in case.people], np.float64).reshape(-1, count, 3)
        truth[~case.counted, :, 2] = 0
        labelled[i] = (truth[..., 2] > 0).sum(axis=0)
        overlaps = object_similarity(found_xy, truth, case.people, sigmas)
        closeness[i], person = _closeness(case, overlaps, least_score)
        areas = np.array([p["area"] for p in case.people], np.float64)
        for d in np.flatnonzero(person >= 0):
            own = slice(person[d], person[d] + 1)
            similarity = keypoint_similarity(found_xy[d], truth[own], areas[own], sigmas)[
                np.arange(count), 0, np.arange(count)
            ]
            found[i] += (similarity[:, None] >= THRESHOLDS).mean(axis=1)
    return ImageScores(closeness, found, labelled)


def mask_scores(
    annotations: str | Path | Mapping[str, Any],
    results: Sequence[Result],
    skeleton: Skeleton = COCO,
    image_ids: Iterable[int] | None = None,
    only_with_keypoints: bool = False,
    source: str = "results",
    least_score: float = 0.0,
) -> ImageScores:
    """Scores of each image by masks, in the order of ascending image ids; see `keypoint_scores`.

    Args:
        annotations: See there.
        results: See there.
        skeleton: Of the annotations; matters to who has keypoints.
        image_ids: See there.
        only_with_keypoints: Leave people without any labelled keypoint out, see `CocoAP`.
        source: See there.
        least_score: See there.

    Raises:
        InputError: See there.
    """
    cases = read_cases(annotations, results, "segmentation", skeleton, image_ids, only_with_keypoints, source)
    closeness = np.full(len(cases), np.nan)
    for i, case in enumerate(cases):
        truth = masks_of(case.people, case.height, case.width, "annotations")
        found = masks_of(case.found, case.height, case.width, source)
        overlaps = np.zeros((len(found), len(truth)))
        if found and truth:
            overlaps = coco_mask.iou(found, truth, case.crowd.astype(np.uint8).tolist())
        closeness[i], _ = _closeness(case, np.asarray(overlaps, np.float64), least_score)
    nothing = np.zeros((len(cases), 0))
    return ImageScores(closeness, nothing, nothing.astype(np.int64))


def _closeness(case: Case, overlaps: NDArray[np.float64], least_score: float) -> tuple[float, NDArray[np.int64]]:
    """Mean overlap of the people who count, and whom each detection stands for (-1 nobody)."""
    person, _ = nearest_people(Scene(overlaps, case.scores, case.counted, case.crowd))
    best = np.zeros(len(case.people))
    matched = np.flatnonzero((person >= 0) & (case.scores >= least_score))
    best[person[matched]] = overlaps[matched, person[matched]]
    return (float(best[case.counted].mean()) if case.counted.any() else float("nan")), person
