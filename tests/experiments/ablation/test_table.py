"""The table of a study on made-up matches: whose runs are paired, with which intervals, and what is refused."""

from __future__ import annotations

from statistics import fmean

import numpy as np
import pytest

from personlab.errors import InputError
from personlab.evaluation.bootstrap import Matches, average_precision, paired_bootstrap
from personlab.experiments.ablation.matches import CellMatches
from personlab.experiments.ablation.table import Found, markdown, table_rows


def matches(seed: int, hits: float, images: int = 40) -> Matches:
    """One person an image and one detection each, right with a probability, at two thresholds alike."""
    generator = np.random.default_rng(seed)
    right = generator.random(images) < hits
    ids = np.arange(images, dtype=np.int64)
    scores, ignored = generator.random(images), np.zeros((2, images), bool)
    return Matches(ids, np.ones(images, np.int64), ids, scores, np.stack([right] * 2), ignored)


def cell(level: str, runs: dict[int, Matches]) -> Found:
    return Found(level, {seed: CellMatches({"keypoints": found}) for seed, found in runs.items()})


def test_one_pair_of_runs_is_the_paired_bootstrap() -> None:
    first, second = matches(1, 0.5), matches(2, 0.8)
    _, row = table_rows([cell("base", {0: first}), cell("other", {0: second})])
    expected = paired_bootstrap(first, second)
    told = row["keypoints"]["by_image"]
    assert (told["value"], told["low"], told["high"]) == pytest.approx((expected.delta, expected.low, expected.high))
    assert told["conclusive"] is row["keypoints"]["conclusive"] is expected.conclusive is True
    assert row["keypoints"]["by_seed"] is None


def test_only_seeds_that_both_have_are_paired() -> None:
    base = {0: matches(1, 0.5), 1: matches(2, 0.5), 2: matches(3, 0.5)}
    other = {1: matches(4, 0.6), 2: matches(5, 0.9), 7: matches(6, 0.9)}
    _, row = table_rows([cell("base", base), cell("other", other)])
    ap = {
        name: {n: average_precision(m.sorted()) for n, m in runs.items()} for name, runs in (("b", base), ("o", other))
    }
    figures = row["keypoints"]
    assert figures["ap"] == pytest.approx(fmean(ap["o"].values()))
    assert figures["by_seed"]["number"] == 2
    for told in (figures["by_image"], figures["by_seed"]):
        assert told["value"] == pytest.approx(fmean(ap["o"][n] - ap["b"][n] for n in (1, 2)))
    assert figures["conclusive"] is (figures["by_image"]["conclusive"] and figures["by_seed"]["conclusive"])


def test_runs_that_are_the_same_differ_by_nothing() -> None:
    runs = {0: matches(1, 0.7), 1: matches(2, 0.7)}
    rows = table_rows([cell("base", runs), cell("same", runs)])
    assert rows[1]["keypoints"]["conclusive"] is False
    assert "+.000 [+.000, +.000] inconclusive | +.000 [+.000, +.000] inconclusive" in markdown(rows)


@pytest.mark.parametrize(
    "level", [{0: matches(1, 0.5, images=30)}, {0: matches(1, 0.5), 1: matches(2, 0.5, images=30)}]
)
def test_other_images_are_refused(level: dict[int, Matches]) -> None:
    with pytest.raises(InputError, match="different images"):
        table_rows([cell("base", {0: matches(3, 0.5), 1: matches(4, 0.5)}), cell("other", level)])
