"""The statistics of a data set as one picture."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from personlab.errors import InputError

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_HATCHES = ("", "///", "...", "xxx", "---", "\\\\\\")
Statistics = Mapping[str, Mapping[str, Any]]


def draw_statistics(splits: Statistics, path: Path) -> None:
    """Write what `statistics_figure` draws.

    Args:
        splits: See there.
        path: Picture to write; its extension says the format.

    Raises:
        InputError: If the picture cannot be written.
    """
    figure = statistics_figure(splits)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot write the picture: {error}") from error


def statistics_figure(splits: Statistics) -> Figure:
    """People per image, scales, visibility by keypoint, ignored pixels and overlaps, splits side by side.

    Args:
        splits: Statistics of each split, see `personlab.data.statistics`.
    """
    figure = Figure(figsize=(13, 8.5), layout="constrained")
    grid = figure.add_gridspec(2, 6)
    _people(figure.add_subplot(grid[0, :3]), splits)
    _scales(figure.add_subplot(grid[0, 3:]), splits)
    _visibility(figure.add_subplot(grid[1, :4]), splits)
    _pixels(figure.add_subplot(grid[1, 4:]), splits)
    for axes in figure.axes:
        axes.grid(visible=True, axis="y", color="0.9")
        axes.set_axisbelow(True)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", frameon=False, ncols=len(splits))
    return figure


def _bars(axes: Axes, splits: Statistics, names: list[str], values: Mapping[str, list[float]]) -> None:
    """One group of bars a name, one bar a split."""
    places = np.arange(len(names))
    width = 0.85 / len(splits)
    for n, split in enumerate(splits):
        axes.bar(
            places + (n - (len(splits) - 1) / 2) * width, values[split], width, label=_label(split, splits[split]),
            color=_COLOURS[n % len(_COLOURS)], hatch=_HATCHES[n % len(_HATCHES)], edgecolor="white", linewidth=0.5,
        )  # fmt: skip
    axes.set_xticks(places, names)


def _label(split: str, found: Mapping[str, Any]) -> str:
    return (
        f"{split}: {found['images']} images, {found['people']} people, {found['people_with_keypoints']} with keypoints"
    )


def _people(axes: Axes, splits: Statistics) -> None:
    histograms = {split: found["people_per_image"]["histogram"] for split, found in splits.items()}
    names = list(next(iter(histograms.values())))
    shares = {split: [100 * count / max(sum(h.values()), 1) for count in h.values()] for split, h in histograms.items()}
    _bars(axes, splits, names, shares)
    axes.set_xlabel("people in an image")
    axes.set_ylabel("% of images")


def _scales(axes: Axes, splits: Statistics) -> None:
    edges = next(iter(splits.values()))["scales_px"]["edges"]
    names = [f"{low}–\n{high}" for low, high in pairwise(edges)] + [f"{edges[-1]}+"]
    totals = {split: max(sum(found["scales_px"]["people"]), 1) for split, found in splits.items()}
    shares = {split: [100 * n / totals[split] for n in found["scales_px"]["people"]] for split, found in splits.items()}
    _bars(axes, splits, names, shares)
    # People without keypoints are the part of a bar above the line.
    width = 0.85 / len(splits)
    for n, (split, found) in enumerate(splits.items()):
        for place, count in enumerate(found["scales_px"]["with_keypoints"]):
            middle = place + (n - (len(splits) - 1) / 2) * width
            axes.hlines(100 * count / totals[split], middle - width / 2, middle + width / 2, color="black")
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlabel("scale: square root of the mask's area, px (below the line: with keypoints)")
    axes.set_ylabel("% of people")


def _visibility(axes: Axes, splits: Statistics) -> None:
    keypoints = {split: found["keypoints"] for split, found in splits.items()}
    names = list(next(iter(keypoints.values())))

    def share(counts: Mapping[str, int], *kinds: str) -> float:
        return 100 * sum(counts[kind] for kind in kinds) / max(sum(counts.values()), 1)

    labelled = {
        split: [share(found[name], "hidden", "visible") for name in names] for split, found in keypoints.items()
    }
    _bars(axes, splits, [name.replace("_", "\n") for name in names], labelled)
    width = 0.85 / len(splits)
    for n, found in enumerate(keypoints.values()):
        for place, name in enumerate(names):
            middle = place + (n - (len(splits) - 1) / 2) * width
            axes.hlines(share(found[name], "visible"), middle - width / 2, middle + width / 2, color="black")
    axes.tick_params(axis="x", labelsize=7)
    axes.set_ylabel("% of people with keypoints")
    axes.set_xlabel("keypoint labelled (below the line: visible)")


def _pixels(axes: Axes, splits: Statistics) -> None:
    kinds = {
        "people": "people", "ignored": "ignored", "crowd": "crowd", "unannotated": "no\nkeypoints",
        "unmasked": "no\nmask", "shared_of_people": "of people:\nshared",
    }  # fmt: skip
    shares = {split: [100 * found["pixels"][kind] for kind in kinds] for split, found in splits.items()}
    _bars(axes, splits, list(kinds.values()), shares)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_ylabel("% of pixels")
    first = next(iter(splits.values()))["overlaps"]
    told = [
        f"{split}: " + ", ".join(f"{100 * found['overlaps'][limit]:.0f} %" for limit in first)
        for split, found in splits.items()
    ]
    axes.set_title(f"images with boxes overlapping > {', '.join(first)}\n" + "\n".join(told), fontsize=8)
