"""What the breakdowns of errors look at: the people of each image, and what was found there."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from personlab.data.segmentations import Segmentations
from personlab.errors import InputError
from personlab.evaluation.coco_ap import CocoAP, Kind
from personlab.evaluation.results import Result
from personlab.skeleton import Skeleton

MOST: dict[Kind, int] = {"keypoints": 20, "segmentation": 100}
"""How many detections of an image COCO's evaluation looks at, the best."""


@dataclass(frozen=True, eq=False)
class Case:
    """One image.

    Attributes:
        people: Ground truth, in the file's order; all with `iscrowd`, `keypoints` and `num_keypoints`.
        counted: `(person,)` bool; the others are neither to be found nor wrong to find.
        crowd: `(person,)` bool: any number of detections may be found on it.
        found: Detections, best first, as many as COCO's evaluation looks at.
        rows: `(detection,)` index of each of them in the results given.
        scores: `(detection,)` confidences, descending.
        height: Of the image, pixels; 0 if the annotations do not tell and nobody needs it.
        width: The same.
    """

    people: list[dict[str, Any]]
    counted: NDArray[np.bool_]
    crowd: NDArray[np.bool_]
    found: list[Result]
    rows: NDArray[np.int64]
    scores: NDArray[np.float64]
    height: int
    width: int


def read_cases(
    annotations: str | Path | Mapping[str, Any],
    results: Sequence[Result],
    kind: Kind,
    skeleton: Skeleton,
    image_ids: Iterable[int] | None = None,
    only_with_keypoints: bool = False,
    source: str = "results",
) -> list[Case]:
    """Put the ground truth of each image beside what was found there, as COCO's evaluation does.

    Args:
        annotations: Annotation file, or its content; people are its category `person`.
        results: COCO results of these images. Those of other categories or without this kind are passed over.
        kind: `keypoints` or `segmentation`.
        skeleton: Keypoints of the annotations.
        image_ids: Images that were looked at; None for all of the annotations.
        only_with_keypoints: See `CocoAP`.
        source: What to call the results in errors.

    Returns:
        One an image, by ascending id.

    Raises:
        InputError: If annotations or results cannot be used, or nobody in the images counts.
    """
    metric = CocoAP(annotations, (kind,), skeleton, only_with_keypoints=only_with_keypoints)
    metric.update_results([], metric.images if image_ids is None else image_ids)
    ids = sorted(metric.image_ids)
    people: dict[int, list[dict[str, Any]]] = {i: [] for i in ids}
    for person in metric.truth(kind):
        people[person["image_id"]].append(person)
    found: dict[int, list[int]] = {i: [] for i in ids}
    for row, result in enumerate(results):
        where = f"{source}: result {row}"
        _check(where, result, kind, skeleton, metric.images)
        if result["image_id"] not in found:
            raise InputError(f"{where} is of image {result['image_id']}, which was not looked at; drop it")
        if kind in result and result["category_id"] == metric.category_id:
            found[result["image_id"]].append(row)
    cases = [_case(people[i], found[i], results, kind, metric.images[i]) for i in ids]
    if not any(case.counted.any() for case in cases):
        raise InputError(f"{metric.source}: nobody in these images counts for {kind}, so no error can be told")
    return cases


def _case(
    people: list[dict[str, Any]], rows: list[int], results: Sequence[Result], kind: Kind, image: Mapping[str, Any]
) -> Case:
    """One image, its detections sorted; equal scores stay in order, as COCO's evaluation has them."""
    rows = sorted(rows, key=lambda row: -results[row]["score"])[: MOST[kind]]
    crowd = np.array([bool(p["iscrowd"]) for p in people], bool)
    labelled = np.array([p["num_keypoints"] > 0 for p in people], bool)
    return Case(
        people=people,
        counted=~crowd & labelled if kind == "keypoints" else ~crowd,
        crowd=crowd,
        found=[results[row] for row in rows],
        rows=np.array(rows, np.int64),
        scores=np.array([results[row]["score"] for row in rows], np.float64),
        height=int(image.get("height", 0)),
        width=int(image.get("width", 0)),
    )


def _check(where: str, result: Result, kind: Kind, skeleton: Skeleton, images: Mapping[int, Mapping[str, Any]]) -> None:
    """Refuse a result that would be told wrong or crash."""
    for name in ("image_id", "category_id", "score"):
        if not _is_number(result.get(name)):
            raise InputError(f"{where}: {name} must be a number; write the results again")
    if result["image_id"] not in images:
        raise InputError(f"{where} is of image {result['image_id']}, which the annotations lack; give those it is of")
    if kind == "keypoints" and kind in result:
        values, expected = result[kind], 3 * skeleton.num_keypoints
        if not isinstance(values, list) or len(values) != expected or not all(map(_is_number, values)):
            raise InputError(
                f"{where}: keypoints must be {expected} finite numbers, x, y and score of the {skeleton.num_keypoints} "
                f"keypoints of skeleton {skeleton.name}; give the skeleton that they are of"
            )


def masks_of(rows: Sequence[Mapping[str, Any]], height: int, width: int, source: str) -> list[dict[str, Any]]:
    """COCO's run-length codes of the masks of annotations or results of one image.

    Raises:
        InputError: If one is missing, corrupt or of another size.
    """
    masks = []
    for row in rows:
        try:
            packed = Segmentations.pack([(row.get("segmentation"), (height, width))])
        except (TypeError, ValueError) as error:
            raise InputError(f"{source}: image {row['image_id']}: a mask cannot be read: {error}") from error
        mask = packed.rle(0, height, width)
        if mask is None:
            raise InputError(f"{source}: image {row['image_id']}: a mask is empty; leave it out")
        masks.append(mask)
    return masks


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
