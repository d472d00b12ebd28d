"""Confidence intervals of differences of average precision: two evaluations of the same images, resampled together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from personlab.errors import InputError

RECALLS = np.linspace(0.0, 1.0, 101)
"""Recalls at which COCO reads precision."""


@dataclass(frozen=True, eq=False)
class Matches:
    """What COCO's evaluation matched on each image, over all sizes of people.

    Attributes:
        image_ids: `(image,)` ids of the images, ascending.
        truths: `(image,)` people of the ground truth that count.
        image: `(detection,)` index of the image of each detection.
        scores: `(detection,)`.
        matched: `(threshold, detection)` whether it is a person, at each threshold of OKS or IoU.
        ignored: `(threshold, detection)` whether it counts neither way.
    """

    image_ids: NDArray[np.int64]
    truths: NDArray[np.int64]
    image: NDArray[np.int64]
    scores: NDArray[np.float64]
    matched: NDArray[np.bool_]
    ignored: NDArray[np.bool_]

    def sorted(self) -> Matches:
        """The same, best detection first; equal scores stay in order, as COCO's evaluation has them."""
        order = np.argsort(-self.scores, kind="stable")
        return Matches(
            self.image_ids, self.truths, self.image[order], self.scores[order], self.matched[:, order],
            self.ignored[:, order],
        )  # fmt: skip


@dataclass(frozen=True)
class Difference:
    """What the second of two evaluations has more than the first.

    Attributes:
        first: Average precision of the first.
        second: Average precision of the second.
        delta: second - first.
        low: Lower end of the interval of `delta`.
        high: Upper end of it.
        level: Share of cases in which such an interval holds the true difference.
        resamples: How often images were drawn.
    """

    first: float
    second: float
    delta: float
    low: float
    high: float
    level: float
    resamples: int

    @property
    def conclusive(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0

    def to_json(self) -> dict[str, Any]:
        """All attributes, and `conclusive`."""
        return {**asdict(self), "conclusive": self.conclusive}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The difference that `to_json` wrote; other entries are ignored.

        Raises:
            InputError: If an attribute is missing.
        """
        try:
            return cls(**{field.name: content[field.name] for field in fields(cls)})
        except KeyError as error:
            raise InputError(f"a difference without {error.args[0]}: make it again by `evaluate --against`") from None

    def __str__(self) -> str:
        """The difference with its interval, and a word where it proves nothing."""
        told = f"{self.delta:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"
        return told if self.conclusive else f"{told}, inconclusive"


def average_precision(matches: Matches, weights: NDArray[np.int64] | None = None) -> float:
    """COCO's average precision, where each image counts as often as its weight says.

    Args:
        matches: In the order of `Matches.sorted`.
        weights: `(image,)`; None for once each.

    Returns:
        Mean over thresholds and recalls; NaN if no person of the ground truth counts.

    Source: COCO's evaluation code, `accumulate`, whose number this gives for weights of 1.
    """
    count = np.ones(len(matches.image_ids), np.int64) if weights is None else weights
    return _precision_of(matches.truths, _counting(matches), count)


def _counting(matches: Matches) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """By threshold, the image of each detection that counts, and which of these are true positives.

    This is the same whatever the weights: precision rises at true positives alone, so nothing else is looked at.
    """
    found = []
    for matched, ignored in zip(matches.matched, matches.ignored, strict=True):
        counts = np.flatnonzero(~ignored)
        found.append((matches.image[counts], np.flatnonzero(matched[counts])))
    return found


def _precision_of(
    truths: NDArray[np.int64], counting: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
    weights: NDArray[np.int64],
) -> float:  # fmt: skip
    """Average precision of what `_counting` found, where each image counts as often as its weight says."""
    people = int((weights * truths).sum())
    if people == 0:
        return float("nan")
    total = 0.0
    for image, true in counting:
        each = weights[image]
        right = np.cumsum(each[true])
        precision = right / np.maximum(np.cumsum(each)[true], 1)
        precision = np.maximum.accumulate(precision[::-1])[::-1]  # the best at this recall or a higher one
        place = np.searchsorted(right / people, RECALLS, side="left")
        total += float(precision[place[place < len(precision)]].sum())
    return total / (len(RECALLS) * len(counting))


def paired_bootstrap(
    first: Matches, second: Matches, resamples: int = 2000, level: float = 0.95, seed: int = 0
) -> Difference:
    """The difference of two evaluations, with the interval in which it lies by chance of the images.

    The images are drawn with replacement, the same for both, so what makes an image hard for both cancels out.

    Args:
        first: What is compared with.
        second: Of the same images.
        resamples: How often to draw.
        level: Share of the drawn differences inside the interval (percentiles).
        seed: Of the draws.

    Raises:
        InputError: If the images differ, or none has a person that counts.
    """
    check_same_images([first, second])
    values = average_precision(first.sorted()), average_precision(second.sorted())
    if np.isnan(values[0]):
        raise InputError("no image has a person that counts, so there is nothing to compare")
    deltas = resampled_precisions(second, resamples, seed) - resampled_precisions(first, resamples, seed)
    return Difference(*values, values[1] - values[0], *interval(deltas, level), level, resamples)


def check_same_images(evaluations: Sequence[Matches]) -> None:
    """Refuse to compare evaluations of different images.

    Raises:
        InputError: If their images, or the people that count on them, differ.
    """
    first = evaluations[0]
    for other in evaluations[1:]:
        if not np.array_equal(first.image_ids, other.image_ids) or not np.array_equal(first.truths, other.truths):
            raise InputError("the evaluations are of different images or annotations: only the same ones compare")


def draws(images: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """How often each image counts, `(image,)`, in each of the resamples; the same for the same numbers."""
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.bincount(generator.integers(0, images, images), minlength=images)


def resampled_precisions(matches: Matches, resamples: int = 2000, seed: int = 0) -> NDArray[np.float64]:
    """Average precision over images drawn with replacement.

    Of evaluations of the same images, the n-th values are of the same drawn images, so differences of these arrays are
    paired.

    Returns:
        `(resample,)`; NaN where no image drawn has a person that counts.
    """
    ordered = matches.sorted()
    counting = _counting(ordered)
    everyone = draws(len(matches.image_ids), resamples, seed)
    return np.array([_precision_of(ordered.truths, counting, weights) for weights in everyone], np.float64)


def interval(values: NDArray[np.float64], level: float = 0.95) -> tuple[float, float]:
    """The percentiles between which a share `level` of the values lies; those that are NaN say nothing."""
    low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
