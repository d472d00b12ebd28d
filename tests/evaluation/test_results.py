"""Files of predictions and the shape of scores."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from personlab.errors import InputError
from personlab.evaluation import read_results, score_report, write_results
from personlab.evaluation.coco_ap import CocoAP
from personlab.skeleton import Skeleton

PAIR = Skeleton("pair", ("top", "bottom"), ((0, 1),), (0.1, 0.1))
TRUTH = {
    "images": [{"id": 7, "file_name": "7.jpg", "height": 3, "width": 4}],
    "categories": [{"id": 1, "name": "person", "keypoints": ["top", "bottom"]}],
    "annotations": [
        {
            "id": 1, "image_id": 7, "category_id": 1, "iscrowd": 0, "area": 12, "bbox": [0, 0, 4, 3],
            "segmentation": [[0, 0, 4, 0, 4, 3, 0, 3]], "keypoints": [1, 0, 2, 1, 2, 2],
        }
    ],
}  # fmt: skip


def test_results_come_back_and_leave_no_unfinished_file(tmp_path) -> None:
    results = [{"image_id": 1, "category_id": 1, "keypoints": [1.5, 2, 0.5], "score": 0.25}]
    path = tmp_path / "predictions" / "all.json"
    write_results(path, results)
    assert read_results(path) == results
    assert [p.name for p in path.parent.iterdir()] == ["all.json"]


@pytest.mark.parametrize(
    "text", ["{", "{}", "[1]", '[{"score": 1}]', "[" * 100_000, '"\xff"'], ids=lambda text: text[:9]
)
def test_what_is_no_results_file_is_refused(tmp_path, text) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"bad\.json: (no COCO results file: .+|result 0 .+); .+") as told:
        read_results(path)
    assert "\n" not in str(told.value)


MASK = {"size": [3, 4], "counts": coco_mask.encode(np.asfortranarray(np.eye(3, 4, dtype=np.uint8)))["counts"].decode()}
GOOD = {"image_id": 7, "category_id": 1, "score": 0.5, "keypoints": [1.5, 2, 0.5, 0, 0, 0], "segmentation": MASK}

NOTHING = {"image_id": 7, "category_id": 1, "score": 0.5}


def read(folder: Path, results: object, num_keypoints: int | None = 2) -> list[dict[str, Any]]:
    path = folder / "some.json"
    path.write_text(json.dumps(results))  # NaN and infinity too, as Python writes them
    return read_results(path, num_keypoints, {7: (3, 4)})


def test_good_results_come_as_they_are(tmp_path) -> None:
    others = [
        GOOD | {"bbox": [1, 2, 3, 4], "score": 1},
        NOTHING | {"category_id": 3, "bbox": [1, 2, 3, 4]},  # a car, of which nobody wants more
        {name: value for name, value in GOOD.items() if name != "segmentation"},
        {name: value for name, value in GOOD.items() if name != "keypoints"},
        GOOD | {"image_id": 8, "segmentation": MASK},  # an image of a size that nobody knows
    ]
    assert read(tmp_path, [GOOD, *others]) == [GOOD, *others]
    assert read(tmp_path, [GOOD | {"keypoints": [1, 2, 3]}], None)[0]["keypoints"] == [1, 2, 3]
    assert read(tmp_path, []) == []
    assert read(tmp_path, [NOTHING, NOTHING]) == [NOTHING, NOTHING]  # boxes, as a detector gives them


@pytest.mark.parametrize("kind", ["keypoints", "segmentation"])
def test_a_result_of_nothing_among_others_is_damaged(tmp_path, kind) -> None:
    """Nobody would see that a person is gone."""
    other = NOTHING | {kind: GOOD[kind]}
    told = (
        rf"result 1 \(of 3, counted from 0\): has neither keypoints nor segmentation, others of category 1 have {kind}"
    )
    with pytest.raises(InputError, match=rf"some\.json: {told}; write the results again, or leave it out"):
        read(tmp_path, [other, NOTHING, other])


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"image_id": "7"}, 'image_id is "7"; it must be a whole number'),
        ({"image_id": 7.0}, "image_id is 7.0; it must be a whole number"),
        ({"image_id": True}, "image_id is true"),
        ({"image_id": None}, "image_id is missing"),
        ({"category_id": [1]}, r"category_id is \[1\]; it must be a whole number"),
        ({"score": math.nan}, "score is NaN; it must be a finite number"),
        ({"score": -math.inf}, "score is -Infinity"),
        ({"score": 10**400}, "score is 1000"),
        ({"score": "high"}, 'score is "high"'),
        ({"score": None}, "score is missing"),
        ({"keypoints": [1.0, 2.0, 0.5]}, "keypoints are 3 numbers; they must be 3 x 2: x, y and score of each"),
        ({"keypoints": []}, r"keypoints are \[\]; they must be finite numbers"),
        ({"keypoints": [1, 2, 0.5, 0, None, 0]}, "keypoints are .*; they must be finite numbers"),
        ({"keypoints": [1, 2, 0.5, 0, math.nan, 0]}, "keypoints are .*; they must be finite numbers"),
        ({"keypoints": {"nose": 1}}, "keypoints are .*; they must be finite numbers"),
        ({"segmentation": [[1, 2, 3, 4, 5, 6]]}, "segmentation is .*; it must have size and counts.*encode the mask"),
        ({"segmentation": {"size": [3, 4], "counts": [12]}}, "segmentation is .*counts, these as text"),
        ({"segmentation": {"counts": MASK["counts"]}}, "segmentation has the size missing"),
        ({"segmentation": MASK | {"size": [3, 4, 1]}}, r"segmentation has the size \[3, 4, 1\]"),
        ({"segmentation": MASK | {"size": [4, 3]}}, r"segmentation: .* size \[4, 3\], the image \[3, 4\]; encode"),
        ({"segmentation": MASK | {"counts": MASK["counts"][:-1]}}, "segmentation: .*; encode the mask"),
        ({"segmentation": MASK | {"counts": "ä"}}, "segmentation: the run-length code is corrupt"),
        ({"image_id": 8, "segmentation": {"size": [30, 40], "counts": MASK["counts"]}}, "segmentation: .* 12 pixels"),
    ],
)
def test_a_wrong_result_is_named_with_what_is_wrong_and_the_mend(tmp_path, wrong, told) -> None:
    bad = {name: value for name, value in (GOOD | wrong).items() if value is not None}
    with pytest.raises(InputError, match=rf"some\.json: result 1 \(of 3, counted from 0\): {told}") as error:
        read(tmp_path, [GOOD, bad, GOOD])
    assert len(str(error.value)) < 300 + len(str(tmp_path))
    assert "\n" not in str(error.value)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["size", "counts", "x"]), inner),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(name=st.sampled_from(sorted(GOOD)), value=JUNK)
def test_whatever_stands_there_is_either_scored_or_refused(tmp_path_factory, name, value) -> None:
    try:
        results = read(tmp_path_factory.mktemp("junk"), [GOOD | {name: value}])
    except InputError:
        return
    metric = CocoAP(TRUTH, skeleton=PAIR)
    metric.update_results([r for r in results if r["image_id"] == 7], [7])
    assert metric.compute().keys() >= {"keypoints/AP", "segmentation/AP"}


def test_a_place_that_cannot_be_written_is_told(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="another place"):
        write_results(tmp_path / "file" / "all.json", [])


def test_the_report_is_strict_json_in_the_agreed_shape() -> None:
    figures = {"keypoints/AP": 0.5, "segmentation/AP_small": float("nan")}
    report = score_report(figures, 3, 7, {"decode": 1.5})
    assert json.loads(json.dumps(report, allow_nan=False)) == {
        "keypoints": {"AP": 0.5},
        "segmentation": {"AP_small": None},
        "images": 3,
        "people": 7,
        "only_with_keypoints": False,
        "seconds": {"read": 0.0, "network": 0.0, "decode": 1.5},
    }
