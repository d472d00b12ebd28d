"""The oracle ladder as a picture: average precision by which fields are true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from personlab.errors import InputError

# Told apart without colour vision, and in print by their shapes.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_SETTINGS = {"stride": "stride {}", "size": "longer side {} px", "refinement_steps": "{} refinement steps"}


def draw_ladder(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write what `ladder_figure` draws.

    Args:
        rows: See there.
        path: Picture to write; its extension says the format.

    Raises:
        InputError: If the picture cannot be written.
    """
    figure = ladder_figure(rows)
    try:
        figure.savefig(path, dpi=130)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot write the picture: {error}") from error


def ladder_figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Keypoint and mask AP of each rung, one series for each stride, input size and number of refinement steps.

    Args:
        rows: Rows of `run_ladder` with `stride`, `size` and `refinement_steps`, each of which may be None.
    """
    names = list(dict.fromkeys(row["fields"] for row in rows))
    series: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        series.setdefault(tuple(row[name] for name in _SETTINGS), []).append(row)
    figure = Figure(figsize=(11, 1.6 + 0.3 * len(names)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, kind, title in ((left, "keypoints", "keypoint AP"), (right, "segmentation", "mask AP")):
        for number, (setting, scored) in enumerate(series.items()):
            known = [row for row in scored if row[kind]["AP"] is not None]
            values = [row[kind]["AP"] for row in known]
            # Side by side within a line, or equal values would hide each other.
            shift = 0.5 * ((number + 0.5) / len(series) - 0.5)
            axes.plot(
                values, [names.index(row["fields"]) + shift for row in known], color=_COLOURS[number % len(_COLOURS)],
                marker=_MARKERS[number % len(_MARKERS)], markersize=5, linestyle="none", label=_label(setting),
            )  # fmt: skip
            for value, row in zip(values, known, strict=True) if len(series) == 1 else ():
                place = (value, names.index(row["fields"]))
                axes.annotate(f"{value:.3f}", place, xytext=(6, 0), textcoords="offset points", va="center", fontsize=8)
        axes.set_xlabel(title)
        axes.set_xlim(0, 1.15)
        axes.grid(visible=True, color="0.9")
        axes.set_axisbelow(True)
        for number in range(1, len(names)):
            if names[number].startswith("network") and not names[number - 1].startswith("network"):
                axes.axhline(number - 0.5, color="0.5", linewidth=0.8)
    left.set_yticks(range(len(names)), names)
    left.invert_yaxis()
    if len(series) > 1:
        figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", frameon=False, ncols=2, fontsize=9)
    else:
        figure.suptitle(_label(next(iter(series))), fontsize=10)
    return figure


def _label(setting: tuple[Any, ...]) -> str:
    told = [text.format(value) for value, text in zip(setting, _SETTINGS.values(), strict=True) if value is not None]
    return ", ".join(told)
