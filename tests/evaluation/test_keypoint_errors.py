"""Every type of error of keypoints, planted alone and found with what it costs; sums; what COCO ignores."""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personlab.errors import InputError
from personlab.evaluation import CocoAP, KeypointErrors, keypoint_errors
from personlab.evaluation.bootstrap import RECALLS
from personlab.evaluation.keypoint_errors import ORDER
from personlab.evaluation.keypoint_labels import LABELS, keypoint_similarity, label_keypoints
from personlab.skeleton import COCO, Skeleton
from tests.evaluation.planted import (
    ELSEWHERE,
    FIRST,
    SECOND,
    TRIO,
    annotations,
    away,
    crowded,
    found_pose,
    moved,
    person,
    pose,
    shifted,
)
from tests.reference import keypoint_errors as reference

ONE, TWO = annotations(person(FIRST)), annotations(person(FIRST), person(SECOND))
HALF = 51 / 101
"""AP where one of two people is found: so many recalls are reached."""
HEAD, LEFT, RIGHT = range(3)


def missing(errors: KeypointErrors) -> float:
    """What is missing of an AP of 1 after all costs were taken off."""
    return 1 - errors.ap - sum(part.cost for part in errors.parts)


def only(errors: KeypointErrors, **expected: tuple[int, float]) -> None:
    """Counts and costs of these types, in alone as well, and nothing of any other."""
    for part in errors.parts:
        count, cost = expected.get(part.name, (0, 0.0))
        assert part.count == count, part
        assert part.cost == pytest.approx(cost, abs=1e-12), part
        assert part.alone == pytest.approx(cost, abs=1e-12), part
    assert abs(missing(errors)) < 1e-9


def found(truth: dict[str, Any], *results: dict[str, Any], **options: Any) -> KeypointErrors:
    errors = keypoint_errors(truth, list(results), TRIO, **options)
    metric = CocoAP(truth, ("keypoints",), TRIO)
    metric.update_results(results, metric.images)
    assert errors.ap == pytest.approx(metric.compute()["keypoints/AP"], abs=1e-9)
    return errors


def test_nothing_wrong() -> None:
    errors = found(TWO, found_pose(pose(FIRST), 0.9), found_pose(pose(SECOND), 0.8))
    only(errors)
    assert (errors.ap, errors.ap_ideal_scores, errors.people, errors.detections, errors.matched) == (1, 1, 2, 2, 2)
    assert errors.keypoints == {name: {"good": 2} | dict.fromkeys(LABELS[1:], 0) for name in TRIO.keypoint_names}


def test_nothing_found() -> None:
    errors = found(TWO)
    only(errors, false_negative=(2, 1.0))
    assert (errors.ap, errors.detections, errors.labels.shape) == (0, 0, (0, 3))
    assert [part.share for part in errors.parts] == [None] * 7 + [1.0]


def test_a_miss() -> None:
    # One of three keypoints has no similarity: OKS 2/3 is enough for 4 of the 10 thresholds.
    errors = found(ONE, found_pose(moved(pose(FIRST), HEAD, (70, 280)), 0.9))
    only(errors, miss=(1, 0.6))
    assert errors.labels.tolist() == [[LABELS.index("miss"), 0, 0]]
    assert errors.keypoints["head"] == dict.fromkeys(LABELS, 0) | {"miss": 1}
    assert errors.sizes["large"] | {"good": 0} == dict.fromkeys(errors.sizes["large"], 0) | {"miss": 1, "people": 1}


def test_jitter() -> None:
    x, y = pose(FIRST)[LEFT]
    errors = found(ONE, found_pose(moved(pose(FIRST), LEFT, (x, y + away(0.71))), 0.9))
    only(errors, jitter=(1, 0.1))  # OKS 0.903


def test_an_inversion_of_one_keypoint_and_of_both() -> None:
    errors = found(ONE, found_pose(moved(pose(FIRST), LEFT, pose(FIRST)[RIGHT]), 0.9))
    only(errors, inversion=(1, 0.6))
    head, left, right = pose(FIRST)
    errors = found(ONE, found_pose([head, right, left], 0.9))
    only(errors, inversion=(2, 1.0))
    assert errors.keypoints["right_hand"]["inversion"] == 1


