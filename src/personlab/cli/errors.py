"""`personlab errors`: what is wrong with the people that somebody found, and the AP that it costs."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from personlab.cli.options import KINDS, add_data_options, make_parser, write_result
from personlab.cli.tables import table_console
from personlab.data.coco import annotation_path
from personlab.data.coco_tables import read_tables, sizes_of_images
from personlab.errors import InputError
from personlab.evaluation import KeypointErrors, MaskErrors, keypoint_errors, mask_errors, read_results
from personlab.evaluation.coco_ap import Kind
from personlab.evaluation.error_cases import read_cases
from personlab.evaluation.image_sets import assume_complete, kinds_of, read_image_set, without_results
from personlab.evaluation.results import Result
from personlab.experiments.provenance import provenance
from personlab.files import sha256
from personlab.skeleton import COCO, Skeleton

logger = logging.getLogger("personlab")

_TITLES = {"keypoints": "keypoints", "segmentation": "masks"}


def run(words: list[str]) -> int:
    """Run `personlab errors`."""
    options = _parser().parse_args(words[1:])
    if options.max_images is not None and options.max_images < 1:
        raise InputError(f"errors: --max_images must be at least 1, got {options.max_images}")
    path = annotation_path(options.data.root, options.split, options.data.annotations)
    skeleton = Skeleton.from_file(options.data.skeleton) if options.data.skeleton else COCO
    tables = read_tables(path)
    results = read_results(options.results, skeleton.num_keypoints, sizes_of_images(tables["images"]))
    images = read_image_set(options.results, results)  # people on images that nobody looked at are not missing
    ids = [image["id"] for image in tables["images"]] if images is None else list(images.image_ids)
    if options.max_images is not None:
        first = [image["id"] for image in tables["images"][: options.max_images]]
        ids = [image for image in first if image in ids]
    kinds: Sequence[str] = kinds_of(results)
    if not results:
        kinds = images.kinds if images is not None and images.kinds else KINDS
    elif not kinds:
        raise InputError(
            f"{options.results}: has neither keypoints nor masks (segmentation) of anybody; write it again"
        )
    if images is None:
        _assume(options, path, results, skeleton, ids, "keypoints" if "keypoints" in kinds else "segmentation")
    report: dict[str, Any] = provenance(shlex.join(["personlab", *words]))
    report |= {"results": options.results, "results_sha256": sha256(options.results), "split": options.split}
    report |= {"skeleton": skeleton.name, "confusions": options.confusions}
    report["only_with_keypoints"] = options.only_with_keypoints
    report |= {"images_known": images is not None, "without_results": without_results(results, ids)}
    if "keypoints" in kinds:
        poses = keypoint_errors(path, results, skeleton, ids, options.confusions, options.results)
        _tell("keypoints", poses)
        report["keypoints"] = poses.to_json()
    if "segmentation" in kinds:
        masks = mask_errors(path, results, skeleton, ids, options.only_with_keypoints, options.results)
        _tell("segmentation", masks)
        report["segmentation"] = masks.to_json()
    write_result(report, options.json)
    return 0


def _assume(
    options: Any, annotations: Path, results: Sequence[Result], skeleton: Skeleton, ids: Sequence[int], kind: Kind
) -> None:
    """Tell what is assumed of results that nothing tells the images of, as `evaluate --against` does."""
    cases = read_cases(annotations, results, kind, skeleton, ids, options.only_with_keypoints, options.results)
    people = {image for image, case in zip(sorted(ids), cases, strict=True) if case.counted.any()}
    if assumed := assume_complete(options.results, results, ids, people):
        logger.warning(assumed)


def _parser() -> Any:
    parser = make_parser(
        "errors",
        "Tell what is wrong with the people in a COCO results file, as `evaluate --results` and `predict` write it: "
        "how often each type of error happened, and the AP that it costs when types are corrected one after the other, "
        "from the top of the table down (their costs add up to what is missing of an AP of 1), or alone. "
        "docs/errors.md defines the types.",
    )
    parser.add_argument("results", type=str, help="COCO results: keypoints, masks or both")
    add_data_options(parser)
    parser.add_argument("--data.skeleton", type=str | None, default=None, help="a YAML file; default: COCO's 17")
    parser.add_argument(
        "--confusions", choices=["mirrored", "any"], default="mirrored", help="which keypoints inversions and swaps "
        "confuse: left and right of a name, or any two; what is confused with neither is a miss",
    )  # fmt: skip
    parser.add_argument("--only_with_keypoints", type=bool, default=False, help="leave out masks without keypoints")
    return parser


def _tell(kind: str, errors: KeypointErrors | MaskErrors) -> None:
    """A table on standard error."""
    table = Table(
        title=f"errors of {_TITLES[kind]}: {errors.people} people in {errors.images} images, {errors.detections} "
        f"detections, AP {errors.ap:.4f}",
        caption=f"all costs: {1 - errors.ap:.4f}; with ideal confidences the AP would be {errors.ap_ideal_scores:.4f}",
    )
    for heading in ("type", "count", "of", "share", "AP it costs", "AP alone"):
        table.add_column(heading, justify="left" if heading == "type" else "right", no_wrap=True)
    for part in errors.parts:
        share = "" if part.share is None else f"{part.share:.1%}"
        numbers = (share, f"{part.cost:.4f}", f"{part.alone:.4f}")
        table.add_row(part.name.replace("_", " "), str(part.count), f"{part.of} {part.unit}", *numbers)
    table_console().print(table)
