"""Which settings of a sweep matter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

GROUPS = 4
"""Into how many groups of like size the values of a number are put, if it took more."""

FEWEST = 8
"""Cases without which nothing is told: among fewer, some setting always seems to explain everything."""

SHUFFLES = 999
"""Random orders of the scores that a share is compared with."""

LIKELY = 0.05
"""From this chance on, a share is called inconclusive."""


@dataclass(frozen=True)
class Importance:
    """One setting.

    Attributes:
        name: Of the setting.
        share: Part of the variance of the scores that goes with its value, 0 to 1, corrected for how many values there
            are (epsilon squared of a one-way analysis of variance). Values dealt out at random give 0 on the average
            before what is negative is set to 0, and with few runs a lot by chance: see `chance`.
        chance: How often scores that are dealt out at random to the cases give as large a share.
        groups: Values, or groups of them.
        cases: How many have a score.
    """

    name: str
    share: float
    chance: float
    groups: int
    cases: int


def varying(settings: Sequence[Mapping[str, Any]], but: Sequence[str] = ()) -> list[str]:
    """Names of settings that are not the same in all runs; one that a run lacks differs from all that have it."""
    names = dict.fromkeys(name for one in settings for name in one if name not in but)
    missing = object()
    return [n for n in names if any(one.get(n, missing) != settings[0].get(n, missing) for one in settings[1:])]


def importances(
    settings: Sequence[Mapping[str, Any]], scores: Sequence[float | None], names: Sequence[str]
) -> list[Importance]:
    """How much of the differences of scores goes with each setting alone, the most first; for `FEWEST` cases at least.

    What two settings do together is not told apart, and where a search tried good values of one setting with good ones
    of another, both get the credit.

    Args:
        settings: Of each case. Runs that differ in their seeds alone are one: as several they would make chance look
            like evidence.
        scores: Of each case; those without one are left out.
        names: Settings to look at.
    """
    known = [(one, score) for one, score in zip(settings, scores, strict=True) if score is not None]
    if len(known) < FEWEST:
        return []
    values = np.array([score for _, score in known])
    if np.ptp(values) <= 0:
        return []
    # Row 0 has the scores as they are, the others the same dealt out at random.
    shuffled = np.random.default_rng(0).permuted(np.tile(values, (1 + SHUFFLES, 1)), axis=1)
    shuffled[0] = values
    found = []
    for name in names:
        groups = np.array(_grouped([one.get(name) for one, _ in known]))
        count = len(set(groups.tolist()))
        if not 1 < count < len(values):
            continue
        shares = _shares(shuffled, groups)
        # As large as the true one but for rounding; the true one is among them, so that it is never 0.
        chance = float(np.mean(shares >= shares[0] - 1e-9))
        found.append(Importance(name, max(float(shares[0]), 0.0), chance, count, len(values)))
    return sorted(found, key=lambda one: (-one.share, one.chance))


def _shares(scores: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """Epsilon squared of `(case, run)` scores by the `(run,)` groups, `(case,)`."""
    labels = np.unique(groups)
    free = scores.shape[1] - len(labels)
    total = ((scores - scores.mean(1, keepdims=True)) ** 2).sum(1)
    within = np.zeros(len(scores))
    for label in labels:
        some = scores[:, groups == label]
        within += ((some - some.mean(1, keepdims=True)) ** 2).sum(1)
    return (total - within - (len(labels) - 1) * within / free) / total


def _grouped(values: Sequence[Any]) -> list[int]:
    """Group of each value: one each, or quantiles of a number that took more values than `GROUPS`.

    Not set (None) is a group of its own.
    """
    texts = [str(value) for value in values]
    distinct = sorted(set(texts))
    known = [value for value in values if value is not None]
    is_number = all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in known)
    if not is_number or len(set(known)) <= GROUPS:
        return [distinct.index(text) for text in texts]
    edges = np.quantile(np.array(known, np.float64), np.linspace(0, 1, GROUPS + 1)[1:-1])
    return [-1 if value is None else int(np.searchsorted(edges, value, side="right")) for value in values]