@pytest.mark.parametrize("keypoint", [LEFT, RIGHT])
def test_a_swap_with_the_same_or_the_mirrored_keypoint_of_somebody_else(keypoint: int) -> None:
    swapped = moved(pose(FIRST), LEFT, pose(SECOND)[keypoint])
    errors = found(TWO, found_pose(swapped, 0.9), found_pose(pose(SECOND), 0.8))
    # At 6 thresholds the first is wrong, and half of the people are found at a precision of 1/2.
    only(errors, swap=(1, 0.6 * (1 - HALF / 2)))


def test_a_keypoint_on_another_kind_of_keypoint_is_confused_only_if_any_may_be() -> None:
    on_own = found_pose(moved(pose(FIRST), HEAD, pose(FIRST)[LEFT]), 0.9)
    only(found(ONE, on_own), miss=(1, 0.6))
    only(found(ONE, on_own, confusions="any"), inversion=(1, 0.6))
    on_other = found_pose(moved(pose(FIRST), HEAD, pose(SECOND)[LEFT]), 0.9), found_pose(pose(SECOND), 0.8)
    only(found(TWO, *on_other), miss=(1, 0.6 * (1 - HALF / 2)))
    only(found(TWO, *on_other, confusions="any"), swap=(1, 0.6 * (1 - HALF / 2)))


def test_good_keypoints_that_are_not_exact() -> None:
    errors = found(ONE, found_pose(shifted(pose(FIRST), 0.92), 0.9))
    only(errors, inexact=(3, 0.1))
    assert errors.keypoints["head"]["good"] == 1


def test_an_error_of_score() -> None:
    # The better one comes second: at .95 the first is a false alarm before it. All keypoints of both are good.
    errors = found(ONE, found_pose(shifted(pose(FIRST), 0.92), 0.9), found_pose(pose(FIRST), 0.8))
    cost = {part.name: (part.count, part.cost) for part in errors.parts if part.cost}
    assert cost == {"score": (1, pytest.approx(0.05))}
    assert [part.count for part in errors.parts if part.name != "inexact"] == [0, 0, 0, 0, 1, 0, 0]
    assert errors.ap_ideal_scores == pytest.approx(1)
    # The other way round there is none.
    errors = found(ONE, found_pose(shifted(pose(FIRST), 0.92), 0.8), found_pose(pose(FIRST), 0.9))
    only(errors, false_positive=(1, 0.0))


def test_keypoints_are_corrected_before_scores() -> None:
    # Of a pose with a miss before a perfect one the miss takes the blame; alone, either correction gives all.
    first = found_pose(moved(pose(FIRST), HEAD, (70, 280)), 0.9)
    parts = {part.name: part for part in found(ONE, first, found_pose(pose(FIRST), 0.8)).parts}
    for name, cost in (("miss", 0.3), ("score", 0.0)):
        assert (parts[name].count, parts[name].cost) == (1, pytest.approx(cost))
        assert parts[name].alone == pytest.approx(0.3)  # at 6 thresholds the precision is 1/2


@pytest.mark.parametrize(("score", "cost"), [(0.9, 0.5), (0.7, 0.0)])
def test_a_false_positive_in_the_background(score: float, cost: float) -> None:
    errors = found(ONE, found_pose(pose(ELSEWHERE), score), found_pose(pose(FIRST), 0.8))
    only(errors, false_positive=(1, cost))
    assert errors.duplicates == 0
    assert errors.labels.tolist() == [[-1, -1, -1], [0, 0, 0]]
    assert errors.sizes["medium"] == dict.fromkeys(errors.sizes["medium"], 0) | {"false_positive": 1}  # 80 × 80


def test_a_duplicate() -> None:
    results = found_pose(pose(FIRST), 0.9), found_pose(pose(FIRST), 0.85), found_pose(pose(SECOND), 0.8)
    errors = found(TWO, *results)
    only(errors, false_positive=(1, 50 / 101 / 3))  # the second person is found at a precision of 2/3
    assert errors.duplicates == 1


def test_a_false_negative() -> None:
    errors = found(TWO, found_pose(pose(SECOND), 0.9))
    only(errors, false_negative=(1, 1 - HALF))
    assert errors.sizes["large"]["false_negative"] == 1


def test_types_are_corrected_in_order() -> None:
    # A miss and somebody not found: the miss costs what it does while half of the people are found.
    errors = found(TWO, found_pose(moved(pose(FIRST), HEAD, (70, 280)), 0.9))
    parts = {part.name: part for part in errors.parts}
    assert errors.ap == pytest.approx(0.4 * HALF)
    assert [part.name for part in errors.parts] == list(ORDER)
    assert (parts["miss"].cost, parts["miss"].after) == (pytest.approx(0.6 * HALF), pytest.approx(HALF))
    assert parts["false_negative"].cost == pytest.approx(1 - HALF)
    assert parts["false_negative"].alone == pytest.approx(0.4 - 0.4 * HALF)
    assert parts["false_negative"].after == 1


