"""Intervals of deltas by known cases: nothing, a planted improvement, unequal images."""

from __future__ import annotations

import numpy as np
import pytest

from personlab.errors import InputError
from personlab.evaluation.bootstrap import Matches, average_precision, paired_bootstrap
from personlab.experiments.ablation.statistics import by_image, by_seed, resample, student_t


def matches(generator: np.random.Generator, hits: float, images: int = 60) -> Matches:
    """One person an image and one detection each, right with a probability, at two thresholds alike."""
    right = generator.random(images) < hits
    ids = np.arange(images, dtype=np.int64)
    scores, ignored = generator.random(images), np.zeros((2, images), bool)
    return Matches(ids, np.ones(images, np.int64), ids, scores, np.stack([right] * 2), ignored)


def test_runs_that_are_the_same_differ_by_nothing() -> None:
    run = resample([matches(np.random.default_rng(1), 0.7)], resamples=50)
    difference = by_image(run, run)
    assert (difference.delta, difference.low, difference.high, difference.conclusive) == (0, 0, 0, False)
    assert by_seed([0.5, 0.6], [0.5, 0.6])["conclusive"] is False


def test_one_pair_is_the_paired_bootstrap() -> None:
    generator = np.random.default_rng(2)
    first, second = matches(generator, 0.5), matches(generator, 0.8)
    mine = by_image(resample([first], 100, seed=7), resample([second], 100, seed=7))
    assert mine.to_json() == pytest.approx(paired_bootstrap(first, second, 100, seed=7).to_json())


def test_several_runs_are_their_mean_on_the_same_draws() -> None:
    generator = np.random.default_rng(3)
    runs = [matches(generator, hits) for hits in (0.5, 0.6, 0.7)]
    both = resample(runs, 20)
    assert both.runs == tuple(average_precision(run.sorted()) for run in runs)
    assert both.ap == pytest.approx(np.mean(both.runs))
    np.testing.assert_allclose(both.draws, np.mean([resample([run], 20).draws for run in runs], axis=0))


def test_a_planted_improvement_is_covered_in_nine_of_ten_simulations() -> None:
    """Matched at random with known probabilities: the true difference is that of a data set without end."""

    def large(hits: float) -> float:
        return average_precision(matches(np.random.default_rng(4), hits, 200_000).sorted())

    true = large(0.8) - large(0.6)
    covered = found = 0
    for seed in range(200):
        generator = np.random.default_rng(100 + seed)
        runs = [[matches(generator, hits, 60) for _ in range(2)] for hits in (0.6, 0.8)]
        difference = by_image(resample(runs[0], 80), resample(runs[1], 80))
        covered += difference.low <= true <= difference.high
        found += difference.low > 0
    assert covered >= 180
    assert found >= 150


def test_other_images_or_people_are_refused() -> None:
    generator = np.random.default_rng(5)
    first, fewer = matches(generator, 0.5), matches(generator, 0.5, images=30)
    with pytest.raises(InputError, match="different images"):
        resample([first, fewer])
    with pytest.raises(InputError, match="different images"):
        by_image(resample([first], 5), resample([fewer], 5))


def test_seeds_are_told_by_students_t() -> None:
    found = by_seed([0.50, 0.52, 0.51], [0.53, 0.56, 0.55])
    assert found["delta"] == pytest.approx(0.11 / 3)
    half = 4.3027 * np.std([0.03, 0.04, 0.04], ddof=1) / np.sqrt(3)
    assert (found["low"], found["high"]) == pytest.approx((0.11 / 3 - half, 0.11 / 3 + half), rel=1e-3)
    assert found["conclusive"] is True
    assert by_seed([0.5], [0.9]) is None
    two = by_seed([0.5, 0.5], [0.51, 0.53])
    assert (two["pairs"], two["conclusive"]) == (2, False)


TABLE = [(1, 12.706), (4, 2.776), (6, 2.447), (9, 2.262), (30, 2.042), (10**6, 1.96)]


@pytest.mark.parametrize(("freedom", "t"), TABLE)
def test_students_t_is_that_of_tables(freedom: int, t: float) -> None:
    assert student_t(freedom) == pytest.approx(t, abs=2e-3)
