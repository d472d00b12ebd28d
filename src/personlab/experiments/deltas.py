"""Differences between runs with the interval in which they lie by chance, paired by image and paired by seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from personlab.evaluation.bootstrap import interval

_ROUNDING = 1e-9
"""Differences of AP below which two are the same: what is left is how floats were added."""
LEVEL = 0.95
"""Share of cases in which an interval holds the true difference."""


@dataclass(frozen=True)
class Delta:
    """A difference to the baseline.

    Attributes:
        value: By how much more.
        low: Lower end of its interval.
        high: Upper end of it.
        number: Of images, or of pairs of seeds.
        paired_by: Whose chance the interval tells: of the images that were looked at, or of the seeds that were drawn.
    """

    value: float
    low: float
    high: float
    number: int
    paired_by: Literal["image", "seed"]

    @property
    def conclusive(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0

    def to_json(self) -> dict[str, Any]:
        """All attributes, and `conclusive`."""
        return {**asdict(self), "conclusive": self.conclusive}

    def text(self, scale: float = 1.0, digits: int = 3) -> str:
        """Value and interval, each multiplied by `scale`."""
        value, low, high = (f"{scale * number:+.{digits}f}" for number in (self.value, self.low, self.high))
        return f"{value} [{low}, {high}]"


def by_image(
    first: Sequence[float],
    second: Sequence[float],
    resampled_first: Sequence[NDArray[np.float64]],
    resampled_second: Sequence[NDArray[np.float64]],
    images: int,
) -> Delta | None:
    """The difference of two settings of one or several runs, by bootstrap over the images.

    Args:
        first: What each run of the baseline reached.
        second: What each of the other's did.
        resampled_first: The same of resampled images, `(resample,)` each; the n-th has the same images for all runs.
        resampled_second: The same of the other's.
        images: How many there are.

    Returns:
        The difference of means over runs, with percentiles of that of the resamples; None where there is nothing to
        measure it on.
    """
    value = float(np.mean(second) - np.mean(first))
    if math.isnan(value):
        return None
    deltas = np.mean(resampled_second, axis=0) - np.mean(resampled_first, axis=0)
    return Delta(value, *interval(deltas, LEVEL), images, "image")


def by_seed(first: Sequence[float], second: Sequence[float]) -> Delta | None:
    """The difference of two settings that were trained from the same seeds, by Student's t over the pairs.

    With the few seeds that anyone can afford, resampling them gives intervals that are far too short; the t-interval is
    right from two pairs on, if differences are about normal.

    Args:
        first: What the baseline reached with each seed.
        second: What the other reached with the same seeds, in the same order.

    Returns:
        The mean difference; None for fewer than two pairs, and where all differ by the very same, from which nobody
        can tell chance.
    """
    deltas = np.array(second, np.float64) - np.array(first, np.float64)
    deltas[np.abs(deltas) < _ROUNDING] = 0
    if len(deltas) < 2 or not np.isfinite(deltas).all():
        return None
    mean = float(deltas.mean())
    if mean != 0 and np.ptp(deltas) < _ROUNDING:
        return None
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(deltas) - 1) * deltas.std(ddof=1) / math.sqrt(len(deltas)))
    return Delta(mean, mean - half, mean + half, len(deltas), "seed")