def test_keypoints_that_are_not_labelled_have_no_label() -> None:
    truth = annotations(person(FIRST, (2, 0, 1)))
    errors = found(truth, found_pose(moved(pose(FIRST), LEFT, (300, 280)), 0.9))
    only(errors)
    assert errors.labels.tolist() == [[0, -1, 0]]
    assert sum(errors.keypoints["left_hand"].values()) == 0


def test_people_who_do_not_count_are_neither_to_be_found_nor_wrong_to_find() -> None:
    nobody = {"keypoints": [0] * 9, "num_keypoints": 0}
    crowd = annotations(person(FIRST), person(SECOND, iscrowd=1, **nobody))
    blank = annotations(person(FIRST), person(SECOND, **nobody))
    twice = [found_pose(pose(SECOND), 0.9), found_pose(pose(SECOND), 0.85)]
    errors = found(crowd, *twice, found_pose(pose(FIRST), 0.8))
    only(errors)
    assert (errors.people, errors.detections, errors.ignored) == (1, 1, 2)
    # Somebody without keypoints is found once; the second time is wrong.
    errors = found(blank, *twice, found_pose(pose(FIRST), 0.8))
    only(errors, false_positive=(1, 0.5))
    assert errors.ignored == 1
    # Nobody is swapped with somebody who does not count.
    errors = found(blank, found_pose(moved(pose(FIRST), LEFT, pose(SECOND)[LEFT]), 0.8))
    assert errors.labels.tolist() == [[0, LABELS.index("miss"), 0]]


def test_who_stands_on_somebody_ignored_stands_for_nobody_beside_them() -> None:
    # Similarity to the neighbour is above .1, but COCO ignores this detection: the neighbour is not found.
    beside = (60, 20, 100, 100)
    truth = annotations(person(FIRST), person(beside, keypoints=[0] * 9, num_keypoints=0))
    errors = found(truth, found_pose(pose(beside), 0.9))
    only(errors, false_negative=(1, 1.0))
    assert errors.ignored == 1


def test_only_the_twenty_best_of_an_image_and_the_category_count() -> None:
    alarms = [found_pose(pose(ELSEWHERE), 0.5 - 0.001 * n) for n in range(25)]
    animal = found_pose(pose(ELSEWHERE), 0.99) | {"category_id": 7}
    errors = found(ONE, animal, *alarms, found_pose(pose(FIRST), 0.9))
    only(errors, false_positive=(19, 0.0))
    assert errors.detections == 20


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_costs_add_up_and_ap_is_cocos_on_random_crowds(seed: int) -> None:
    truth, results = crowded(seed)
    if not any(a["num_keypoints"] and not a["iscrowd"] for a in truth["annotations"]):
        return
    errors = found(truth, *results)
    assert abs(missing(errors)) < 1e-9
    parts = {part.name: part for part in errors.parts}
    # Before the last type is corrected, nothing is wrong but that not everybody is found.
    reached = np.searchsorted(RECALLS, errors.matched / errors.people, side="right")
    assert parts["false_positive"].after == pytest.approx(reached / 101)
    assert parts["false_negative"].after == 1
    assert errors.ap_ideal_scores >= errors.ap - 1e-9
    assert parts["false_negative"].alone >= -1e-9
    assert parts["false_positive"].alone >= -1e-9
    # Everybody is found or missed; every keypoint of those found has one label.
    assert parts["false_negative"].count + errors.matched == errors.people
    assert sum(sum(labels.values()) for labels in errors.keypoints.values()) == (errors.labels >= 0).sum()
    for label in LABELS:
        in_sizes = sum(size[label] for size in errors.sizes.values())
        assert in_sizes == sum(labels[label] for labels in errors.keypoints.values())


