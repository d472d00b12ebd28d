"""Files of predictions and the shape of scores."""

from __future__ import annotations

import json

import pytest

from personlab.errors import InputError
from personlab.evaluation import read_results, score_report, write_results


def test_results_come_back_and_leave_no_unfinished_file(tmp_path) -> None:
    results = [{"image_id": 1, "category_id": 1, "keypoints": [1.5, 2, 0.5], "score": 0.25}]
    path = tmp_path / "predictions" / "all.json"
    write_results(path, results)
    assert read_results(path) == results
    assert [p.name for p in path.parent.iterdir()] == ["all.json"]


@pytest.mark.parametrize("text", ["{", "{}", "[1]", '[{"score": 1}]'])
def test_what_is_no_results_file_is_refused(tmp_path, text) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"bad\.json"):
        read_results(path)


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
