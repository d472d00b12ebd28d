"""People as COCO results, and scores as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from personlab.data.segmentations import Segmentations
from personlab.errors import InputError
from personlab.files import write_json as write_json  # also under this name for those who write reports
from personlab.structures import People

_LARGEST = 1e9
"""No place in an image and no score is as large."""

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


def read_results(
    path: str | Path, num_keypoints: int | None = None, image_sizes: Mapping[int, tuple[int, int]] | None = None
) -> list[Result]:
    """Read a COCO results file, and check every result: COCO's evaluation would score nonsense silently, or crash.

    Args:
        path: The file.
        num_keypoints: Keypoints of a person; None takes any number.
        image_sizes: (height, width) of images by id, which their masks must have; those of other images are not known.

    Returns:
        The results, in the file's order, with whatever else the file says of them (such as `bbox`).

    Raises:
        InputError: If it is no list of results, or one of them has no whole `image_id` and `category_id`, no finite
            `score`, `keypoints` that are not x, y and score of each, or a `segmentation` that is no compressed
            run-length code of its image; or has neither of these, while others of its category do: it would be passed
            over, and nobody would know.
    """
    mend = "give one as evaluate --results writes it"
    try:
        results = json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: no COCO results file: {error}; {mend}") from error
    if not isinstance(results, list):
        raise InputError(f"{path}: no COCO results file: expected a list of objects, one a person; {mend}")
    for n, result in enumerate(results):
        try:
            _check(result, num_keypoints, image_sizes or {})
        except ValueError as error:
            raise InputError(f"{path}: result {n} (of {len(results)}, counted from 0): {error}") from None
    _check_none_is_empty(path, results)
    return results


def _check_none_is_empty(path: str | Path, results: list[Result]) -> None:
    """Refuse a result without keypoints and mask among others that have some."""
    has: dict[int, set[str]] = {}
    for result in results:
        has.setdefault(result["category_id"], set()).update({"keypoints", "segmentation"} & result.keys())
    for n, result in enumerate(results):
        category = result["category_id"]
        if has[category] and not has[category] & result.keys():
            raise InputError(
                f"{path}: result {n} (of {len(results)}, counted from 0): has neither keypoints nor segmentation, "
                f"others of category {category} have {' and '.join(sorted(has[category]))}; write the results again, "
                "or leave it out"
            )


def _check(result: Any, num_keypoints: int | None, image_sizes: Mapping[int, tuple[int, int]]) -> None:
    """Refuse what is no result, with a ValueError that says why and what to do."""
    if not isinstance(result, dict):
        raise ValueError("is no object; each must have image_id, category_id, score and keypoints or segmentation")
    for name in ("image_id", "category_id"):
        if not isinstance(value := result.get(name), int) or isinstance(value, bool):
            raise ValueError(f"{name} is {_shown(value)}; it must be a whole number, as in the annotation file")
    if not _is_number(result.get("score")):
        raise ValueError(f"score is {_shown(result.get('score'))}; it must be a finite number")
    if "keypoints" in result:
        _check_keypoints(result["keypoints"], num_keypoints)
    if "segmentation" in result:
        _check_mask(result["segmentation"], image_sizes.get(result["image_id"]))


def _check_keypoints(values: Any, num_keypoints: int | None) -> None:
    if not isinstance(values, list) or not values or not all(map(_is_number, values)):
        raise ValueError(f"keypoints are {_shown(values)}; they must be finite numbers: x, y and score of each")
    if len(values) % 3 or num_keypoints not in (None, len(values) // 3):
        wanted = "a multiple of 3" if num_keypoints is None else f"3 x {num_keypoints}"
        raise ValueError(f"keypoints are {len(values)} numbers; they must be {wanted}: x, y and score of each")


def _check_mask(mask: Any, image_size: tuple[int, int] | None) -> None:
    mend = "encode the mask by pycocotools at the size of the image"
    if not isinstance(mask, dict) or not isinstance(mask.get("counts"), str):
        raise ValueError(f"segmentation is {_shown(mask)}; it must have size and counts, these as text: {mend}")
    size = mask.get("size")
    if not isinstance(size, list) or len(size) != 2 or not all(isinstance(n, int) and 0 < n < _LARGEST for n in size):
        raise ValueError(f"segmentation has the size {_shown(size)}; it must be [height, width]: {mend}")
    try:
        Segmentations.pack([(mask, (size[0], size[1]) if image_size is None else image_size)])
    except ValueError as error:
        raise ValueError(f"segmentation: {error}; {mend}") from None


def _is_number(value: Any) -> bool:
    """Whether it is a number that floats can be made of without another thought; NaN and infinity are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -_LARGEST < value < _LARGEST


def _shown(value: Any) -> str:
    """The beginning of a wrong value, as JSON; `missing` for none."""
    text = "missing" if value is None else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]} ..."


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
