"""The table of a study: levels against the baseline, with intervals, as JSON and as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from personlab.evaluation.bootstrap import Difference
from personlab.evaluation.coco_ap import Kind
from personlab.experiments.ablation.evidence import Evidence
from personlab.experiments.ablation.statistics import Resampled, by_image, by_seed, resample

KINDS: dict[Kind, str] = {"keypoints": "keypoint AP", "segmentation": "mask AP"}


@dataclass(frozen=True, eq=False)
class Found:
    """What came of one cell of a study.

    Attributes:
        level: Its name.
        runs: Evidence by seed; a decoder-only study has one run, of seed 0.
        failed: Trials that failed.
        unfinished: Trials that nobody has run to the end yet.
    """

    level: str
    runs: Mapping[int, Evidence] = field(default_factory=dict)
    failed: int = 0
    unfinished: int = 0


def table_rows(found: Sequence[Found]) -> list[dict[str, Any]]:
    """The rows of a study as JSON.

    Args:
        found: What came of each cell, the baseline first.

    Returns:
        A row a cell: `level`, `runs` (one a seed, with its AP), `failed`, `unfinished`, and by kind `ap`, the mean over
        seeds, and of others than the baseline `by_image` and `by_seed`, see `Difference`, over the seeds that both
        have. `conclusive` tells whether both intervals leave out 0, or the only one there is. Kinds that nothing was
        found of are missing.

    Raises:
        InputError: If results are of different images.
    """
    baseline = found[0]
    kept: dict[tuple[Kind, tuple[int, ...]], Resampled] = {}

    def of_baseline(kind: Kind, seeds: tuple[int, ...]) -> Resampled:
        if (kind, seeds) not in kept:
            kept[kind, seeds] = resample([baseline.runs[seed].matches[kind] for seed in seeds])
        return kept[kind, seeds]

    rows = []
    for cell in found:
        row: dict[str, Any] = {
            "level": cell.level,
            "runs": [{"seed": seed, **evidence.about} for seed, evidence in cell.runs.items()],
            "failed": cell.failed,
            "unfinished": cell.unfinished,
        }
        for kind in KINDS:
            if cell.runs and all(kind in run.matches for run in cell.runs.values()):
                row[kind] = _figures(cell, baseline, kind, of_baseline)
        rows.append(row)
    return rows


def _figures(cell: Found, baseline: Found, kind: Kind, of_baseline: Any) -> dict[str, Any]:
    """One kind of a row."""
    seeds = tuple(cell.runs)
    mine = of_baseline(kind, seeds) if cell is baseline else resample([r.matches[kind] for r in cell.runs.values()])
    figures: dict[str, Any] = {"ap": mine.ap, "aps": list(mine.runs)}
    shared = tuple(s for s in seeds if s in baseline.runs and kind in baseline.runs[s].matches)
    if cell is baseline or not shared:
        return figures
    if shared != seeds:
        mine = resample([cell.runs[seed].matches[kind] for seed in shared])
    theirs = of_baseline(kind, shared)
    image = by_image(theirs, mine)
    seed = by_seed(theirs.runs, mine.runs)
    figures["by_image"] = image.to_json()
    figures["by_seed"] = seed
    figures["conclusive"] = image.conclusive and (seed is None or bool(seed["conclusive"]))
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
            cells += [_ap(figures.get("ap")), _by_image(figures), *([_by_seed(figures)] if with_seeds else [])]
        if cost is not None:
            cells.append(_mean(run[cost] for run in row["runs"] if cost in run))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _runs(row: Mapping[str, Any]) -> str:
    told = [str(len(row["runs"]))]
    told += [f"{row[name]} {name}" for name in ("failed", "unfinished") if row[name]]
    return ", ".join(told)


def _by_image(figures: Mapping[str, Any]) -> str:
    if "by_image" not in figures:
        return "–"
    difference = Difference.from_json(figures["by_image"])
    return _delta(difference.delta, difference.low, difference.high, difference.conclusive)


def _by_seed(figures: Mapping[str, Any]) -> str:
    found = figures.get("by_seed")
    return "–" if found is None else _delta(found["delta"], found["low"], found["high"], found["conclusive"])


def _delta(delta: float, low: float, high: float, conclusive: bool) -> str:
    told = f"{_signed(delta)} [{_signed(low)}, {_signed(high)}]"
    return told if conclusive else f"{told} inconclusive"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("0.", ".", 1).replace("-", "−")


def _ap(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}".removeprefix("0")


def _mean(values: Iterable[float]) -> str:
    found = list(values)
    return f"{statistics.fmean(found):.1f}" if found else "–"
