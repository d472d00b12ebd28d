"""Learning curves of many runs in few points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

POINTS = 50_000
"""Points that all curves of a report may have together."""
_NOT_MEASURED = ("step", "epoch", "samples_seen", "wall_s")


def learning_curves(ledgers: Sequence[Sequence[Mapping[str, Any]]], points: int = POINTS) -> dict[str, Any]:
    """Curves of every metric.

    Args:
        ledgers: Lines of each run's ledger; those without a step are left out.
        points: How many points all curves may have together; longer curves are thinned first.

    Returns:
        `metrics`: names, the AP first; `curves`: by metric, a list of `run` (index), `all` (points before thinning),
        and lists of `step`, `samples`, `hours` and `value`.
    """
    series: dict[str, dict[int, list[tuple[float, float, float, float]]]] = {}
    for run, lines in enumerate(ledgers):
        for line in lines:
            if not math.isfinite(_number(line.get("step"))):
                continue  # nobody knows where it belongs
            x = (_number(line.get("step")), _number(line.get("samples_seen")), _number(line.get("wall_s")))
            for name, value in line.items():
                if name not in _NOT_MEASURED and math.isfinite(_number(value)):
                    series.setdefault(name, {}).setdefault(run, []).append((*x, float(value)))
    limit = _limit([len(rows) for runs in series.values() for rows in runs.values()], points)
    curves = {name: [_curve(run, np.array(rows), limit) for run, rows in runs.items()] for name, runs in series.items()}
    return {"metrics": sorted(curves, key=_rank), "curves": curves}


def thin(values: NDArray[np.float64], points: int) -> NDArray[np.int64]:
    """Which points of a curve to draw so that it looks the same: first, last, and both extremes of every stretch.

    Args:
        values: `(point,)`.
        points: How many may be kept, 4 at least.

    Returns:
        Their indices, ascending.
    """
    if len(values) <= points:
        return np.arange(len(values))
    inner = np.arange(1, len(values) - 1)
    kept = {0, len(values) - 1}
    for stretch in np.array_split(inner, max((points - 2) // 2, 1)):
        kept |= {int(stretch[values[stretch].argmin()]), int(stretch[values[stretch].argmax()])}
    return np.array(sorted(kept), np.int64)


def short(value: float) -> float:
    """A number as precise as anybody sees, so that it takes few letters."""
    return float(f"{value:.5g}") if math.isfinite(value) else value


def _curve(run: int, rows: NDArray[np.float64], limit: int) -> dict[str, Any]:
    kept = rows[thin(rows[:, 3], limit)]
    columns = {
        "step": [int(x) for x in kept[:, 0]],
        "samples": [None if math.isnan(x) else int(x) for x in kept[:, 1]],
        "hours": [None if math.isnan(x) else short(x / 3600) for x in kept[:, 2]],
        "value": [short(x) for x in kept[:, 3]],
    }
    return {"run": run, "all": len(rows), **columns}


def _number(value: Any) -> float:
    try:
        return float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:  # a whole number that is larger than any float
        return math.nan


def _limit(lengths: Sequence[int], points: int) -> int:
    """The most points a curve may have so that all together have no more than `points`, but for 4 each."""
    low, high = 4, max([4, *lengths])
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if sum(min(n, middle) for n in lengths) <= points else (low, middle - 1)
    return low


def _rank(name: str) -> tuple[int, str]:
    first = ("val/keypoints/AP", "val/segmentation/AP", "test/keypoints/AP", "test/segmentation/AP", "train/loss/total")
    return (first.index(name) if name in first else len(first), name)
