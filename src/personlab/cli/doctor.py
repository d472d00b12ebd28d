"""`personlab data doctor`: what is wrong with a data set, before a training is spent on it."""

from __future__ import annotations

import logging
import re
import time
from pathlib import Path
from typing import Any

from personlab.cli.options import make_parser, progress_bar, words_of, write_result
from personlab.data.coco import ANNOTATIONS
from personlab.data.doctor import Findings, examine
from personlab.data.doctor.examination import as_json
from personlab.errors import InputError
from personlab.skeleton import COCO, Skeleton

logger = logging.getLogger("personlab")


def doctor(words: list[str]) -> int:
    """Run `personlab data doctor`.

    Returns:
        0 without errors, 1 with some.
    """
    options = _parser().parse_args(words)
    started = time.perf_counter()
    root = Path(options.data.root)
    splits = chosen_splits(root, options.splits, options.data.annotations)
    before = Findings(file=options.data.skeleton)
    skeleton = _skeleton(options.data.skeleton, before)
    findings, counts = examine(
        root, splits, options.data.annotations, skeleton, options.images, progress_bar("looking at images")
    )
    before.extend(findings)
    result = {"root": str(root), "skeleton": skeleton.name if skeleton else None, **as_json(before, counts)}
    result["seconds"] = round(time.perf_counter() - started, 2)
    _tell(before, result)
    write_result(result, options.json)
    return 1 if before.count("error") else 0


def _parser() -> Any:
    parser = make_parser(
        "data doctor",
        "Check a data set before training: every fault of annotations and images, with its mend. Ends with 0 if there "
        "is no error, 1 if there are some, 2 on bad usage. docs/data.md lists what it can find.",
    )
    add_split_options(parser)
    parser.add_argument("--images", type=bool, default=True, help="decode every image; false checks annotations only")
    return parser


def add_split_options(parser: Any) -> None:
    """Options that name several splits of a data set."""
    parser.add_argument("--data.root", type=str, required=True, help="folder of the data set, in COCO's layout")
    parser.add_argument("--data.annotations", type=str, default=ANNOTATIONS, help="below the root")
    parser.add_argument("--data.skeleton", type=str | None, default=None, help="skeleton file, if not COCO's keypoints")
    parser.add_argument("--splits", type=str | None, default=None, help="such as train2017,val2017; all by default")


def chosen_splits(root: Path, given: str | None, annotations: str) -> list[str]:
    """The splits that were asked for, or those that have an annotation file.

    Raises:
        InputError: If the root is missing, or there is none.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; set --data.root to the folder of the COCO data set")
    if given is not None:
        if not (splits := words_of(given)):
            raise InputError("--splits names no split")
        return list(dict.fromkeys(splits))
    pattern = re.compile(r"(.+)".join(map(re.escape, annotations.split("{split}"))))
    if pattern.groups != 1:
        raise InputError(f"--data.annotations {annotations}: no {{split}} in it; name the split by --splits")
    files = sorted(root.glob(annotations.replace("{split}", "*")))
    names = [found[1] for file in files if (found := pattern.fullmatch(file.relative_to(root).as_posix()))]
    # Copies beside the originals, such as train2017_imputed, have no images of their own.
    splits = [name for name in names if (root / name).is_dir()] or names
    if not splits:
        raise InputError(f"{root}: no annotation file {annotations}; check --data.root and --data.annotations")
    return splits


def _skeleton(path: str | None, findings: Findings) -> Skeleton | None:
    """The skeleton; None and a finding if its file is none."""
    if path is None:
        return COCO
    if not Path(path).is_file():
        raise InputError(f"{path}: no such skeleton file; check --data.skeleton")
    try:
        return Skeleton.from_file(path)
    except InputError as error:
        findings.add("skeleton-broken", str(error).removeprefix(f"{path}: "))
        return None


def _tell(findings: Findings, result: dict[str, Any]) -> None:
    for group in findings.groups():
        logger.info("%s", group.line())
    looked_at = ", ".join(
        f"{split}: {c['images']} images ({c['decoded']} decoded), {c['annotations']} annotations of people"
        for split, c in result["splits"].items()
    )
    logger.info("%s", looked_at)
    logger.info(
        "%d errors, %d warnings, %d infos in %.1f s",
        result["errors"], result["warnings"], result["infos"], result["seconds"],
    )  # fmt: skip
