"""Which settings of a sweep matter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

GROUPS = 4
"""Into how many groups of like size the values of a number are put, if it took more."""

FEWEST = 8
"""Runs without which nothing is told: among fewer, some setting always seems to explain everything."""


@dataclass(frozen=True)
class Importance:
    """One setting.

    Attributes:
        name: Of the setting.
        share: Part of the variance of the scores that goes with its value, 0 to 1, corrected for how many values there
            are (epsilon squared of a one-way analysis of variance): values dealt out at random give 0 on the average.
        groups: Values, or groups of them.
        runs: Runs that have a score.
    """

    name: str
    share: float
    groups: int
    runs: int


def varying(settings: Sequence[Mapping[str, Any]], but: Sequence[str] = ()) -> list[str]:
    """Names of settings that are not the same in all runs; one that a run lacks differs from all that have it."""
    names = dict.fromkeys(name for one in settings for name in one if name not in but)
    missing = object()
    return [n for n in names if any(one.get(n, missing) != settings[0].get(n, missing) for one in settings[1:])]


def importances(
    settings: Sequence[Mapping[str, Any]], scores: Sequence[float | None], names: Sequence[str]
) -> list[Importance]:
    """How much of the differences of scores goes with each setting alone, the most first; for `FEWEST` runs at least.

    What two settings do together is not told apart, and where a search tried good values of one setting with good ones
    of another, both get the credit.

    Args:
        settings: Of each run.
        scores: Of each run; those without one are left out.
        names: Settings to look at.
    """
    known = [(one, score) for one, score in zip(settings, scores, strict=True) if score is not None]
    if len(known) < FEWEST:
        return []
    values = np.array([score for _, score in known])
    total = float(((values - values.mean()) ** 2).sum())
    found = []
    for name in names:
        groups = _grouped([one.get(name) for one, _ in known])
        labels = sorted(set(groups))
        free = len(values) - len(labels)
        if len(labels) < 2 or free < 1 or total <= 0:
            continue
        members = [values[np.array(groups) == label] for label in labels]
        within = sum(float(((m - m.mean()) ** 2).sum()) for m in members)
        share = (total - within - (len(labels) - 1) * within / free) / total
        found.append(Importance(name, max(share, 0.0), len(labels), len(values)))
    return sorted(found, key=lambda one: -one.share)


def _grouped(values: Sequence[Any]) -> list[int]:
    """Group of each value: one each, or quantiles of a number that took more values than `GROUPS`."""
    texts = [str(value) for value in values]
    distinct = sorted(set(texts))
    is_number = all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in values)
    if not is_number or len(distinct) <= GROUPS:
        return [distinct.index(text) for text in texts]
    array = np.array(values, np.float64)
    edges = np.quantile(array, np.linspace(0, 1, GROUPS + 1)[1:-1])
    return np.searchsorted(edges, array, side="right").tolist()
