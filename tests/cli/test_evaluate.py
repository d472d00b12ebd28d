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
    poses = evaluated(synthetic, tmp_path, "--against", str(results), "--decoder.masks", "false")["against"]
    assert poses.keys() & {"keypoints", "segmentation"} == {"keypoints"}


def refused(synthetic: Path, capsys: pytest.CaptureFixture[str], results: Path, *words: str) -> str:
    """The line that is told, before any image is run."""
    words = ("evaluate", "--data.root", str(synthetic), "--size", "257", "--against", str(results), *words)
    assert main(list(words)) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1, "something was told, or done, before"
    assert str(results) in told
    return told


def ids_in(root: Path) -> list[int]:
    images = json.loads((root / "annotations" / "person_keypoints_val2017.json").read_text())["images"]
    return [image["id"] for image in images]


def test_other_images_are_refused_however_few_are_missing(
    synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both ways: images that nobody looked at before would count as images without people."""
    every, fewer = tmp_path / "every.json", tmp_path / "fewer.json"
    evaluated(synthetic, tmp_path, "--results", str(every))
    evaluated(synthetic, tmp_path, "--results", str(fewer), "--max_images", "4")
    capsys.readouterr()
    told = refused(synthetic, capsys, fewer)
    assert "is of 4 images: 1 of the 5 to be evaluated are missing there, and 0 there are not to be evaluated" in told
    assert "give both evaluations the same --split and --max_images" in told
    told = refused(synthetic, capsys, every, "--max_images", "4")
    assert "is of 5 images: 0 of the 4 to be evaluated are missing there, and 1 there are not to be evaluated" in told
    assert evaluated(synthetic, tmp_path, "--against", str(fewer), "--max_images", "4")["against"]["images_known"]
    capsys.readouterr()
    assert "no COCO results file" in refused(synthetic, capsys, tmp_path / "none.json")


def test_images_where_nobody_was_found_are_known_by_the_companion(
    synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The results themselves stay COCO's, so an evaluation that found nobody leaves an empty list."""
    results = tmp_path / "nobody.json"
    first = evaluated(synthetic, tmp_path, "--results", str(results), "--decoder.score_threshold", "1")
    assert (first["people"], json.loads(results.read_text())) == (0, [])
    told = json.loads((tmp_path / "nobody.images.json").read_text())
    assert (told["image_ids"], told["split"]) == (ids_in(synthetic), "val2017")
    against = evaluated(synthetic, tmp_path, "--against", str(results))["against"]
    assert (against["images_known"], against["without_results"]) == (True, 5)
    for kind in ("keypoints", "segmentation"):
        assert against[kind]["first"] == 0
        assert against[kind]["low"] > 0
    capsys.readouterr()
    (tmp_path / "nobody.images.json").unlink()
    assert "is empty, and nothing tells which images it is of; write it by" in refused(synthetic, capsys, results)


def test_where_nothing_tells_the_images_the_results_must_be_of_most(
    synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, results = tmp_path / "whole.json", tmp_path / "foreign.json"
    evaluated(synthetic, tmp_path, "--results", str(whole))
    found, ids = json.loads(whole.read_text()), ids_in(synthetic)

    def keep(*images: int) -> None:
        results.write_text(json.dumps([r for r in found if r["image_id"] in images]))
        capsys.readouterr()

    keep(*ids)
    against = evaluated(synthetic, tmp_path, "--against", str(results))["against"]
    assert (against["images_known"], against["without_results"]) == (False, 0)
    assert "nothing tells" not in capsys.readouterr().err
    keep(ids[0], ids[2], ids[4])
    assert evaluated(synthetic, tmp_path, "--against", str(results))["against"]["without_results"] == 2
    assert "nothing tells which images it is of; 2 of 5 have no result there" in capsys.readouterr().err
    keep(*ids[:2])
    told = refused(synthetic, capsys, results)
    assert "seems to be of fewer images: 3 of the 5 images with people have no result there" in told
    assert 'list them in foreign.images.json beside it: {"image_ids": [1, 2]}' in told
    (tmp_path / "foreign.images.json").write_text(json.dumps({"image_ids": ids}))  # who knows better says so
    assert evaluated(synthetic, tmp_path, "--against", str(results))["against"]["images_known"]
    assert "has results of image" in refused_without_companion(synthetic, tmp_path, capsys, found)


def refused_without_companion(
    synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], found: list[dict[str, Any]]
) -> str:
    results = tmp_path / "elsewhere.json"
    results.write_text(json.dumps([{**found[0], "image_id": 3}, *found]))
    capsys.readouterr()
    return refused(synthetic, capsys, results)


def test_results_of_predict_are_compared_with(
    synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = sorted((synthetic / "val2017").iterdir())
    for name, sources in {"all": [synthetic / "val2017"], "some": pictures[:4]}.items():
        words = ["predict", *map(str, sources), "--size", "257", "-o", str(tmp_path / name), "--draw", "false"]
        assert main(words) == 0
    against = evaluated(synthetic, tmp_path, "--against", str(tmp_path / "all" / "results.json"))["against"]
    assert (against["images_known"], against["keypoints"]["delta"], against["segmentation"]["delta"]) == (True, 0, 0)
    capsys.readouterr()
    told = refused(synthetic, capsys, tmp_path / "some" / "results.json")
    assert "is of 4 images: 1 of the 5 to be evaluated are missing" in told


def test_other_annotations_of_the_same_images_are_told(
    synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "first.json"
    evaluated(synthetic, tmp_path, "--results", str(results))
    root = tmp_path / "other"
    shutil.copytree(synthetic, root)
    annotations = root / "annotations" / "person_keypoints_val2017.json"
    annotations.write_text(annotations.read_text() + " ")
    capsys.readouterr()
    assert evaluated(root, tmp_path, "--against", str(results))["against"]["keypoints"]["delta"] == 0
    assert "was evaluated with other annotations (person_keypoints_val2017.json)" in capsys.readouterr().err


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


def test_results_of_no_name_are_not_taken_for_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--data.root", "nowhere", "--against", ""]) == 2
    told = "--against is empty; give it a file of results, or leave it out"
    assert capsys.readouterr().err == f"personlab: error: {told}\n"


def test_masks_that_a_companion_promises_and_nobody_has_are_no_difference(
    synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "poses.json"
    evaluated(synthetic, tmp_path, "--results", str(results))
    found = [{k: v for k, v in r.items() if k != "segmentation"} for r in json.loads(results.read_text())]
    results.write_text(json.dumps(found))
    told = json.loads((tmp_path / "poses.images.json").read_text())
    (tmp_path / "poses.images.json").write_text(json.dumps({k: told[k] for k in ("image_ids", "kinds")}))
    capsys.readouterr()
    assert "says that segmentation was looked for" in refused(synthetic, capsys, results)


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
    found = evaluated(synthetic, tmp_path, "--against", str(masks))["against"]
    assert found.keys() & {"keypoints", "segmentation"} == {"segmentation"}


def test_other_categories_are_left_out_as_coco_does(synthetic: Path, tmp_path: Path) -> None:
    results = tmp_path / "first.json"
    evaluated(synthetic, tmp_path, "--results", str(results))
    found = json.loads(results.read_text())
    more = tmp_path / "more.json"
    more.write_text(json.dumps([*found, *({**r, "category_id": 2, "score": 1.0} for r in found)]))
    assert evaluated(synthetic, tmp_path, "--against", str(more))["against"]["keypoints"]["delta"] == 0


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
    alone = tmp_path / "alone.json"
    alone.write_text(json.dumps([r for r in json.loads(results.read_text()) if r["image_id"] == first]))
    capsys.readouterr()
    assert main(["evaluate", "--data.root", str(root), "--against", str(alone), "--max_images", "1"]) == 2
    assert "nobody counts on the images evaluated; evaluate more" in capsys.readouterr().err