def test_the_order_of_results_changes_nothing() -> None:
    truth, results = crowded(3)
    for n, result in enumerate(results):
        result["score"] += 1e-6 * n  # all different
    before, after = found(truth, *results), found(truth, *results[::-1])
    assert before.to_json() == after.to_json()
    np.testing.assert_array_equal(before.labels, after.labels[::-1])
    again = copy.deepcopy(results)
    assert found(truth, *results).to_json() == before.to_json()
    assert results == again  # what was given stays as it is


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), confusions=st.sampled_from(["mirrored", "any"]))
def test_labels_are_those_of_the_definitions(seed: int, confusions: Any) -> None:
    random = np.random.default_rng(seed)
    skeleton = [COCO, TRIO, Skeleton("line", ("a", "b"), ((0, 1),), (0.2, 0.1))][seed % 3]
    people, count = int(random.integers(1, 5)), skeleton.num_keypoints
    truth = np.concatenate(
        [random.uniform(0, 100, (people, count, 2)), random.integers(0, 3, (people, count, 1))], axis=2
    )
    areas = random.uniform(100, 20_000, people)
    at = random.integers(0, people)
    places = truth[random.integers(0, people, count), random.integers(0, count, count), :2]
    found_xy = np.where(random.random((count, 1)) < 0.5, truth[at, :, :2], places) + random.normal(0, 4, (count, 2))
    similarity = keypoint_similarity(found_xy, truth, areas, np.array(skeleton.sigmas))
    labels = label_keypoints(similarity, truth[at, :, 2] > 0, at, skeleton, confusions)
    expected = reference.labels(found_xy, truth, areas, at, skeleton, confusions)
    assert [None if n < 0 else LABELS[n] for n in labels] == expected


@pytest.mark.parametrize(("other_x", "found_x", "told"), [(0, 0, "inversion"), (10, 2, "inversion"), (10, 9, "swap")])
def test_the_nearer_of_two_places_decides_and_the_own_in_doubt(other_x: float, found_x: float, told: str) -> None:
    # The first person's right hand is at x = 0, a hand of the second beside it or at the same place.
    truth = np.array([[[0, 0, 2], [100, 0, 2], [0, 100, 2]], [[300, 0, 2], [other_x, 100, 2], [300, 100, 2]]], float)
    found_xy = np.array([[0, 0], [found_x, 100], [0, 100]], float)
    similarity = keypoint_similarity(found_xy, truth, np.full(2, 10_000.0), np.array(TRIO.sigmas))
    labels = label_keypoints(similarity, np.ones(3, bool), 0, TRIO, "mirrored")
    assert LABELS[labels[LEFT]] == told


@pytest.mark.coco
@pytest.mark.parametrize("confusions", ["mirrored", "any"])
def test_cocos_own_example(shared: Path, confusions: Any) -> None:
    folder = shared / "golden" / "coco-eval"
    truth = json.loads((folder / "person_keypoints_val2014_100.json").read_text())
    results = json.loads((folder / "person_keypoints_val2014_fakekeypoints100_results.json").read_text())
    start = time.perf_counter()
    errors = keypoint_errors(truth, results, confusions=confusions)
    assert time.perf_counter() - start < 10
    metric = CocoAP(truth, ("keypoints",))
    metric.update_results(results, metric.images)
    assert errors.ap == pytest.approx(metric.compute()["keypoints/AP"], abs=1e-9)
    assert abs(missing(errors)) < 1e-9
    assert all(part.cost >= -1e-9 for part in errors.parts)
    assert json.loads(json.dumps(errors.to_json())) == errors.to_json()
    assert errors.to_json()["parts"][0].keys() == {
        "type", "count", "of", "unit", "share", "ap_cost", "ap_alone", "ap_after",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"keypoints": [1.0] * 6}, "result 1: keypoints must be 9 finite numbers"),
        ({"keypoints": [float("nan")] * 9}, "result 1: keypoints must be 9 finite numbers"),
        ({"score": None}, "result 1: score must be a number"),
        ({"category_id": "person"}, "result 1: category_id must be a number"),
        ({"image_id": 9}, "result 1 is of image 9, which the annotations lack"),
        ({"image_id": 2}, "result 1 is of image 2, which was not looked at"),
    ],
)
def test_bad_results_are_told_in_one_line(change: dict[str, Any], told: str) -> None:
    good = found_pose(pose(FIRST), 0.9)
    with pytest.raises(InputError, match=f"R.json: {told}") as error:
        keypoint_errors(annotations(person(FIRST), images=2), [good, good | change], TRIO, [1], source="R.json")
    assert "\n" not in str(error.value)


def test_bad_annotations_are_told_in_one_line() -> None:
    with pytest.raises(InputError, match="nobody in these images counts for keypoints"):
        keypoint_errors(annotations(person(FIRST, (0, 0, 0))), [], TRIO)
    with pytest.raises(InputError, match="3 keypoints, skeleton coco has 17"):
        keypoint_errors(ONE, [])
