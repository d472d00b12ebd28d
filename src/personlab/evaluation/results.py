"""People as COCO results, and scores as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from personlab.errors import InputError
from personlab.files import write_json as write_json  # also under this name for those who write reports
from personlab.structures import People

Result = dict[str, Any]
"""One person as COCO's results format has it; plain JSON values only."""


def people_to_results(people: People, image_id: int, category_id: int = 1) -> list[Result]:
    """People of one image in COCO's results format, in their order.

    Args:
        people: What was found, in `image_xy`.
        image_id: Id of the image in the annotation file.
        category_id: Category of a person there.

    Returns:
        `image_id`, `category_id`, `keypoints` (x, y and score of each keypoint, flat), `score`, and `segmentation` (RLE
        with its counts as text) where the people have masks.
    """
    results: list[Result] = []
    for n, (keypoints, score) in enumerate(zip(people.keypoints.tolist(), people.scores.tolist(), strict=True)):
        result: Result = {
            "image_id": int(image_id),
            "category_id": int(category_id),
            "keypoints": [value for keypoint in keypoints for value in keypoint],
            "score": score,
        }
        if people.masks is not None:
            size, counts = people.masks[n]["size"], people.masks[n]["counts"]
            counts = counts.decode("ascii") if isinstance(counts, bytes) else counts
            result["segmentation"] = {"size": [int(size[0]), int(size[1])], "counts": counts}
        results.append(result)
    return results


def write_results(path: str | Path, results: Iterable[Result]) -> None:
    """Write a COCO results file; the file appears whole or not at all.

    Raises:
        InputError: If it cannot be written.
    """
    write_json(path, list(results))


def read_results(path: str | Path) -> list[Result]:
    """Read a COCO results file.

    Raises:
        InputError: If it is no list of results.
    """
    try:
        results = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no COCO results file: {error}") from error
    if not isinstance(results, list) or not all(isinstance(r, dict) and "image_id" in r for r in results):
        raise InputError(f"{path}: no COCO results file: expected a list of objects with image_id")
    return results


def score_report(
    figures: Mapping[str, float],
    images: int,
    people: int,
    seconds: Mapping[str, float],
    only_with_keypoints: bool = False,
) -> dict[str, Any]:
    """The scores of an evaluation in the shape that all commands print and all runs keep.

    Args:
        figures: Figures by `kind/name`, as `CocoAP.compute` gives them.
        images: Images evaluated.
        people: People found on them.
        seconds: Seconds spent on `read`, `network` and `decode`; what is missing took none.
        only_with_keypoints: Whether people without keypoints were left out of the ground truth of masks: figures that
            differ in this must not be compared.

    Returns:
        `{"keypoints": {"AP": ...}, "segmentation": {...}, "images": n, "people": n, "only_with_keypoints": false,
        "seconds": {...}}`; a figure without ground truth to measure it on is None.
    """
    report: dict[str, Any] = {"keypoints": {}, "segmentation": {}}
    for name, value in figures.items():
        kind, figure = name.split("/")
        report[kind][figure] = None if math.isnan(value) else float(value)
    report |= {"images": int(images), "people": int(people), "only_with_keypoints": only_with_keypoints}
    report["seconds"] = {part: float(seconds.get(part, 0.0)) for part in ("read", "network", "decode")}
    return report
