"""Average precision by weights, and the interval of a difference."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from personlab.errors import InputError
from personlab.evaluation import CocoAP
from personlab.evaluation.bootstrap import (
    RECALLS,
    Difference,
    Matches,
    average_precision,
    draws,
    paired_bootstrap,
    resampled_precisions,
)


def coco_example(shared: Path) -> tuple[dict[str, Any], list[dict[str, Any]], list[int]]:
    folder = shared / "golden" / "coco-eval"
    truth = json.loads((folder / "person_keypoints_val2014_100.json").read_text())
    found = json.loads((folder / "person_keypoints_val2014_fakekeypoints100_results.json").read_text())
    # Some scores are equal, and a repetition would put these into another order.
    found = [{**result, "score": result["score"] + 1e-7 * n} for n, result in enumerate(found)]
    return truth, found, sorted({r["image_id"] for r in found})


@pytest.mark.coco
def test_weights_of_one_give_cocos_number_and_others_that_of_repeated_images(shared: Path) -> None:
    truth, found, ids = coco_example(shared)
    metric = CocoAP(truth, ("keypoints",))
    metric.update_results(found, ids)
    matches = metric.matches("keypoints").sorted()
    assert average_precision(matches) == pytest.approx(metric.compute()["keypoints/AP"], abs=1e-9)
    # The same as a data set in which images stand as often as their weights say.
    weights = np.random.default_rng(3).integers(0, 3, len(ids))
    repeated, again, new_ids = _repeated(truth, found, dict(zip(ids, weights.tolist(), strict=True)))
    metric = CocoAP(repeated, ("keypoints",))
    metric.update_results(again, new_ids)
    assert average_precision(matches, weights) == pytest.approx(metric.compute()["keypoints/AP"], abs=1e-9)


def _repeated(truth: dict[str, Any], found: list[dict[str, Any]], times: dict[int, int]) -> tuple[Any, Any, list[int]]:
    tables: dict[str, Any] = {"images": [], "annotations": [], "categories": truth["categories"]}
    results, new = [], 0
    for image in truth["images"]:
        for _ in range(times.get(image["id"], 0)):
            new += 1
            tables["images"].append({**image, "id": new})
            tables["annotations"] += [
                {**copy.deepcopy(a), "image_id": new, "id": len(tables["annotations"]) + n}
                for n, a in enumerate((a for a in truth["annotations"] if a["image_id"] == image["id"]), 1)
            ]
            results += [{**r, "image_id": new} for r in found if r["image_id"] == image["id"]]
    return tables, results, list(range(1, new + 1))


def made(generator: np.random.Generator, images: int, skill: float) -> tuple[Matches, Matches]:
    """Two detectors of the same images: some images are hard for both, the second finds more by `skill`."""
    truths = generator.integers(1, 4, images)
    image = np.repeat(np.arange(images), truths)
    ease = generator.uniform(0.2, 0.8, images)[image]
    chance = generator.uniform(size=len(image))
    both = []
    for more in (0.0, skill):
        right = (chance < ease + more)[None]
        scores = generator.uniform(size=len(image)) + 0.5 * right[0]
        both.append(Matches(np.arange(images), truths, image, scores, right, np.zeros_like(right)))
    return both[0], both[1]


@pytest.mark.parametrize("skill", [0.0, 0.08])
def test_the_interval_holds_a_planted_difference(skill: float) -> None:
    large = made(np.random.default_rng(0), 60_000, skill)
    true = average_precision(large[1].sorted()) - average_precision(large[0].sorted())
    simulations, held, conclusive = 200, 0, 0
    for seed in range(simulations):
        found = paired_bootstrap(*made(np.random.default_rng(1 + seed), 80, skill), resamples=200)
        held += found.low <= true <= found.high
        conclusive += found.conclusive
    assert 0.90 <= held / simulations <= 0.99
    if skill:
        assert conclusive / simulations > 0.5
    else:
        assert conclusive / simulations < 0.1


def literal_precision(matches: Matches, weights: np.ndarray) -> float:
    """COCO's `accumulate` over all detections, each as often as its image counts."""
    people, total = sum(weights * matches.truths), 0.0
    for matched, ignored in zip(matches.matched, matches.ignored, strict=True):
        right, wrong, recall, precision = 0, 0, [], []
        for image, true, left_out in zip(matches.image, matched, ignored, strict=True):
            right += 0 if left_out or not true else int(weights[image])
            wrong += 0 if left_out or true else int(weights[image])
            recall.append(right / people)
            precision.append(right / max(right + wrong, 1))
        for wanted in RECALLS:
            total += max((p for r, p in zip(recall, precision, strict=True) if r >= wanted), default=0.0)
    return total / (len(RECALLS) * len(matches.matched))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_resamples_are_the_average_precision_of_the_images_drawn(share: float) -> None:
    """With images that are drawn more than once or never, and detections that are ignored."""
    generator = np.random.default_rng(3)
    images, detections, thresholds = 12, 60, 3
    matched = generator.uniform(size=(thresholds, detections)) < share
    ignored = generator.uniform(size=(thresholds, detections)) < 0.2
    image, scores = generator.integers(0, images, detections), generator.uniform(size=detections).round(1)
    truths = np.bincount(image, minlength=images)  # as many as could be found
    matches = Matches(np.arange(images), truths, image, scores, matched, ignored)
    drawn = list(draws(images, 10, 5))
    assert any((weights > 1).any() and (weights == 0).any() for weights in drawn)
    expected = [literal_precision(matches.sorted(), weights) for weights in drawn]
    assert (np.array(expected) > 0.05).all() == (share > 0)
    np.testing.assert_allclose(resampled_precisions(matches, 10, 5), expected, rtol=1e-12, atol=0)
    none = replace(matches, truths=np.zeros(images, np.int64))
    assert np.isnan(resampled_precisions(none, 3, 0)).all()


def test_the_same_twice_differs_by_nothing() -> None:
    one, _ = made(np.random.default_rng(5), 30, 0.0)
    found = paired_bootstrap(one, one, resamples=50)
    assert (found.delta, found.low, found.high, found.conclusive) == (0, 0, 0, False)
    assert str(found) == "+0.000 [+0.000, +0.000], inconclusive"
    assert found.to_json()["conclusive"] is False


def test_a_difference_comes_back_from_json() -> None:
    found = paired_bootstrap(*made(np.random.default_rng(5), 30, 0.4), resamples=50)
    written = json.loads(json.dumps({**found.to_json(), "file": "before.json"}))
    assert Difference.from_json(written) == found
    assert str(Difference.from_json(written | {"low": 0.05, "delta": 0.1, "high": 0.15})) == "+0.100 [+0.050, +0.150]"
    del written["low"]
    with pytest.raises(InputError, match="a difference without low"):
        Difference.from_json(written)


def test_other_images_are_refused() -> None:
    one, _ = made(np.random.default_rng(5), 30, 0.0)
    other, _ = made(np.random.default_rng(6), 31, 0.0)
    with pytest.raises(InputError, match="different images"):
        paired_bootstrap(one, other)
    nobody = Matches(
        one.image_ids, np.zeros_like(one.truths), one.image, one.scores, one.matched, np.ones_like(one.ignored)
    )
    with pytest.raises(InputError, match="nothing to compare"):
        paired_bootstrap(nobody, nobody)
