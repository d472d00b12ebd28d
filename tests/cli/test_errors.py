"""`personlab errors`: the table, the JSON, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from personlab.cli.main import main
from tests.evaluation.planted import FIRST, SECOND, TRIO, annotations, found_mask, found_pose, moved, person, pose


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two images with somebody at each of two places; found: a pose with a miss and half a mask, on the first image."""
    (tmp_path / "annotations").mkdir()
    people = [person(box, image_id=i) for i in (1, 2) for box in (FIRST, SECOND)]
    truth = annotations(*people, images=2)
    truth["categories"][0]["keypoints"] = list(TRIO.keypoint_names)
    (tmp_path / "annotations" / "person_keypoints_val2017.json").write_text(json.dumps(truth))
    edges = [[TRIO.keypoint_names[a], TRIO.keypoint_names[b]] for a, b in TRIO.edges]
    skeleton = {"name": "trio", "keypoints": list(TRIO.keypoint_names), "edges": edges, "sigmas": list(TRIO.sigmas)}
    (tmp_path / "trio.yaml").write_text(json.dumps(skeleton))
    found = [
        found_pose(moved(pose(FIRST), 0, pose(FIRST)[1]), 0.9) | found_mask((20, 20, 60, 100), 0.9),
        found_pose(pose(SECOND), 0.8) | found_mask(SECOND, 0.8),
    ]
    (tmp_path / "found.json").write_text(json.dumps(found))
    return tmp_path


def command(root: Path, results: str, *words: str) -> list[str]:
    place = ["--data.root", str(root), "--data.skeleton", str(root / "trio.yaml")]
    return ["errors", str(root / results), *place, *words]


def test_the_table_and_the_report(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(root, "found.json", "--json", "-")) == 0
    told = capsys.readouterr()
    report = json.loads(told.out)
    assert "errors of keypoints: 4 people in 2 images" in " ".join(told.err.split())
    assert "errors of masks: 4 people in 2 images" in " ".join(told.err.split())
    for name in ("miss", "6 keypoints", "false negative", "4 people", "boundary", "wrong person", "50.0%"):
        assert name in told.err
    for kind in ("keypoints", "segmentation"):
        found = report[kind]
        assert sum(part["ap_cost"] for part in found["parts"]) == pytest.approx(1 - found["ap"], abs=1e-9)
        assert found["parts"][-1]["count"] == 2
    assert (report["skeleton"], report["confusions"], report["only_with_keypoints"]) == ("trio", "mirrored", False)
    assert report["command"].startswith("personlab errors ")
    assert len(report["results_sha256"]) == 64


