"""Matching is that of COCO's evaluation; what is made of it."""

from __future__ import annotations

import numpy as np
import pytest

from personlab.evaluation import CocoAP
from personlab.evaluation.error_cases import read_cases
from personlab.evaluation.error_parts import (
    Scene,
    contenders,
    costs,
    is_right,
    match,
    nearest_people,
    rescored,
    score_scenes,
    scoring_errors,
    size_of,
)
from personlab.evaluation.keypoint_labels import object_similarity
from tests.evaluation.planted import TRIO, crowded


def scene(overlaps: list[list[float]], scores: list[float], counted: list[bool] | None = None) -> Scene:
    table = np.array(overlaps, float).reshape(len(scores), -1)
    people = np.ones(table.shape[1], bool) if counted is None else np.array(counted)
    return Scene(table, np.array(scores), people, np.zeros_like(people))


@pytest.mark.parametrize("seed", range(8))
def test_matches_are_cocos(seed: int) -> None:
    truth, results = crowded(seed)
    metric = CocoAP(truth, ("keypoints",), TRIO)
    metric.update_results(results, metric.images)
    expected = metric.matches("keypoints")
    matched, ignored = [np.zeros((10, 0), bool)], [np.zeros((10, 0), bool)]
    for case in read_cases(truth, results, "keypoints", TRIO):
        found = np.array([r["keypoints"] for r in case.found]).reshape(-1, 3, 3)[:, :, :2]
        people = np.array([p["keypoints"] for p in case.people], float).reshape(-1, 3, 3)
        overlaps = object_similarity(found, people, case.people, np.array(TRIO.sigmas))
        one = Scene(overlaps, case.scores, case.counted, case.crowd)
        hit = match(one)
        matched.append(hit >= 0)
        ignored.append((hit >= 0) & ~is_right(one, hit))
    np.testing.assert_array_equal(np.concatenate(matched, axis=1), expected.matched)
    np.testing.assert_array_equal(np.concatenate(ignored, axis=1), expected.ignored)
    assert expected.matched.any()
    assert expected.ignored.any()


def test_the_better_of_those_who_contend_gets_the_higher_score() -> None:
    one = scene([[0.6, 0.0], [0.9, 0.2], [0.0, 0.0], [0.3, 0.7]], [0.5, 0.8, 0.95, 0.9])
    matched, contended = nearest_people(one)
    assert matched.tolist() == [-1, 0, -1, 1]
    assert contended.tolist() == [0, 0, -1, 1]
    assert [group.tolist() for group in contenders(contended)] == [[0, 1]]
    assert rescored(one, contended).scores.tolist() == one.scores.tolist()  # the better one has it already
    other = scene(one.overlaps.tolist(), [0.8, 0.5, 0.95, 0.9])
    assert rescored(other, contended).scores.tolist() == [0.5, 0.8, 0.95, 0.9]
    assert scoring_errors(one, contended) == []
    assert scoring_errors(other, contended) == [0]
    assert scoring_errors(scene([[0.9], [0.9]], [0.8, 0.5]), np.array([0, 0])) == []


def test_whom_a_detection_stands_for() -> None:
    # Near somebody who counts and on somebody who does not: at .5 COCO ignores it, unless both reach that.
    counted = [True, False]
    assert nearest_people(scene([[0.3, 0.8]], [1.0], counted))[0].tolist() == [-1]
    assert nearest_people(scene([[0.5, 0.8]], [1.0], counted))[0].tolist() == [0]
    assert nearest_people(scene([[0.3, 0.4]], [1.0], counted))[0].tolist() == [0]
    assert nearest_people(scene([[0.09]], [1.0]))[0].tolist() == [-1]
    assert [a.tolist() for a in nearest_people(scene([], [1.0]))] == [[-1], [-1]]


def test_nobody_to_be_found_leaves_nothing_to_improve() -> None:
    assert score_scenes([scene([], [0.5])]) == 1.0
    assert score_scenes([scene([[1.0]], [0.5]), scene([], [0.7], [])]) == 0.5


def test_costs_are_differences_and_the_last_leaves_nothing() -> None:
    ap = {"": 0.2, "a": 0.5, "b": 0.3, "ab": 0.6, "c": 0.25}
    found = costs(["a", "b", "c"], lambda types: ap["".join(sorted(types))])
    assert found["a"] == pytest.approx((0.3, 0.3, 0.5))
    assert found["b"] == pytest.approx((0.1, 0.1, 0.6))
    assert found["c"] == pytest.approx((0.4, 0.05, 1.0))


def test_sizes_are_cocos() -> None:
    assert [size_of(a) for a in (0, 1023.9, 1024, 9215.9, 9216, 1e9)] == [
        "small", "small", "medium", "medium", "large", "large",
    ]  # fmt: skip
