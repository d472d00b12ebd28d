"""`personlab data stats`: what is in a data set."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from personlab.cli.doctor import add_split_options, chosen_splits
from personlab.cli.options import make_parser, progress_bar, write_result
from personlab.cli.tables import table_console
from personlab.data.coco import annotation_path, read_annotations
from personlab.data.statistics import data_statistics
from personlab.errors import InputError
from personlab.skeleton import COCO, Skeleton
from personlab.visualization.data_figure import draw_statistics

logger = logging.getLogger("personlab")


def stats(words: list[str]) -> int:
    """Run `personlab data stats`."""
    options = _parser().parse_args(words)
    if options.max_images is not None and options.max_images < 1:
        raise InputError(f"data stats: --max_images must be at least 1, got {options.max_images}")
    root = Path(options.data.root)
    skeleton = Skeleton.from_file(options.data.skeleton) if options.data.skeleton else COCO
    found: dict[str, dict[str, Any]] = {}
    for split in chosen_splits(root, options.splits, options.data.annotations):
        path = annotation_path(root, split, options.data.annotations)
        annotations = read_annotations(path, skeleton, require_keypoints=False, imputed=options.imputed)
        images = np.arange(len(annotations))[: options.max_images]
        found[split] = data_statistics(annotations, skeleton, images, progress_bar(f"counting {split}"))
    _tell(found)
    if options.output:
        draw_statistics(found, Path(options.output))
        logger.info("picture: %s", options.output)
    write_result({"root": str(root), "skeleton": skeleton.name, "splits": found}, options.json)
    return 0


def _parser() -> Any:
    parser = make_parser(
        "data stats",
        "Count what is in a data set, from its annotations alone: people in an image, with keypoints, their scale and "
        "overlap, which keypoints are labelled, and how many pixels are ignored.",
    )
    add_split_options(parser)
    parser.add_argument("--max_images", type=int | None, default=None, help="only the first so many images of a split")
    parser.add_argument(
        "--imputed", choices=["use", "offsets", "ignore", "mask"], default="ignore", help="see data.imputed of fit"
    )
    parser.add_output("-o", "--output", type=str | None, default=None, help="draw them to this picture (.png, .svg)")
    return parser


_COUNTS = {
    "images": "images", "images_with_people": "… with people", "images_with_keypoints": "… with keypoints",
    "people": "people", "people_with_keypoints": "… with keypoints", "people_imputed": "… imputed",
    "crowds": "crowd regions",
}  # fmt: skip
_SHARES = {
    "people": "pixels: people", "ignored": "pixels: ignored", "crowd": "… crowds", "unannotated": "… no keypoints",
    "unmasked": "… no mask", "shared_of_people": "people's pixels with several",
}  # fmt: skip


def _tell(found: dict[str, dict[str, Any]]) -> None:
    """A table on standard error."""
    rows: dict[str, list[str]] = {}

    def row(name: str, values: list[str]) -> None:
        rows[name] = values

    splits = list(found.values())
    for key, name in _COUNTS.items():
        row(f"{name} {'(people)' if name.startswith('…') and key.startswith('people') else ''}".strip(), [
            str(s[key]) for s in splits
        ])  # fmt: skip
    row("people in an image: mean, most", [
        f"{s['people_per_image']['mean']:.2f}, {s['people_per_image']['most']}" for s in splits
    ])  # fmt: skip
    row("longer side of images, px", [_spread(s["longer_side_px"]) for s in splits])
    row("scale of people, px", [_spread(s["scales_px"]["spread"]) for s in splits])
    row("small, medium, large people", [", ".join(map(str, s["sizes"].values())) for s in splits])
    row("labelled keypoints of those with some", [_labelled(s["keypoints"]) for s in splits])
    for key, name in _SHARES.items():
        row(name, [f"{s['pixels'][key]:.2%}" for s in splits])
    for limit in splits[0]["overlaps"]:
        row(f"images with boxes overlapping > {limit}", [f"{s['overlaps'][limit]:.1%}" for s in splits])
    table = Table(title="what is in the data")
    table.add_column("")
    for split in found:
        table.add_column(split, justify="right")
    for name, values in rows.items():
        table.add_row(name, *values)
    table_console().print(table)
    _tell_keypoints(found)


def _tell_keypoints(found: dict[str, dict[str, Any]]) -> None:
    table = Table(title="keypoints, % of people with keypoints: visible, hidden, unlabelled")
    table.add_column("")
    for split in found:
        table.add_column(split, justify="right")
    for name in next(iter(found.values()))["keypoints"]:
        values = []
        for s in found.values():
            counts = s["keypoints"][name]
            total = max(sum(counts.values()), 1)
            values.append("  ".join(f"{100 * counts[k] / total:3.0f}" for k in ("visible", "hidden", "unlabelled")))
        table.add_row(name, *values)
    table_console().print(table)


def _spread(spread: dict[str, float]) -> str:
    if not spread:
        return "none"
    return f"{spread['min']:.0f} – {spread['median']:.0f} – {spread['max']:.0f}"


def _labelled(keypoints: dict[str, dict[str, int]]) -> str:
    labelled = sum(c["hidden"] + c["visible"] for c in keypoints.values())
    people = sum(next(iter(keypoints.values())).values())
    return f"{labelled / people:.1f}" if people else "none"
