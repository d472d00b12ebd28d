"""The table of a study: levels against the baseline, with intervals, as JSON and as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from personlab.evaluation.bootstrap import check_same_images
from personlab.evaluation.coco_ap import Kind
from personlab.experiments.ablation.matches import CellMatches
from personlab.experiments.deltas import by_image, by_seed

KINDS: dict[Kind, str] = {"keypoints": "keypoint AP", "segmentation": "mask AP"}


@dataclass(frozen=True, eq=False)
class Found:
    """What came of one cell of a study.

    Attributes:
        level: Its name.
        runs: What was matched, by seed; a decoder-only study has one run, of seed 0.
        failed: Trials that failed.
        unfinished: Trials that nobody has run to the end yet.
    """

    level: str
    runs: Mapping[int, CellMatches] = field(default_factory=dict)
    failed: int = 0
    unfinished: int = 0


def table_rows(found: Sequence[Found]) -> list[dict[str, Any]]:
    """The rows of a study as JSON.

    Args:
        found: What came of each cell, the baseline first.

    Returns:
        A row a cell: `level`, `runs` (one a seed, with its AP), `failed`, `unfinished`, and by kind `ap`, the mean over
        seeds, and of others than the baseline `by_image` and `by_seed`, see `Delta`, over the seeds that both have.
        `conclusive` tells whether both intervals leave out 0, or the only one there is. Kinds that nothing was found of
        are missing.

    Raises:
        InputError: If results are of different images.
    """
    rows = []
    for cell in found:
        row: dict[str, Any] = {
            "level": cell.level,
            "runs": [{"seed": seed, **run.about} for seed, run in cell.runs.items()],
            "failed": cell.failed,
            "unfinished": cell.unfinished,
        }
        for kind in KINDS:
            if cell.runs and all(kind in run.matches for run in cell.runs.values()):
                row[kind] = _figures(cell, found[0], kind)
        rows.append(row)
    return rows


def _figures(cell: Found, baseline: Found, kind: Kind) -> dict[str, Any]:
    """One kind of a row."""
    aps = [run.precisions[kind] for run in cell.runs.values()]
    figures: dict[str, Any] = {"ap": statistics.fmean(aps), "aps": aps}
    shared = [seed for seed in cell.runs if seed in baseline.runs and kind in baseline.runs[seed].matches]
    if cell is baseline or not shared:
        return figures
    theirs, mine = ([of.runs[seed] for seed in shared] for of in (baseline, cell))
    check_same_images([run.matches[kind] for run in (*theirs, *mine)])
    first, second = ([run.precisions[kind] for run in runs] for runs in (theirs, mine))
    resampled_first, resampled_second = ([run.resampled[kind] for run in runs] for runs in (theirs, mine))
    image = by_image(first, second, resampled_first, resampled_second, len(mine[0].matches[kind].image_ids))
    seed = by_seed(first, second)
    assert image is not None  # somebody counts: see `Scorer`
    figures["by_image"] = image.to_json()
    figures["by_seed"] = seed and seed.to_json()
    figures["conclusive"] = image.conclusive and (seed is None or seed.conclusive)
    return figures


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table as Markdown, from `table_rows`."""
    with_seeds = any(row.get(kind, {}).get("by_seed") for row in rows for kind in KINDS)
    trained = any(len(row["runs"]) > 1 or row["failed"] or row["unfinished"] for row in rows)
    columns = ["level", *(["runs"] if trained else [])]
    kinds = [kind for kind in KINDS if any(kind in row for row in rows)]
    for kind in kinds:
        columns += [KINDS[kind], "Δ [by image]", *(["Δ [by seed]"] if with_seeds else [])]
    cost = next((name for name in ("minutes", "decode_ms") for row in rows for r in row["runs"] if name in r), None)
    if cost is not None:
        columns.append({"minutes": "minutes a run", "decode_ms": "decoding, ms an image"}[cost])
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for row in rows:
        cells = [str(row["level"]), *([_runs(row)] if trained else [])]
        for kind in kinds:
            figures = row.get(kind) or {}
            deltas = [figures.get(name) for name in ("by_image", *(["by_seed"] if with_seeds else []))]
            cells += [_ap(figures.get("ap")), *map(_delta, deltas)]
        if cost is not None:
            cells.append(_mean(run[cost] for run in row["runs"] if cost in run))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _runs(row: Mapping[str, Any]) -> str:
    told = [str(len(row["runs"]))]
    told += [f"{row[name]} {name}" for name in ("failed", "unfinished") if row[name]]
    return ", ".join(told)


def _delta(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "–"
    told = f"{_signed(found['value'])} [{_signed(found['low'])}, {_signed(found['high'])}]"
    return told if found["conclusive"] else f"{told} inconclusive"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("0.", ".", 1).replace("-", "−")


def _ap(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}".removeprefix("0")


def _mean(values: Iterable[float]) -> str:
    found = list(values)
    return f"{statistics.fmean(found):.1f}" if found else "–"
