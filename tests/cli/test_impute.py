"""`personlab data impute`: people lose their keypoints, and get them back from the embedded network."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO as CocoIndex

from personlab.cli.main import main
from personlab.data.images import read_image
from personlab.files import sha256
from personlab.inference import imputed_file
from personlab.inference.imputation_quality import similarity
from personlab.skeleton import COCO
from personlab.weights.network_file import weights_path

FILE = "annotations/person_keypoints_{}.json"


@pytest.fixture(scope="module")
def root(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic set, in which every other person has only a mask, one is too small and one is without a mask."""
    root = tmp_path_factory.mktemp("lacking")
    shutil.copytree(synthetic, root, dirs_exist_ok=True)
    shutil.copy(root / FILE.format("val2017"), root / "truth.json")
    content = json.loads((root / "truth.json").read_text())
    for row in content["annotations"][::2]:
        row |= {"keypoints": [0] * 51, "num_keypoints": 0}
    first = content["annotations"][0]
    tiny = [[10, 10, 18, 10, 18, 20, 10, 20]]
    content["annotations"] += [
        {**first, "id": 9001, "segmentation": tiny, "bbox": [10, 10, 8, 10], "area": 80},
        {**first, "id": 9002, "segmentation": []},
        {**first, "id": 9003, "iscrowd": 1},
    ]
    (root / FILE.format("val2017")).write_text(json.dumps(content))
    return root


