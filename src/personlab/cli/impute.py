"""`personlab data impute`: keypoints for people who have only a mask."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from personlab import __version__
from personlab.cli.evaluate import add_network_options, predictor_of
from personlab.cli.options import add_data_options, make_parser, progress_bar, write_result
from personlab.data.coco import annotation_path
from personlab.errors import InputError
from personlab.files import sha256, write_atomically
from personlab.inference.imputation import Imputer
from personlab.inference.imputed_file import impute_people
from personlab.weights.network_file import weights_path

logger = logging.getLogger("personlab")
_IMPUTER = ("enlarge", "min_score", "min_fit", "keypoint_score", "tolerance")
_NETWORK = ("rules", "decoder", "stride", "size", "scales", "tta")
_NOTE = (
    "Annotations with imputed: true have keypoints that a network found, not a human. They are for training; scores "
    "against them are not COCO's. personlab evaluates their people as people without keypoints."
)


def impute(words: list[str]) -> int:
    """Run `personlab data impute`."""
    options = _parser().parse_args(words)
    for name in ("max_images", "min_size"):
        if (value := getattr(options, name)) is not None and value < 1:
            raise InputError(f"data impute: --{name} must be at least 1, got {value}")
    if options.check < 0:
        raise InputError(f"data impute: --check must be 0 or more, got {options.check}")
    source, output = annotation_path(options.data.root, options.split, options.data.annotations), Path(options.output)
    if output.resolve() == source.resolve():
        raise InputError(f"{output}: is the file that is read; write the imputed one beside it")
    predictor = predictor_of(options)
    imputer = Imputer(predictor, **{name: getattr(options, name) for name in _IMPUTER})
    predictor.decoder.warm_up()
    content, summary = impute_people(
        source,
        Path(options.data.root) / options.data.images.replace("{split}", options.split),
        imputer,
        predictor.network.skeleton,
        min_size_px=options.min_size,
        max_images=options.max_images,
        check=options.check,
        note=_note(options),
        progress=progress_bar("imputing"),
    )
    _tell(summary)
    try:
        write_atomically(output, (json.dumps(content) + "\n").encode())
        logger.info("annotations: %s", output)
    finally:
        write_result(summary, options.json)
    return 1 if summary["unreadable"] else 0


def _parser() -> Any:
    parser = make_parser(
        "data impute",
        "Give keypoints to people who have a mask and none: look at each one closely, take the pose that fits the mask "
        "best, and write an annotation file that marks them. Ends with 1 if an image could not be read.",
    )
    add_data_options(parser)
    parser.add_argument("--data.images", type=str, default="{split}", help="folder of the images, below the root")
    parser.add_output("-o", "--output", type=str, required=True, help="annotation file to write")
    add_network_options(parser)
    parser.set_defaults({"size": 321})  # of the crop: a person is half as long
    parser.add_argument("--min_size", type=int, default=16, help="pixels of the longer side; skip smaller people")
    parser.add_argument("--enlarge", type=float, default=2.0, help="margin around the box: (N - 1) / 2 longer sides")
    parser.add_argument("--min_score", type=float, default=0.2, help="poses with a lower score are not looked at")
    parser.add_argument("--min_fit", type=float, default=0.3, help="people whose best pose fits less are refused")
    parser.add_argument("--keypoint_score", type=float, default=0.1, help="keypoints that score less are not labelled")
    parser.add_argument("--tolerance", type=float, default=0.05, help="how far outside the mask, in longer sides")
    parser.add_argument("--check", type=int, default=0, help="compare with the truth on so many people with keypoints")
    return parser


def _note(options: Any) -> dict[str, Any]:
    """What the file tells about itself."""
    path = weights_path(options.weights)
    chosen = {name: getattr(options, name) for name in (*_NETWORK, *_IMPUTER, "min_size", "max_images")}
    return {
        "note": _NOTE,
        "weights": path.name,
        "weights_sha256": sha256(path),
        "options": json.loads(json.dumps(chosen, default=str)),
        "personlab": __version__,
    }


def _tell(summary: dict[str, Any]) -> None:
    for row in summary["unreadable"]:
        logger.warning("skipped: %s", row["problem"])
    logger.info(
        "%d people without keypoints: %d imputed, %d refused, %d too small, %d without a mask, %d in unreadable images",
        *(summary[k] for k in ("without_keypoints", "imputed", "refused", "too_small", "without_mask", "unread")),
    )
    for way, found in (summary["check"] or {}).items():
        shown = {name: "none" if found[name] is None else f"{found[name]:.3f}" for name in found}
        logger.info(
            "check, %s: %d of %d people imputed, mean OKS %s, above .5 %s", way.replace("_", " "), found["imputed"],
            found["people"], shown["mean_oks"], shown["share_above_50"],
        )  # fmt: skip
