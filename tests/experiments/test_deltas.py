"""Differences with intervals: known cases, and how often an interval holds a planted difference."""

from __future__ import annotations

import numpy as np
import pytest

from personlab.evaluation.bootstrap import Matches, average_precision, resampled_precisions
from personlab.experiments.comparison import verdict
from personlab.experiments.deltas import Delta, by_image, by_seed


def detectors(generator: np.random.Generator, images: int, skills: list[float]) -> list[Matches]:
    """Detectors of the same images, some of which are hard for all; each finds more by its skill."""
    truths = generator.integers(1, 4, images)
    image = np.repeat(np.arange(images), truths)
    ease, chance = generator.uniform(0.2, 0.8, images)[image], generator.uniform(size=len(image))
    found = []
    for skill in skills:
        luck = np.where(generator.uniform(size=len(image)) < 0.3, generator.uniform(size=len(image)), chance)
        right = (luck < ease + skill)[None]
        scores = generator.uniform(size=len(image)) + 0.5 * right[0]
        found.append(Matches(np.arange(images), truths, image, scores, right, np.zeros_like(right)))
    return found


def difference(found: list[Matches], resamples: int) -> Delta:
    """Of two settings of two runs each."""
    values = [average_precision(matches.sorted()) for matches in found]
    resampled = [resampled_precisions(matches, resamples) for matches in found]
    delta = by_image(values[:2], values[2:], resampled[:2], resampled[2:], len(found[0].image_ids))
    assert delta is not None
    return delta


def test_an_interval_over_images_holds_a_planted_difference() -> None:
    skills = [0.0, 0.0, 0.1, 0.1]
    whole = [average_precision(m.sorted()) for m in detectors(np.random.default_rng(0), 60_000, skills)]
    true = float(np.mean(whole[2:]) - np.mean(whole[:2]))
    simulations, held, better = 200, 0, 0
    for seed in range(simulations):
        delta = difference(detectors(np.random.default_rng(1 + seed), 60, skills), 150)
        held += delta.low <= true <= delta.high
        better += verdict([delta]) == "better"
    assert held / simulations >= 0.9
    assert better / simulations > 0.5


@pytest.mark.parametrize(("planted", "seeds"), [(0.0, 3), (0.02, 3), (0.02, 5)])
def test_an_interval_over_seeds_holds_a_planted_difference(planted: float, seeds: int) -> None:
    simulations, held, found = 200, 0, 0
    for n in range(simulations):
        generator = np.random.default_rng(n)
        shared = generator.normal(0.4, 0.03, seeds)  # what a seed does to both settings cancels out
        first, second = (shared + generator.normal(more, 0.004, seeds) for more in (0.0, planted))
        delta = by_seed(first, second)
        assert delta is not None
        assert delta.number == seeds
        held += delta.low <= planted <= delta.high
        found += delta.conclusive
    assert 0.9 <= held / simulations <= 0.99
    assert found / simulations > 0.6 if planted else found / simulations < 0.1


def test_identical_runs_differ_by_nothing_and_prove_nothing() -> None:
    one = detectors(np.random.default_rng(3), 30, [0.0])[0]
    delta = difference([one] * 4, 40)
    assert (delta.value, delta.low, delta.high) == (0, 0, 0)
    seeds = by_seed([0.3, 0.4, 0.5], [0.3, 0.4, 0.5])
    assert seeds is not None
    assert (seeds.value, seeds.low, seeds.high) == (0, 0, 0)
    assert verdict([delta, seeds]) == "inconclusive"
    assert delta.text() == "+0.000 [+0.000, +0.000]"


def test_the_interval_over_seeds_is_that_of_student() -> None:
    delta = by_seed([0.1, 0.2, 0.3], [0.2, 0.31, 0.39])
    assert delta is not None
    # Differences .10, .11, .09: mean .1, standard error .01 / sqrt(3), t of two degrees of freedom 4.3027.
    assert delta.value == pytest.approx(0.1)
    assert delta.high - delta.value == pytest.approx(4.3027 * 0.01 / 3**0.5, rel=1e-4)
    assert by_seed([0.1], [0.2]) is None
    assert by_seed([0.1, float("nan")], [0.2, 0.3]) is None


def test_a_verdict_needs_all_intervals() -> None:
    up, down = Delta(0.1, 0.05, 0.15, 9, "image"), Delta(-0.1, -0.15, -0.05, 3, "seed")
    open_ = Delta(0.1, -0.05, 0.25, 3, "seed")
    assert verdict([up, None]) == "better"
    assert verdict([down]) == "worse"
    assert verdict([up, open_]) == verdict([up, down]) == "inconclusive"
    assert verdict([None]) == "unknown"


def test_seeds_that_all_differ_by_the_very_same_tell_nothing_of_chance() -> None:
    assert by_seed([0.25, 0.5], [0.5, 0.75]) is None
    same = by_seed([0.25, 0.5], [0.25, 0.5])
    assert same is not None
    assert (same.value, same.conclusive) == (0, False)
    # The same but for how floats are added: 0.1 + 0.2 is not 0.3.
    assert by_seed([0.1, 0.2, 0.3], [0.1 + 0.2, 0.4, 0.5]) is None
    same = by_seed([0.3, 0.3], [0.1 + 0.2, 0.1 + 0.2])
    assert same is not None
    assert (same.value, same.conclusive) == (0, False)


def test_nothing_to_measure_gives_no_difference() -> None:
    nothing = np.full(5, np.nan)
    assert by_image([float("nan")], [float("nan")], [nothing], [nothing], 3) is None
