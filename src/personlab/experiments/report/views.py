"""The tables of the page, as texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from personlab.evaluation.coco_ap import Kind
from personlab.experiments.comparability import Spent
from personlab.experiments.comparison import Comparison, Row, Setting, verdict
from personlab.experiments.deltas import Delta
from personlab.experiments.evidence import KINDS
from personlab.experiments.report.charts import text_of
from personlab.experiments.report.differences import difference_tables
from personlab.experiments.report.importance import FEWEST, LIKELY
from personlab.experiments.report.tables import (
    NAMES,
    NO_VALUE,
    kinds_of,
    runs_and_seeds,
    shown,
    shown_count,
    shown_hours,
)


@dataclass(frozen=True)
class Table:
    """Headings, and rows of texts."""

    headings: list[str]
    rows: list[list[str]]


def page_view(comparison: Comparison, data: dict[str, Any]) -> dict[str, Any]:
    """What the page's template asks for, but for what is not of the comparison.

    Args:
        comparison: What to show.
        data: What the charts show, see `chart_data`.
    """
    kinds = kinds_of(comparison)
    total = len(comparison.rows) + len(comparison.unscored)
    return {
        "lead": f"Baseline: {comparison.rows[0].label}. {_images(comparison)}",
        "notes": comparison.notes,
        "kinds": [(kind, NAMES[kind]) for kind in kinds],
        "settings": {
            "headings": ["setting", "runs", *(NAMES[kind] for kind in kinds), "hours", "parameters"],
            "rows": [_setting(setting, kinds) for setting in comparison.settings],
        }
        if comparison.has_seeds
        else None,
        "runs": {
            "headings": _run_headings(kinds),
            "rows": [_run(n, row, kinds, comparison) for n, row in enumerate(comparison.rows)],
        },
        "cost": _cost(comparison),
        "sizes": _deltas(comparison, "size"),
        "keypoints": _deltas(comparison, "keypoint"),
        "errors": _errors(comparison, data),
        "sweep": _sweep(comparison, data),
        "importance": _importance(data),
        "differences": difference_tables(comparison),
        "unfinished": _unfinished(comparison),
        "total": total,
    }  # fmt: skip


def _images(comparison: Comparison) -> str:
    told = comparison.rows[0].run.evaluation or {}
    people = " Masks of people without keypoints do not count." if told.get("only_with_keypoints") else ""
    return f"Scores on {told.get('images')} images.{people}"


def _run_headings(kinds: Sequence[Kind]) -> list[str]:
    scores = [NAMES[kind] for kind in kinds]
    return ["run", *scores, "steps", "images seen", "hours", "parameters", "ms an image"]


def _run(number: int, row: Row, kinds: Sequence[Kind], comparison: Comparison) -> dict[str, Any]:
    run = row.run
    scores: list[dict[str, Any]] = []
    for kind in kinds:
        delta = row.deltas.get(kind, {}).get("all")
        told = {"deltas": [_signed(delta)], "tag": verdict([delta])} if delta else {}
        scores.append(_cell(shown(run.ap(kind)), run.ap(kind)) | told)
    spent = row.spent
    return {
        "label": row.label,
        "search": f"{row.label} {comparison.settings[row.setting].label} {run.status}",
        "colour": row.setting if comparison.has_seeds else number,
        "baseline": row.partner is None,
        "marks": row.marks,
        "cells": [
            *scores, _cell(shown_count(spent.steps), spent.steps),
            _cell(shown_count(spent.images_seen), spent.images_seen), _hours(spent),
            _cell(shown_count(row.parameters), row.parameters), _cell(shown(row.latency_ms, 1), row.latency_ms),
        ],
    }  # fmt: skip


def _cell(text: str, value: Any) -> dict[str, Any]:
    """A cell with the value to sort it by."""
    return {"text": text, "value": "" if value is None else value, "deltas": [], "tag": ""}


def _hours(spent: Spent) -> dict[str, Any]:
    """Hours, and hours times devices where there were several."""
    cell = _cell(shown_hours(spent.seconds), spent.seconds)
    if spent.seconds is not None and spent.device_hours != spent.seconds / 3600:
        cell["deltas"] = [f"{shown(spent.device_hours, 2)} of devices"]
    return cell


def _signed(delta: Delta) -> str:
    return delta.text().replace("-", "−")


def _setting(setting: Setting, kinds: Sequence[Kind]) -> dict[str, Any]:
    scores = []
    for kind in kinds:
        spread = setting.spread[kind]
        text = shown(setting.ap[kind]) + (f" ± {spread:.3f}" if spread is not None else "")
        known = [delta for delta in (setting.by_image[kind], setting.by_seed[kind]) if delta is not None]
        deltas = [f"{_signed(delta)} by {delta.paired_by}" for delta in known]
        if setting.grounds(kind):
            deltas.append("no interval by seed" if setting.by_seed[kind] is None else "no interval by image")
        scores.append(_cell(text, setting.ap[kind]) | {"deltas": deltas, "tag": setting.verdict(kind) if known else ""})
    seconds = [row.spent.seconds for row in setting.rows if row.spent.seconds is not None]
    parameters = setting.rows[0].parameters
    alike: dict[str, list[str]] = {}
    for row in setting.rows:
        for mark in row.marks:
            alike.setdefault(mark, []).append(row.label)
    marks = [m if len(of) == len(setting.rows) else f"{', '.join(of)}: {m}" for m, of in alike.items()]
    return {
        "label": setting.label,
        "marks": marks,
        "cells": [
            _cell(runs_and_seeds(setting), len(setting.rows)), *scores,
            _cell(shown_hours(sum(seconds) if seconds else None), None), _cell(shown_count(parameters), parameters),
        ],
    }  # fmt: skip


def _cost(comparison: Comparison) -> Table:
    rows = [
        [row.label, *(shown(row.run.ap(kind)) for kind in KINDS), shown(row.latency_ms, 1), f"{row.parameters:,}"]
        for row in comparison.rows
    ]
    return Table(["run", *(NAMES[kind] for kind in KINDS), "ms an image", "parameters"], rows)


def _deltas(comparison: Comparison, by: str) -> Table | None:
    """Differences by size of both kinds, or by keypoint."""
    rows = []
    headings: list[str] = []
    for row in comparison.rows:
        if by == "keypoint":
            deltas = row.keypoints
        else:
            deltas = {
                f"{NAMES[kind].removesuffix(' AP')} {size}": delta
                for kind, sizes in row.deltas.items()
                for size, delta in sizes.items()
            }
        if deltas:
            headings = headings or ["run", *deltas]
            rows.append([row.label, *(deltas[n].text() if n in deltas else NO_VALUE for n in headings[1:])])
    return Table([h.replace("_", " ") for h in headings], rows) if rows else None


def _errors(comparison: Comparison, data: dict[str, Any]) -> Table | None:
    """What each type of error costs, a line a run and type, both kinds."""
    rows = []
    for kind in KINDS:
        for one in data["errors"][kind]:
            label = comparison.rows[one["run"]].label
            for type_, cost, count in zip(one["types"], one["costs"], one["counts"], strict=True):
                rows.append([label, NAMES[kind].removesuffix(" AP"), type_, f"{cost:.3f}", str(count)])
    return Table(["run", "of", "error", "AP it costs", "how often"], rows) if rows else None


def _sweep(comparison: Comparison, data: dict[str, Any]) -> dict[str, Any] | None:
    if data["sweep"] is None:
        return None
    names = [axis["name"] for axis in data["sweep"]["axes"]]
    rows = [
        [row.label, *(text_of(row.run.settings.get(name)) for name in names), *(shown(row.run.ap(k)) for k in KINDS)]
        for row in comparison.rows
    ]
    headings = ["run", *names, *(NAMES[kind] for kind in KINDS)]
    told = {"left_out": data["sweep"]["left_out"], "settings": len(comparison.settings), "least": FEWEST}
    return {"headings": headings, "rows": rows, **told}


def _importance(data: dict[str, Any]) -> Table:
    told = data["sweep"]["importance"] if data["sweep"] else {}
    rows = [
        [name, NAMES[kind], f"{share:.2f}", f"{chance:.3f}", "inconclusive" * (chance > LIKELY), str(groups)]
        for kind in KINDS
        for name, share, groups, chance in told.get(kind, [])
    ]
    return Table(["setting", "of", "share of variance", "by chance as large", "verdict", "values or groups"], rows)


def _unfinished(comparison: Comparison) -> list[list[str]]:
    scored = [(row.run, row.spent) for row in comparison.rows if row.run.status != "finished"]
    return [
        [
            f"{run.name}/{run.run_id}", run.status, "yes" if run.evaluation else "none", shown_count(spent.steps),
            shown_hours(spent.seconds),
        ]
        for run, spent in (*scored, *comparison.unscored)
    ]  # fmt: skip
