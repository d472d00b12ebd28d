"""Runs as charts for notebooks and papers: what the report's page draws by script, as matplotlib figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from personlab.errors import InputError
from personlab.evaluation.coco_ap import Kind
from personlab.experiments.comparison import Comparison, Row
from personlab.experiments.evidence import network_of
from personlab.experiments.labels import labels_of
from personlab.experiments.record import Axis, Run
from personlab.experiments.report.tables import NAMES, kinds_of

# Told apart without colour vision, and in print by their shapes and hatches.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#f0e442")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_HATCHES = ("", "///", "...", "xxx", "---", "\\\\\\", "++", "oo")
_AXES = {"step": "step", "samples_seen": "images seen", "wall_s": "seconds"}


def curves_figure(runs: Sequence[Run], metrics: Sequence[str], axis: Axis = "step") -> Figure:
    """Learning curves from the ledgers, a panel a metric and a line a run.

    Args:
        runs: With names that may repeat.
        metrics: As `train/loss/total`; a run that never logged one has no line there.
        axis: What to draw them over.

    Raises:
        InputError: If no run has logged a metric.
    """
    columns = min(3, len(metrics))
    rows = -(-len(metrics) // max(columns, 1))
    figure = Figure(figsize=(4.2 * columns, 2.8 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, metric in zip(panels, metrics, strict=False):
        curves = [run.curve(metric, axis) for run in runs]
        if not any(curves):
            logged = sorted({name for run in runs for line in run.lines() for name in line if "/" in name})
            raise InputError(f"{metric}: no run has logged it; there are {', '.join(logged) or 'no metrics at all'}")
        for n, (name, curve) in enumerate(zip(labels_of(runs), curves, strict=True)):
            if curve:
                places, values = zip(*curve, strict=True)
                style = {"color": _COLOURS[n % len(_COLOURS)], "marker": _MARKERS[n % len(_MARKERS)], "markersize": 3}
                panel.plot(places, values, label=name, **style)
        panel.set_title(metric, fontsize=10)
        panel.set_xlabel(_AXES[axis])
        panel.set_ylim(bottom=0)
        _grid(panel)
    for panel in panels[len(metrics) :]:
        panel.set_visible(False)
    if len(runs) > 1:
        panels[0].legend(fontsize=8)
    return figure


def deltas_figure(comparison: Comparison) -> Figure:
    """Differences of AP to the baseline with their 95 % intervals over the images, a panel a kind.

    Raises:
        InputError: If no run has predictions to compare.
    """
    kinds = [kind for kind in kinds_of(comparison) if any(row.deltas.get(kind) for row in comparison.rows)]
    if not kinds:
        raise InputError("no run but the baseline has predictions, so there are no differences to draw")
    shown = [row for row in comparison.rows if any(row.deltas.get(kind) for kind in kinds)]
    figure = Figure(figsize=(5.5 * len(kinds), 1.3 + 0.45 * len(shown)), layout="constrained")
    panels = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
    for panel, kind in zip(panels, kinds, strict=True):
        for place, row in enumerate(shown):
            delta = row.deltas.get(kind, {}).get("all")
            if delta is None:
                continue
            colour = ("#009e73" if delta.value > 0 else "#d55e00") if delta.conclusive else "0.5"
            panel.plot([delta.low, delta.high], [place, place], color=colour, linewidth=2)
            panel.plot([delta.value], [place], color=colour, marker="o" if delta.conclusive else "d", markersize=7)
            where = {"xytext": (0, 7), "textcoords": "offset points"}
            panel.annotate(delta.text(), (delta.value, place), ha="center", fontsize=8, **where)
        panel.axvline(0, color="black", linewidth=0.8)
        panel.set_xlabel(f"{NAMES[kind]}, difference to {comparison.rows[0].label} (grey: inconclusive)")
        panel.margins(x=0.15)
        panel.locator_params(axis="x", nbins=6)
        _grid(panel, "x")
    panels[0].set_yticks(range(len(shown)), [row.label for row in shown])
    panels[0].set_ylim(len(shown) - 0.5, -0.75)  # the first on top, with room for its numbers
    return figure


def keypoints_figure(comparison: Comparison) -> Figure:
    """Keypoint recall of each run by keypoint: the mean, over COCO's thresholds, of those found of those labelled.

    Raises:
        InputError: If no run has predictions.
    """
    rows = _with_predictions(comparison)
    names = network_of(rows[0].run).skeleton.keypoint_names
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    panel = figure.subplots()
    for n, row in enumerate(rows):
        # Side by side, or equal values would hide each other.
        places = np.arange(len(names)) + 0.5 * ((n + 0.5) / len(rows) - 0.5)
        panel.plot(
            places, comparison.evidence[row.label].recalls, color=_COLOURS[n % len(_COLOURS)], linestyle="none",
            marker=_MARKERS[n % len(_MARKERS)], label=row.label,
        )  # fmt: skip
    panel.set_xticks(range(len(names)), [name.replace("_", "\n") for name in names], fontsize=8)
    panel.set_ylabel("keypoint recall")
    panel.set_ylim(0, 1)
    _grid(panel)
    figure.legend(loc="outside upper center", frameon=False, ncols=len(rows))
    return figure


def errors_figure(comparison: Comparison, kind: Kind = "keypoints") -> Figure:
    """What is missing of an AP of 1, run by run, in the parts that each type of error costs.

    Args:
        comparison: With predictions.
        kind: `keypoints` or `segmentation`.

    Raises:
        InputError: If no run has predictions of this kind.
    """
    rows = [row for row in _with_predictions(comparison) if kind in comparison.evidence[row.label].errors]
    if not rows:
        raise InputError(f"no run has predictions of {kind}, so nobody knows its errors")
    figure = Figure(figsize=(11, 1.7 + 0.5 * len(rows)), layout="constrained")
    panel = figure.subplots()
    for place, row in enumerate(rows):
        told = comparison.evidence[row.label].errors[kind]
        left = told["ap"]
        panel.barh(place, left, color="0.85", edgecolor="white", label="AP" if place == 0 else None)
        panel.annotate(f"AP {left:.3f}", (left / 2, place), ha="center", va="center", fontsize=9)
        for n, part in enumerate(told["parts"]):
            name = part["type"].replace("_", " ") if place == 0 else None
            panel.barh(
                place, part["ap_cost"], left=left, label=name, edgecolor="white",
                color=_COLOURS[n % len(_COLOURS)], hatch=_HATCHES[n % len(_HATCHES)],
            )  # fmt: skip
            left += part["ap_cost"]
    panel.set_yticks(range(len(rows)), [row.label for row in rows])
    panel.invert_yaxis()
    panel.set_xlim(0, 1)
    panel.set_xlabel(f"{NAMES[kind]}, and what each type of error costs of it when corrected one after the other")
    figure.legend(loc="outside upper center", frameon=False, ncols=5)
    return figure


def _with_predictions(comparison: Comparison) -> list[Row]:
    rows = [row for row in comparison.rows if row.label in comparison.evidence]
    if not rows:
        raise InputError("no run has predictions; evaluate again with them, or make the comparison with a judge")
    return rows


def _grid(panel: Axes, axis: Literal["both", "x", "y"] = "both") -> None:
    panel.grid(visible=True, axis=axis, color="0.9")
    panel.set_axisbelow(True)
