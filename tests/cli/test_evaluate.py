"""`personlab evaluate --against`: what another evaluation of the same images scored."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from personlab.cli.main import main


def evaluated(synthetic: Path, tmp_path: Path, *words: str) -> dict[str, Any]:
    target = tmp_path / "scores.json"
    assert main(["evaluate", "--data.root", str(synthetic), "--size", "257", "--json", str(target), *words]) == 0
    report: dict[str, Any] = json.loads(target.read_text())
    return report


def test_differences_to_results_of_the_same_images(synthetic: Path, tmp_path: Path) -> None:
    results = tmp_path / "first.json"
    first = evaluated(synthetic, tmp_path, "--results", str(results))
    same = evaluated(synthetic, tmp_path, "--against", str(results))["against"]
    assert same["file"] == str(results)
    for kind in ("keypoints", "segmentation"):
        assert (same[kind]["delta"], same[kind]["low"], same[kind]["high"]) == (0, 0, 0)
        assert same[kind]["first"] == pytest.approx(first[kind]["AP"])
    worse = evaluated(synthetic, tmp_path, "--against", str(results), "--decoder.max_people", "1")
    found = worse["against"]["keypoints"]
    assert found["second"] == pytest.approx(worse["keypoints"]["AP"])
    assert found["delta"] == pytest.approx(worse["keypoints"]["AP"] - first["keypoints"]["AP"])
    assert found["low"] < found["delta"] < 0
    # Poses alone compare by poses alone.
    assert evaluated(synthetic, tmp_path, "--against", str(results), "--decoder.masks", "false")["against"].keys() == {
        "file", "keypoints"
    }  # fmt: skip


def test_results_of_other_images_are_refused(
    synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "first.json"
    evaluated(synthetic, tmp_path, "--results", str(results))
    words = ["evaluate", "--data.root", str(synthetic), "--size", "257", "--against", str(results)]
    assert main([*words, "--max_images", "2"]) == 2
    assert "compare the same images" in capsys.readouterr().err
    assert main([*words[:-1], str(tmp_path / "none.json")]) == 2
    assert "none.json: no COCO results file" in capsys.readouterr().err


def refused(synthetic: Path, capsys: pytest.CaptureFixture[str], results: Path, *words: str) -> str:
    """The line that is told, before any image is run."""
    words = ("evaluate", "--data.root", str(synthetic), "--size", "257", "--against", str(results), *words)
    assert main(list(words)) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1, "something was told, or done, before"
    assert str(results) in told
    return told


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"score": None}, "result 0 (of 1, counted from 0): score is missing; it must be a finite number"),
        ({"keypoints": [1, 2, 3]}, "keypoints are 3 numbers; they must be 3 x 17"),
        ({"segmentation": {"size": [9, 9], "counts": "Q3"}}, "has size [9, 9], the image [257, 321]; encode the mask"),
        ({"category_id": 2}, "has no result of category 1, which is `person` in"),
        ({"keypoints": None}, "has neither keypoints nor segmentation, evaluated are keypoints and segmentation"),
    ],
)
def test_results_that_cannot_be_compared_are_refused_before_images_are_run(
    synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], told: str
) -> None:
    result = {"image_id": 1000001, "category_id": 1, "score": 0.5, "keypoints": [1, 2, 0.5] * 17} | change
    results = tmp_path / "foreign.json"
    results.write_text(json.dumps([{name: value for name, value in result.items() if value is not None}]))
    assert told in refused(synthetic, capsys, results, "--max_images", "1")


def test_masks_alone_do_not_compare_with_poses_alone(
    synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "first.json"
    evaluated(synthetic, tmp_path, "--results", str(results))
    capsys.readouterr()
    masks = tmp_path / "masks.json"
    masks.write_text(
        json.dumps([{k: v for k, v in r.items() if k != "keypoints"} for r in json.loads(results.read_text())])
    )
    told = refused(synthetic, capsys, masks, "--rules", "tfjs")
    assert "nothing to compare: has segmentation, evaluated are keypoints; give results of the same kind" in told
    assert evaluated(synthetic, tmp_path, "--against", str(masks))["against"].keys() == {"file", "segmentation"}


def test_other_categories_are_left_out_as_coco_does(synthetic: Path, tmp_path: Path) -> None:
    results = tmp_path / "first.json"
    evaluated(synthetic, tmp_path, "--results", str(results))
    found = json.loads(results.read_text())
    results.write_text(json.dumps([*found, *({**r, "category_id": 2, "score": 1.0} for r in found)]))
    assert evaluated(synthetic, tmp_path, "--against", str(results))["against"]["keypoints"]["delta"] == 0


def test_images_without_people_say_nothing_about_a_difference(
    synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "empty"
    shutil.copytree(synthetic, root)
    annotations = root / "annotations" / "person_keypoints_val2017.json"
    content = json.loads(annotations.read_text())
    first = content["images"][0]["id"]
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] != first]
    annotations.write_text(json.dumps(content))
    results = tmp_path / "first.json"
    evaluated(root, tmp_path, "--results", str(results))
    results.write_text(json.dumps([r for r in json.loads(results.read_text()) if r["image_id"] == first]))
    capsys.readouterr()
    assert main(["evaluate", "--data.root", str(root), "--against", str(results), "--max_images", "1"]) == 2
    assert "nobody counts on the images evaluated; evaluate more" in capsys.readouterr().err
