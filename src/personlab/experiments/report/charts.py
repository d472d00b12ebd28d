"""What the charts of a report show, as plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from personlab.evaluation.coco_ap import Kind
from personlab.experiments.comparison import Comparison
from personlab.experiments.evidence import KINDS
from personlab.experiments.labels import SEEDS
from personlab.experiments.report.curves import learning_curves, short
from personlab.experiments.report.importance import LIKELY, importances, varying

MOST_AXES = 12
"""Settings that parallel coordinates show at most: those that matter most."""


def chart_data(comparison: Comparison) -> dict[str, Any]:
    """Everything that the page's script draws from, JSON values only."""
    rows = comparison.rows
    return {
        "runs": [{"label": row.label, "setting": row.setting} for row in rows],
        "settings": [setting.label for setting in comparison.settings],
        "curves": learning_curves([row.run.lines() for row in rows]),
        "cost": [
            {"ap": {kind: row.run.ap(kind) for kind in KINDS}, "latency": row.latency_ms, "parameters": row.parameters}
            for row in rows
        ],
        "sizes": {kind: _sizes(comparison, kind) for kind in KINDS},
        "keypoints": [
            {"run": n, "names": list(row.keypoints), "deltas": [_delta(d) for d in row.keypoints.values()]}
            for n, row in enumerate(rows)
            if row.keypoints
        ],
        "errors": {kind: _errors(comparison, kind) for kind in KINDS},
        "sweep": _sweep(comparison),
    }


def _sizes(comparison: Comparison, kind: Kind) -> list[dict[str, Any]]:
    return [
        {"run": n, "names": list(row.deltas[kind]), "deltas": [_delta(d) for d in row.deltas[kind].values()]}
        for n, row in enumerate(comparison.rows)
        if row.deltas.get(kind)
    ]


def _delta(delta: Any) -> list[float]:
    return [short(delta.value), short(delta.low), short(delta.high)]


def _errors(comparison: Comparison, kind: Kind) -> list[dict[str, Any]]:
    """AP that each type of error costs, of each run that has predictions."""
    found = []
    for n, row in enumerate(comparison.rows):
        told = comparison.evidence[row.label].errors.get(kind) if row.label in comparison.evidence else None
        if told:
            parts = told["parts"]
            found.append(
                {
                    "run": n, "ap": short(told["ap"]), "types": [p["type"].replace("_", " ") for p in parts],
                    "costs": [short(p["ap_cost"]) for p in parts], "counts": [p["count"] for p in parts],
                }
            )  # fmt: skip
    return found


def _sweep(comparison: Comparison) -> dict[str, Any] | None:
    """Settings that vary and what they bring; None for fewer than three settings."""
    rows = comparison.rows
    if len(comparison.settings) < 3:
        return None
    settings = [row.run.settings for row in rows]
    names = varying(settings, SEEDS)
    # Runs of one setting are no independent trials of it.
    tried = [setting.rows[0].run.settings for setting in comparison.settings]
    told = {kind: importances(tried, [setting.ap[kind] for setting in comparison.settings], names) for kind in KINDS}
    ranked = [one.name for one in told["keypoints"]]
    shown = [*ranked, *(name for name in names if name not in ranked)][:MOST_AXES]
    return {
        "axes": [_axis(name, settings) for name in shown],
        "left_out": len(names) - len(shown),
        "likely": LIKELY,
        "importance": {
            kind: [[one.name, short(one.share), one.groups, short(one.chance)] for one in found]
            for kind, found in told.items()
        },
    }


def _axis(name: str, settings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A setting as an axis: numbers as they are, anything else by the place of its text."""
    values = [one.get(name) for one in settings]
    if all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in values):
        return {"name": name, "values": values, "texts": None}
    texts = [text_of(value) for value in values]
    distinct = sorted(set(texts))
    return {"name": name, "values": [distinct.index(text) for text in texts], "texts": distinct}


def text_of(value: Any) -> str:
    """A setting's value as a config would have it."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value)