def _impute(root: Path, target: Path, *words: str, code: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    summary = target.with_suffix(".summary.json")
    command = ["data", "impute", "--data.root", str(root), "--size", "257", "-o", str(target), "--json", str(summary)]
    assert main([*command, *words]) == code
    return json.loads(target.read_text()), json.loads(summary.read_text())


@pytest.fixture(scope="module")
def done(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    target = tmp_path_factory.mktemp("out") / "imputed.json"
    return target, *_impute(root, target, "--check", "6")


def test_keypoints_come_back_near_the_true_ones(root, done) -> None:
    truth = {row["id"]: row for row in json.loads((root / "truth.json").read_text())["annotations"]}
    oks = []
    for row in done[1]["annotations"]:
        if row.get("imputed"):
            found, true = (np.array(a["keypoints"], float).reshape(17, 3) for a in (row, truth[row["id"]]))
            known = true[:, 2] > 0
            oks.append(similarity(found, true, row["area"], COCO)[known].mean())
    assert len(oks) > 0.6 * len(truth) / 2
    assert np.mean(oks) > 0.6
    assert np.mean(np.array(oks) > 0.5) > 0.7


def test_only_imputed_people_differ_and_the_file_is_cocos(root, done) -> None:
    target, content, summary = done
    before = json.loads((root / FILE.format("val2017")).read_text())
    assert list(content) == list(before)
    for table in ("images", "categories"):
        assert content[table] == before[table]
    imputed = 0
    for old, new in zip(before["annotations"], content["annotations"], strict=True):
        if not new.get("imputed"):
            assert new == old
            continue
        imputed += 1
        changed = {"keypoints", "num_keypoints", "imputed", "imputation"}
        assert {k: v for k, v in new.items() if k not in changed} == {k: v for k, v in old.items() if k not in changed}
        assert not any(old["keypoints"])
        visibility = new["keypoints"][2::3]
        assert set(visibility) <= {0, 2}
        assert new["num_keypoints"] == sum(v > 0 for v in visibility) >= 3
        assert set(new["imputation"]) == {"score", "fit"}
        image = next(i for i in before["images"] if i["id"] == new["image_id"])
        assert all(-0.5 <= x <= image["width"] - 0.5 for x in new["keypoints"][0::3])
    api = CocoIndex(str(target))
    assert len(api.loadAnns(api.getAnnIds(catIds=[1]))) == len(before["annotations"])
    assert summary["imputed"] == imputed


def test_the_file_tells_who_made_it(done) -> None:
    note = done[1]["info"]["imputation"]
    assert note["weights_sha256"] == sha256(weights_path("embedded"))
    assert note["options"]["size"] == 257
    assert note["options"]["min_fit"] == 0.3
    assert note["imputed"] == done[2]["imputed"]
    assert "not a human" in note["note"]


def test_the_summary_adds_up(root, done) -> None:
    summary = done[2]
    lacking = [a for a in json.loads((root / FILE.format("val2017")).read_text())["annotations"] if not a["iscrowd"]]
    lacking = [a for a in lacking if not a["num_keypoints"]]
    parts = ("imputed", "refused", "too_small", "without_mask", "unread")
    assert summary["without_keypoints"] == len(lacking) == sum(summary[part] for part in parts)
    assert (summary["too_small"], summary["without_mask"], summary["unreadable"]) == (1, 1, [])
    assert set(summary["seconds"]) == {"read", "network", "decode", "fit"}
    native, small = summary["check"]["as_they_are"], summary["check"]["as_small_as_imputed"]
    assert native["people"] == small["people"] == 6
    assert native["mean_oks"] > 0.6
    assert native != small


def test_every_image_is_read_once_and_only_if_needed(root, tmp_path, monkeypatch) -> None:
    read: list[str] = []

    def counting(path: Path, size: tuple[int, int]) -> np.ndarray:
        read.append(path.name)
        return read_image(path, size)

    monkeypatch.setattr(imputed_file, "read_image", counting)
    _, summary = _impute(root, tmp_path / "a.json", "--check", "4", "--max_images", "3")
    assert len(read) == len(set(read)) == summary["images"] <= 3
    assert summary["check"]["as_they_are"]["people"] == 4


def test_an_imputed_file_is_imputed_anew(root, done, tmp_path) -> None:
    shutil.copytree(root / "val2017", tmp_path / "val2017")
    words = ["--data.annotations", str(done[0])]
    again, summary = _impute(tmp_path, tmp_path / "again.json", *words)
    assert again == done[1]
    nobody, summary = _impute(tmp_path, tmp_path / "nobody.json", *words, "--min_fit", "1")
    assert summary["imputed"] == 0
    assert nobody["annotations"] == json.loads((root / FILE.format("val2017")).read_text())["annotations"]


def test_scores_do_not_change_with_the_file(root, done, tmp_path) -> None:
    scores = []
    before = json.loads((root / FILE.format("val2017")).read_text())
    for name, content in (("before", before), ("imputed", done[1])):
        masked = [row for row in content["annotations"] if row["segmentation"]]  # else COCO has no mask to score
        (tmp_path / f"{name}.json").write_text(json.dumps({**content, "annotations": masked}))
        for words in ([], ["--only_with_keypoints", "true"]):
            target = tmp_path / "scores.json"
            command = ["evaluate", "--data.root", str(root), "--data.annotations", str(tmp_path / f"{name}.json")]
            assert main([*command, *words, "--size", "257", "--max_images", "3", "--json", str(target)]) == 0
            report = json.loads(target.read_text())
            scores.append([report["keypoints"], report["segmentation"]])
    assert scores[:2] == scores[2:]
    assert scores[0] != scores[1]


def test_images_that_cannot_be_read_are_told_and_the_rest_is_done(root, done, tmp_path, capsys) -> None:
    shutil.copytree(root, tmp_path / "broken")
    images = {image["id"]: image["file_name"] for image in done[1]["images"]}
    broken = next(row["image_id"] for row in done[1]["annotations"] if row.get("imputed"))
    (tmp_path / "broken" / "val2017" / images[broken]).write_bytes(b"no image")
    content, summary = _impute(tmp_path / "broken", tmp_path / "out.json", code=1)
    assert [Path(row["file"]).name for row in summary["unreadable"]] == [images[broken]]
    assert images[broken] in capsys.readouterr().err
    assert summary["unread"] > 0
    before = json.loads((root / FILE.format("val2017")).read_text())["annotations"]
    for old, new, good in zip(before, content["annotations"], done[1]["annotations"], strict=True):
        assert new == (old if new["image_id"] == broken else good)


OPTIONS = [
    ["--min_size", "8"], ["--enlarge", "1.3"], ["--min_score", "0.6"], ["--min_fit", "0.6"], ["--tolerance", "0.001"],
    ["--keypoint_score", "0.5"], ["--size", "193"], ["--tta", "flip"], ["--rules", "tfjs"],
]  # fmt: skip


@pytest.mark.parametrize("words", OPTIONS, ids=lambda words: words[0])
def test_every_option_changes_what_is_written(root, done, tmp_path, words) -> None:
    plain = copy.deepcopy(done[2])
    content, summary = _impute(root, tmp_path / "a.json", *words)
    same = content["annotations"] == done[1]["annotations"]
    assert not same or summary["too_small"] != plain["too_small"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--min_fit", "2"], "min_fit: 2.0 must lie between 0 and 1"),
        (["--min_size", "0"], "--min_size must be at least 1"),
        (["--max_images", "0"], "--max_images must be at least 1"),
        (["--check", "-1"], "--check must be 0 or more"),
        (["--weights", "none.safetensors"], "none.safetensors"),
        (["--split", "nowhere"], "no such annotation file"),
    ],
)
def test_bad_options_are_told_and_nothing_is_written(root, tmp_path, capsys, words, message) -> None:
    command = ["data", "impute", "--data.root", str(root), "-o", str(tmp_path / "out.json")]
    assert main([*command, *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()


def test_the_file_that_is_read_is_not_overwritten(root, capsys) -> None:
    path = root / FILE.format("val2017")
    before = path.read_bytes()
    assert main(["data", "impute", "--data.root", str(root), "-o", str(path)]) == 2
    assert "is the file that is read" in capsys.readouterr().err
    assert path.read_bytes() == before