def test_every_option_changes_the_result(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def parts(*words: str, kind: str = "keypoints") -> dict[str, int]:
        assert main(command(root, "found.json", "--json", "-", *words)) == 0
        return {part["type"]: part["count"] for part in json.loads(capsys.readouterr().out)[kind]["parts"]}

    assert (parts()["miss"], parts()["inversion"]) == (1, 0)
    assert (parts("--confusions", "any")["miss"], parts("--confusions", "any")["inversion"]) == (0, 1)
    assert parts("--max_images", "1")["false_negative"] == 0
    path = root / "annotations" / "person_keypoints_val2017.json"
    truth = json.loads(path.read_text())
    truth["annotations"][3] |= {"keypoints": [0] * 9, "num_keypoints": 0}
    path.write_text(json.dumps(truth))
    assert parts(kind="segmentation")["missed"] == 2
    assert parts("--only_with_keypoints", "true", kind="segmentation")["missed"] == 1


def test_people_on_images_that_were_not_evaluated_are_not_missing(root: Path, capsys: pytest.CaptureFixture) -> None:
    (root / "found.images.json").write_text(json.dumps({"image_ids": [1]}))
    assert main(command(root, "found.json", "--json", "-")) == 0
    found = json.loads(capsys.readouterr().out)["keypoints"]
    assert (found["images"], {part["type"]: part["count"] for part in found["parts"]}["false_negative"]) == (1, 0)


def test_of_the_first_images_only_those_that_were_evaluated_count(root: Path, capsys: pytest.CaptureFixture) -> None:
    (root / "found.images.json").write_text(json.dumps({"image_ids": [1]}))
    assert main(command(root, "found.json", "--json", "-", "--max_images", "2")) == 0
    assert json.loads(capsys.readouterr().out)["keypoints"]["images"] == 1


def test_results_of_one_kind_and_of_nobody(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "poses.json").write_text(json.dumps([found_pose(pose(FIRST), 0.9)]))
    assert main(command(root, "poses.json", "--json", "-")) == 0
    assert "segmentation" not in json.loads(capsys.readouterr().out)
    (root / "nobody.json").write_text("[]")
    (root / "nobody.images.json").write_text(json.dumps({"image_ids": [1, 2]}))
    assert main(command(root, "nobody.json", "--json", "-")) == 0
    report = json.loads(capsys.readouterr().out)
    assert [report[kind]["parts"][-1]["ap_cost"] for kind in ("keypoints", "segmentation")] == [1, 1]
    (root / "nobody.images.json").write_text(json.dumps({"image_ids": [1, 2], "kinds": ["keypoints"]}))
    assert main(command(root, "nobody.json", "--json", "-")) == 0
    assert "segmentation" not in json.loads(capsys.readouterr().out)  # nobody looked for masks


def test_where_nothing_tells_the_images_the_results_must_be_of_most(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As for `evaluate --against`; what is assumed is told, and stands in the report."""

    def images_of(*words: str) -> tuple[bool, int]:
        assert main(command(root, "found.json", "--json", "-", *words)) == 0
        report = json.loads(capsys.readouterr().out)
        return report["images_known"], report["without_results"]

    assert main(command(root, "found.json")) == 0
    assert (
        "found.json: nothing tells which images it is of; 1 of 2 have no result there and are taken for images where "
        "nobody was found" in capsys.readouterr().err
    )
    assert images_of() == (False, 1)
    assert images_of("--max_images", "1") == (False, 0)
    (root / "found.images.json").write_text(json.dumps({"image_ids": [1]}))
    assert main(command(root, "found.json")) == 0
    assert "nothing tells" not in capsys.readouterr().err
    assert images_of() == (True, 0)
    (root / "found.images.json").unlink()
    path = root / "annotations" / "person_keypoints_val2017.json"
    truth = json.loads(path.read_text())
    truth["images"].append({**truth["images"][0], "id": 3})
    truth["annotations"].append({**truth["annotations"][0], "id": 9, "image_id": 3})
    path.write_text(json.dumps(truth))
    assert main(command(root, "found.json")) == 2
    error = capsys.readouterr().err
    assert "found.json: seems to be of fewer images: 2 of the 3 images with people have no result there" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "words", "told"),
    [
        ("{", [], "bad.json: no COCO results file"),
        ('[{"image_id": 1, "category_id": 1, "score": 1}]', [], "bad.json: has neither keypoints nor masks"),
        ('[{"image_id": 1, "category_id": 1, "score": 1, "keypoints": [1]}]', [], "keypoints are 1 numbers"),
        (json.dumps([found_pose(pose(FIRST), 0.9, image_id=2)]), ["--max_images", "1"], "result 0 is of image 2"),
        ("[]", [], "bad.json: is empty, and nothing tells which images it is of; write it by evaluate --results"),
        (
            json.dumps([found_pose(pose(FIRST), 0.9) | {"segmentation": {"size": [9, 9], "counts": "Q3"}}]),
            [],
            "result 0 (of 1, counted from 0): segmentation: the run-length code has size [9, 9], the image [300, 400]",
        ),
        ("[]", ["--max_images", "0"], "--max_images must be at least 1"),
        ("[]", ["--split", "test2017"], "test2017"),
        ("[]", ["--confusions", "some"], "confusions"),
    ],
)
def test_bad_input_is_told_in_one_line(
    root: Path, capsys: pytest.CaptureFixture[str], content: str, words: list[str], told: str
) -> None:
    (root / "bad.json").write_text(content)
    assert main(command(root, "bad.json", *words)) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
