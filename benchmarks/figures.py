"""Figures of results."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#444444"
"""The first two are told apart by every kind of colour vision, and by their lightness in print."""
LINES = (
    ("peer_masks_ms", "BodyPix, masks", ORANGE, "s", "--"),
    ("peer_poses_ms", "PoseNet, poses", ORANGE, "o", "--"),
    ("masks_ms", "personlab, masks", BLUE, "s", "-"),
    ("poses_ms", "personlab, poses", BLUE, "o", "-"),
)


def decode_times(result: dict[str, Any], path: Path, stride: int = 8) -> None:
    """Draw the time of an image against its people, ours and the released decoders', on logarithmic axes.

    Args:
        result: What `benchmarks.peers` wrote; of several scenes with as many people the median is drawn.
        path: The picture.
        stride: Output stride of the scenes that are drawn.
    """
    rows = [row for row in result["rows"] if row["stride"] == stride]
    people = sorted({row["people"] for row in rows})
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.add_subplot()
    for name, label, colour, marker, line in LINES:
        times = [statistics.median(row[name] for row in rows if row["people"] == n) for n in people]
        axes.plot(people, times, color=colour, marker=marker, linestyle=line, linewidth=1.8, markersize=6)
        axes.annotate(
            label, (people[-1], times[-1]), (9, 0), textcoords="offset points", va="center", color=colour, fontsize=10
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(people, [str(n) for n in people])
    axes.set_xlim(people[0] * 0.85, people[-1] * 1.15)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.tick_params(which="both", colors=GREY, length=0)
    axes.grid(which="major", color="#dddddd", linewidth=0.7)
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    axes.set_xlabel("people in the image", color=GREY)
    axes.set_ylabel("ms an image", color=GREY)
    axes.set_title(f"Time to decode fields of stride {stride}, one thread", loc="left", fontsize=11)
    figure.savefig(path, dpi=160, metadata={"Software": None})
