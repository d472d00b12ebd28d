"""What an evaluation left in a run directory, as tables and pictures for dashboards."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from personlab.data.coco import annotation_path
from personlab.errors import InputError
from personlab.evaluation.coco_ap import FIGURES
from personlab.evaluation.image_scores import keypoint_scores
from personlab.evaluation.image_sets import read_image_set
from personlab.evaluation.results import read_results
from personlab.experiments.catalogue import Run, read_run
from personlab.experiments.evidence import network_of
from personlab.experiments.runs import RunDirectory
from personlab.files import write_json

_SIZES = ("all", "small", "medium", "large")


@dataclass(frozen=True)
class Table:
    """Rows of plain values; None where there is nothing to measure."""

    columns: list[str]
    rows: list[list[Any]]


def views_of(run: RunDirectory, line: Mapping[str, Any]) -> dict[str, Table | Path]:
    """What belongs to a line of the ledger.

    Args:
        run: Whose ledger it is.
        line: One of its lines.

    Returns:
        For a line with scores, by name: `val/by_size`, and `val/contact_sheet` (a picture) and `val/by_keypoint` where
        the run keeps them; `test/…` for a test. For other lines nothing.
    """
    stage = next((s for s in ("val", "test") if any(f"{s}/{kind}/AP" in line for kind in FIGURES)), None)
    if stage is None:
        return {}
    views: dict[str, Table | Path] = {f"{stage}/by_size": size_table(line, stage)}
    # What is logged of the n-th step has the number n - 1; a run that only evaluates has done none.
    stems = [f"{stage}-step{line['step'] + done}" for done in (1, 0)]
    sheet = next((p for s in stems if (p := run.figures / f"{s}.png").is_file()), None)
    predictions = next((p for s in stems if (p := run.predictions / f"{s}.json").is_file()), None)
    if sheet is not None:
        views[f"{stage}/contact_sheet"] = sheet
    if predictions is not None and (table := _kept_keypoint_table(run, predictions)) is not None:
        views[f"{stage}/by_keypoint"] = table
    return views


def size_table(line: Mapping[str, Any], stage: str) -> Table:
    """Average precision and recall of keypoints and masks by size of the person, from a line of the ledger."""
    rows = []
    for kind, names in FIGURES.items():
        for size in _SIZES:
            ending = "" if size == "all" else f"_{size}"
            recall = "AR100" if size == "all" and "AR100" in names else f"AR{ending}"
            if f"AP{ending}" in names:
                rows.append([kind, size, *(line.get(f"{stage}/{kind}/{name}") for name in (f"AP{ending}", recall))])
    return Table(["kind", "size", "AP", "AR"], rows)


def keypoint_table(run: Run, predictions: Path) -> Table:
    """Recall of each keypoint, see `ImageScores.recall`: average precision has no parts by keypoint.

    Args:
        run: Whose config tells data and skeleton.
        predictions: COCO results of one of its evaluations.

    Raises:
        InputError: If its annotations or predictions cannot be read, or nothing tells which images they are of.
    """
    results = read_results(predictions)
    images = read_image_set(predictions, results)
    if images is None or images.split is None:
        raise InputError(f"{predictions}: nothing tells which images it is of; evaluate again")
    data, skeleton = run.config["data"], network_of(run).skeleton
    annotations = annotation_path(Path(data["root"]), images.split, data["annotations"])
    scores = keypoint_scores(annotations, results, skeleton, images.image_ids, str(predictions))
    recalls = [None if math.isnan(value) else float(value) for value in scores.recall()]
    labelled = scores.labelled.sum(axis=0).tolist()
    rows = [list(row) for row in zip(skeleton.keypoint_names, recalls, labelled, strict=True)]
    return Table(["keypoint", "recall", "labelled"], rows)


def best_scores(run: Run) -> dict[str, float]:
    """The best average precision of all validations, and the step it was reached at, by kind."""
    found: dict[str, float] = {}
    for kind in FIGURES:
        curve = run.curve(f"val/{kind}/AP")
        if curve:
            step, value = max(curve, key=lambda point: point[1])
            found |= {f"best/{kind}/AP": value, f"best/{kind}/step": step}
    return found


def _kept_keypoint_table(run: RunDirectory, predictions: Path) -> Table | None:
    """The table, made once for a file of predictions: a run that goes on shows all its evaluations again."""
    kept = run.path / "wandb" / "tables" / predictions.name
    try:
        if kept.is_file() and kept.stat().st_mtime_ns >= predictions.stat().st_mtime_ns:
            return Table(**json.loads(kept.read_bytes()))
        table = keypoint_table(read_run(run.path), predictions)
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_json(kept, {"columns": table.columns, "rows": table.rows})
    except (InputError, OSError, ValueError, KeyError, TypeError):  # such as annotations that have moved meanwhile
        return None
    return table
