"""Every type of error of masks, planted alone and found with what it costs; sums; what COCO ignores."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personlab.errors import InputError
from personlab.evaluation import CocoAP, MaskErrors, mask_errors
from personlab.evaluation.bootstrap import RECALLS
from personlab.evaluation.mask_errors import MASK_LABELS, MASK_ORDER
from tests.evaluation.planted import FIRST, SECOND, TRIO, annotations, crowded, found_mask, person, rectangle

ONE, TWO = annotations(person(FIRST)), annotations(person(FIRST), person(SECOND))
ELSEWHERE = (140, 180, 60, 60)
HALF = 51 / 101
"""AP where one of two people is found: so many recalls are reached."""


def missing(errors: MaskErrors) -> float:
    """What is missing of an AP of 1 after all costs were taken off."""
    return 1 - errors.ap - sum(part.cost for part in errors.parts)


def only(errors: MaskErrors, **expected: tuple[int, float]) -> None:
    """Counts and costs of these types, in alone as well, and nothing of any other."""
    for part in errors.parts:
        count, cost = expected.get(part.name, (0, 0.0))
        assert part.count == count, part
        assert part.cost == pytest.approx(cost, abs=1e-12), part
        assert part.alone == pytest.approx(cost, abs=1e-12), part
    assert abs(missing(errors)) < 1e-9


def found(truth: dict[str, Any], *results: dict[str, Any], **options: Any) -> MaskErrors:
    errors = mask_errors(truth, list(results), TRIO, **options)
    metric = CocoAP(truth, ("segmentation",), TRIO, only_with_keypoints=options.get("only_with_keypoints", False))
    metric.update_results(results, metric.images)
    assert errors.ap == pytest.approx(metric.compute()["segmentation/AP"], abs=1e-9)
    return errors


def labels(errors: MaskErrors) -> list[str | None]:
    return [None if n < 0 else MASK_LABELS[n] for n in errors.labels]


def wide(box: tuple[int, int, int, int], width: int) -> tuple[int, int, int, int]:
    return box[0], box[1], width, box[3]


def test_nothing_wrong() -> None:
    errors = found(TWO, found_mask(FIRST, 0.9), found_mask(wide(SECOND, 98), 0.8))
    only(errors)
    assert (errors.ap, errors.ap_ideal_scores, errors.people, errors.detections, errors.matched) == (1, 1, 2, 2, 2)
    assert labels(errors) == ["good", "good"]
    assert errors.ious["0.9"] == 2


def test_nothing_found() -> None:
    errors = found(TWO)
    only(errors, missed=(2, 1.0))
    assert (errors.ap, errors.detections, labels(errors)) == (0, 0, [])


@pytest.mark.parametrize(("width", "tenth", "cost"), [(82, "0.8", 0.3), (30, "0.3", 1.0), (12, "0.1", 1.0)])
def test_a_boundary(width: int, tenth: str, cost: float) -> None:
    # An IoU of 82 % is enough for .5, .55 ... .8.
    errors = found(ONE, found_mask(wide(FIRST, width), 0.9))
    only(errors, boundary=(1, cost))
    assert labels(errors) == ["boundary"]
    assert errors.ious == {f"{n / 10}": int(f"{n / 10}" == tenth) for n in range(1, 10)}
    assert errors.sizes["large"] == dict.fromkeys(errors.sizes["large"], 0) | {"people": 1, "boundary": 1}


def test_a_mask_that_lies_mainly_on_somebody_else() -> None:
    beside = (120, 20, 200, 100)
    truth = annotations(person(FIRST), person(beside))
    errors = found(truth, found_mask(beside, 0.9), found_mask((80, 20, 100, 100), 0.8))
    # 40 columns of the first (IoU 1/4, and nobody else is free) and 60 of the second.
    only(errors, wrong_person=(1, 1 - HALF))
    assert labels(errors) == ["good", "another"]


def test_a_mask_of_two_people() -> None:
    beside = (120, 20, 100, 100)
    truth = annotations(person(FIRST), person(beside))
    errors = found(truth, found_mask(beside, 0.9), found_mask((20, 20, 200, 100), 0.8))
    only(errors, wrong_person=(1, 0.9 * (1 - HALF)))  # an IoU of 1/2 is enough for the first threshold
    assert labels(errors) == ["good", "merged"]
    # A mask that also holds less than half of the other is one whose boundary is wrong.
    errors = found(truth, found_mask(beside, 0.9), found_mask((20, 20, 149, 100), 0.8))
    assert labels(errors) == ["good", "boundary"]
    # So is one of somebody whom the other stands in front of, true masks overlapping.
    inside = (40, 40, 50, 50)
    truth = annotations(person(FIRST), person(inside))
    errors = found(truth, found_mask(inside, 0.9), found_mask(wide(FIRST, 80), 0.8))
    assert labels(errors) == ["good", "boundary"]


@pytest.mark.parametrize("second", [FIRST, (20, 20, 5, 100)])
def test_a_duplicate_and_a_piece_of_somebody(second: tuple[int, int, int, int]) -> None:
    errors = found(TWO, found_mask(FIRST, 0.9), found_mask(second, 0.85), found_mask(SECOND, 0.8))
    only(errors, wrong_person=(1, 50 / 101 / 3))  # the second person is found at a precision of 2/3
    assert labels(errors) == ["good", "duplicate", "good"]


@pytest.mark.parametrize(("score", "cost"), [(0.9, 0.5), (0.7, 0.0)])
def test_a_spurious_mask(score: float, cost: float) -> None:
    errors = found(ONE, found_mask(ELSEWHERE, score), found_mask(FIRST, 0.8))
    only(errors, spurious=(1, cost))
    assert labels(errors) == ["spurious", "good"]
    assert errors.sizes["medium"] == dict.fromkeys(errors.sizes["medium"], 0) | {"spurious": 1}
    # Less than half of it on a person, and hardly any of the person: still spurious.
    errors = found(ONE, found_mask((112, 20, 20, 100), score), found_mask(FIRST, 0.8))
    assert labels(errors) == ["spurious", "good"]


def test_a_mask_of_nothing_is_spurious() -> None:
    errors = found(ONE, found_mask((0, 0, 0, 0), 0.9), found_mask(FIRST, 0.8))
    only(errors, spurious=(1, 0.5))


def test_somebody_missed() -> None:
    errors = found(TWO, found_mask(SECOND, 0.9))
    only(errors, missed=(1, 1 - HALF))
    assert errors.sizes["large"]["missed"] == 1


def test_an_error_of_score() -> None:
    # The better one comes second; above .8 the first is a false alarm before it.
    errors = found(ONE, found_mask(wide(FIRST, 82), 0.9), found_mask(FIRST, 0.8))
    only(errors, score=(1, 0.15))
    assert labels(errors) == [None, "good"]
    assert errors.ap_ideal_scores == pytest.approx(1)
    errors = found(ONE, found_mask(wide(FIRST, 82), 0.8), found_mask(FIRST, 0.9))
    only(errors, wrong_person=(1, 0.0))
    assert labels(errors) == ["duplicate", "good"]


def test_types_are_corrected_in_order() -> None:
    errors = found(TWO, found_mask(wide(FIRST, 82), 0.9))
    parts = {part.name: part for part in errors.parts}
    assert [part.name for part in errors.parts] == list(MASK_ORDER)
    assert errors.ap == pytest.approx(0.7 * HALF)
    assert (parts["boundary"].cost, parts["boundary"].after) == (pytest.approx(0.3 * HALF), pytest.approx(HALF))
    assert (parts["missed"].cost, parts["missed"].after) == (pytest.approx(1 - HALF), 1)
    assert parts["missed"].alone == pytest.approx(0.7 - 0.7 * HALF)


def test_crowds_are_neither_to_be_found_nor_wrong_to_find() -> None:
    crowd = person(SECOND, iscrowd=1, segmentation=rectangle(*SECOND))
    truth = annotations(person(FIRST), crowd)
    inside = [found_mask((270, 30, 40, 40), 0.9), found_mask(SECOND, 0.85)]
    errors = found(truth, *inside, found_mask(FIRST, 0.8))
    only(errors)
    assert (errors.people, errors.detections, errors.ignored, labels(errors)) == (1, 1, 2, [None, None, "good"])
    # Three quarters of it on the crowd are enough for some thresholds only: at .8 to .95 it is wrong.
    errors = found(truth, found_mask((235, 20, 100, 100), 0.9), found_mask(FIRST, 0.8))
    only(errors, spurious=(1, 0.2))


def test_people_without_keypoints_count_unless_left_out() -> None:
    truth = annotations(person(FIRST), person(SECOND, keypoints=[0] * 9, num_keypoints=0))
    only(found(truth, found_mask(FIRST, 0.9)), missed=(1, 1 - HALF))
    only(found(truth, found_mask(FIRST, 0.9), only_with_keypoints=True))
    only(found(truth, found_mask(SECOND, 0.9), found_mask(FIRST, 0.8), only_with_keypoints=True), spurious=(1, 0.5))


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_costs_add_up_and_ap_is_cocos_on_random_crowds(seed: int) -> None:
    truth, results = crowded(seed)
    if all(a["iscrowd"] for a in truth["annotations"]):
        return
    errors = found(truth, *results)
    assert abs(missing(errors)) < 1e-9
    parts = {part.name: part for part in errors.parts}
    # Before the last type is corrected, nothing is wrong but that not everybody is found.
    reached = np.searchsorted(RECALLS, errors.matched / errors.people, side="right")
    assert parts["spurious"].after == pytest.approx(reached / 101)
    assert parts["missed"].after == 1
    assert errors.ap_ideal_scores >= errors.ap - 1e-9
    assert parts["missed"].alone >= -1e-9
    assert parts["spurious"].alone >= -1e-9
    assert parts["missed"].count + errors.matched == errors.people
    assert sum(errors.masks[name] for name in ("good", "boundary", "another", "merged")) == errors.matched
    assert sum(errors.ious.values()) == errors.matched
    assert sum(errors.masks.values()) == (errors.labels >= 0).sum() <= errors.detections
    for label in MASK_LABELS:
        assert sum(size[label] for size in errors.sizes.values()) == errors.masks[label]


@pytest.mark.coco
def test_cocos_own_example(shared: Path) -> None:
    folder = shared / "golden" / "coco-eval"
    truth = json.loads((folder / "instances_val2014_100.json").read_text())
    results = json.loads((folder / "instances_val2014_fakesegm100_results.json").read_text())
    start = time.perf_counter()
    errors = mask_errors(truth, results)
    assert time.perf_counter() - start < 10
    metric = CocoAP(truth, ("segmentation",))
    metric.update_results(results, metric.images)
    assert errors.ap == pytest.approx(metric.compute()["segmentation/AP"], abs=1e-9)
    assert abs(missing(errors)) < 1e-9
    assert json.loads(json.dumps(errors.to_json())) == errors.to_json()


@pytest.mark.parametrize(
    ("segmentation", "told"),
    [
        ({"size": [300, 401], "counts": "0"}, r"the run-length code has size \[300, 401\]"),
        ({"size": [300, 400], "counts": "!"}, "the run-length code is corrupt"),
        ([], "a mask is empty"),
        (7, "segmentation is a int"),
    ],
)
def test_bad_masks_are_told_in_one_line(segmentation: Any, told: str) -> None:
    bad = found_mask(FIRST, 0.9) | {"segmentation": segmentation}
    with pytest.raises(InputError, match=f"R.json: image 1: .*{told}") as error:
        mask_errors(ONE, [bad], TRIO, source="R.json")
    assert "\n" not in str(error.value)
