"""What a level changes, with the interval in which it lies by chance: of the images, and of the seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from personlab.errors import InputError
from personlab.evaluation.bootstrap import Difference, Matches, average_precision

RESAMPLES = 2000
LEVEL = 0.95
_FEW_SEEDS = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469)
"""Student's t at 97.5 % for 1 to 6 degrees of freedom, where its expansion is too coarse."""


@dataclass(frozen=True, eq=False)
class Resampled:
    """Average precision of one setting, the mean of its runs.

    Attributes:
        ap: Of all images.
        draws: `(resample,)` of images drawn with replacement, the same for every setting of the same images.
        runs: Average precision of each run.
        image_ids: `(image,)` the images.
        truths: `(image,)` people that count on each.
    """

    ap: float
    draws: NDArray[np.float64]
    runs: tuple[float, ...]
    image_ids: NDArray[np.int64]
    truths: NDArray[np.int64]


def resample(runs: Sequence[Matches], resamples: int = RESAMPLES, seed: int = 0) -> Resampled:
    """Average precision of runs of one setting, and of resampled images.

    Args:
        runs: What each run matched, one a training seed.
        resamples: How often images are drawn.
        seed: Of the draws; one pair of runs gives what `paired_bootstrap` gives with the same.

    Raises:
        InputError: If the runs are of different images, or nobody counts on them.
    """
    first = runs[0]
    if any(not _same(first.image_ids, first.truths, m.image_ids, m.truths) for m in runs):
        raise InputError("two runs of a level are of different images or annotations: only the same ones compare")
    ordered = [matches.sorted() for matches in runs]
    values = tuple(average_precision(matches) for matches in ordered)
    if math.isnan(values[0]):
        raise InputError("no image has a person that counts, so there is nothing to compare")
    generator = np.random.default_rng(seed)
    number = len(first.image_ids)
    draws = np.empty(resamples)
    for n in range(resamples):
        weights = np.bincount(generator.integers(0, number, number), minlength=number)
        draws[n] = sum(average_precision(matches, weights) for matches in ordered) / len(ordered)
    return Resampled(statistics.fmean(values), draws, values, first.image_ids, first.truths)


def by_image(first: Resampled, second: Resampled) -> Difference:
    """What the second setting has more than the first, with its interval over the images.

    Raises:
        InputError: If they are of different images or annotations.
    """
    if not _same(first.image_ids, first.truths, second.image_ids, second.truths):
        raise InputError("a level and the baseline are of different images or annotations: only the same ones compare")
    # A draw of nothing but images without people says nothing.
    low, high = np.nanquantile(second.draws - first.draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Difference(first.ap, second.ap, second.ap - first.ap, float(low), float(high), LEVEL, len(first.draws))


def by_seed(first: Sequence[float], second: Sequence[float]) -> dict[str, Any] | None:
    """The same over the chance of training, by Student's t over pairs of runs with one seed.

    Two seeds give an interval of 25 standard errors from end to end: they prove next to nothing, and it says so.

    Args:
        first: What the baseline reached with each seed.
        second: What the level reached with the same seeds, in the same order.

    Returns:
        `delta`, `low`, `high`, `pairs`, `conclusive`; None for fewer than two pairs.
    """
    deltas = [b - a for a, b in zip(first, second, strict=True)]
    if len(deltas) < 2:
        return None
    mean = statistics.fmean(deltas)
    half = student_t(len(deltas) - 1) * statistics.stdev(deltas) / math.sqrt(len(deltas))
    low, high = mean - half, mean + half
    return {"delta": mean, "low": low, "high": high, "pairs": len(deltas), "conclusive": low > 0 or high < 0}


def student_t(freedom: int) -> float:
    """Student's t at 97.5 %, to three digits.

    Args:
        freedom: Degrees of freedom, from 1 on.

    Source: Cornish and Fisher's expansion (Abramowitz and Stegun, 26.7.5).
    """
    if freedom <= len(_FEW_SEEDS):
        return _FEW_SEEDS[freedom - 1]
    z = statistics.NormalDist().inv_cdf((1 + LEVEL) / 2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / freedom ** (n + 1) for n, term in enumerate(terms))


def _same(ids: NDArray[Any], truths: NDArray[Any], other_ids: NDArray[Any], other_truths: NDArray[Any]) -> bool:
    return np.array_equal(ids, other_ids) and np.array_equal(truths, other_truths)
