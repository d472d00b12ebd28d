"""`personlab predict` and `personlab evaluate`: the same people by both ways, and folders full of junk."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from personlab.cli.main import main
from personlab.inference import load


@pytest.fixture(scope="module")
def pictures(synthetic: Path) -> Path:
    return synthetic / "val2017"


def _evaluate(synthetic: Path, tmp_path: Path, *words: str) -> dict:
    target = tmp_path / "scores.json"
    assert main(["evaluate", "--data.root", str(synthetic), "--size", "257", "--json", str(target), *words]) == 0
    return json.loads(target.read_text())


def _predict(tmp_path: Path, *words: str, code: int = 0) -> dict:
    target = tmp_path / "summary.json"
    command = ["predict", "--size", "257", "-o", str(tmp_path / "out"), "--json", str(target)]
    assert main([*command, *words]) == code
    return json.loads(target.read_text())


def test_scores_have_the_shape_of_all_scores(synthetic, tmp_path) -> None:
    report = _evaluate(synthetic, tmp_path)
    assert report["images"] == 5
    assert report["keypoints"]["AP"] > 0.4
    assert report["segmentation"]["AP_medium"] is not None
    assert set(report["seconds"]) == {"read", "network", "decode"}
    assert all(report["seconds"].values())


def test_predict_finds_whom_evaluate_finds(synthetic, pictures, tmp_path) -> None:
    results = tmp_path / "results.json"
    _evaluate(synthetic, tmp_path, "--results", str(results))
    summary = _predict(tmp_path, str(pictures))
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == json.loads(results.read_text())
    assert summary["people"] == len(json.loads(results.read_text()))
    drawn = sorted(path.name for path in (tmp_path / "out" / "pictures").iterdir())
    assert drawn == sorted(f"{path.stem}.jpg" for path in pictures.iterdir())
    first = next(iter(pictures.iterdir()))
    plain, overlay = cv2.imread(str(first)), cv2.imread(str(tmp_path / "out" / "pictures" / f"{first.stem}.jpg"))
    assert plain.shape == overlay.shape
    assert np.abs(plain.astype(int) - overlay).mean() > 2


def test_batches_find_the_same_people(pictures, tmp_path) -> None:
    people = []
    for batch in ("1", "3"):
        people.append(_predict(tmp_path, str(pictures), "--batch", batch, "--draw", "false")["people"])
        results = json.loads((tmp_path / "out" / "results.json").read_text())
        people.append([round(r["score"], 3) for r in results])
    assert people[:2] == people[2:]
    assert not (tmp_path / "out" / "pictures").exists()


@pytest.mark.parametrize(
    "words",
    [["--rules", "tfjs"], ["--tta", "flip"], ["--scales", "193"], ["--decoder.max_people", "1"], ["--size", "193"]],
)
def test_every_option_changes_the_scores(synthetic, tmp_path, words) -> None:
    plain = _evaluate(synthetic, tmp_path, "--max_images", "3")
    assert _evaluate(synthetic, tmp_path, "--max_images", "3", *words)["keypoints"] != plain["keypoints"]


def test_rules_without_masks_have_no_scores_of_masks(synthetic, tmp_path) -> None:
    report = _evaluate(synthetic, tmp_path, "--rules", "tfjs", "--max_images", "2")
    assert report["keypoints"]["AP"] > 0
    assert report["segmentation"] == {}


def test_images_without_annotations_get_results_but_no_scores(synthetic, tmp_path) -> None:
    root = tmp_path / "test"
    shutil.copytree(synthetic / "val2017", root / "test2017")
    content = json.loads((synthetic / "annotations" / "person_keypoints_val2017.json").read_text())
    del content["annotations"]
    (root / "annotations").mkdir()
    (root / "annotations" / "image_info_test-dev.json").write_text(json.dumps(content))
    results = tmp_path / "results.json"
    words = ["--data.annotations", "annotations/image_info_{split}.json", "--split", "test-dev"]
    words += ["--data.images", "test2017"]
    report = _evaluate(root, tmp_path, *words, "--results", str(results))
    assert report["keypoints"] == report["segmentation"] == {}
    assert len(json.loads(results.read_text())) == report["people"] > 0


def test_junk_is_skipped_and_told_and_the_rest_is_done(pictures, tmp_path, capsys) -> None:
    folder = tmp_path / "junk"
    folder.mkdir()
    good = sorted(pictures.iterdir())[0]
    shutil.copy(good, folder / "good.jpg")
    (folder / "cut.jpg").write_bytes(good.read_bytes()[:3000])
    (folder / "text.png").write_text("no image")
    (folder / "zero.jpg").write_bytes(b"")
    (folder / "notes.txt").write_text("x")
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    Image.new("RGB", (1, 1)).save(folder / "tiny.png")
    Image.new("L", (300, 2), 50).save(folder / "flat.png")
    Image.new("CMYK", (40, 30)).save(folder / "cmyk.jpg")
    summary = _predict(tmp_path, str(folder), code=1)
    assert {Path(row["file"]).name for row in summary["skipped"]} == {
        "cut.jpg", "text.png", "zero.jpg", "notes.txt", "loop.jpg",
    }  # fmt: skip
    assert {Path(row["file_name"]).name for row in summary["images"]} == {
        "good.jpg",
        "tiny.png",
        "flat.png",
        "cmyk.jpg",
    }
    told = capsys.readouterr().err
    assert all(name in told for name in ("cut.jpg", "text.png", "zero.jpg", "notes.txt", "loop.jpg"))


def test_a_video_becomes_a_video(pictures, tmp_path) -> None:
    film = tmp_path / "film.avi"
    image = cv2.resize(cv2.imread(str(sorted(pictures.iterdir())[0])), (160, 120))
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"MJPG"), 10, (160, 120))
    for _ in range(4):
        writer.write(image)
    writer.release()
    summary = _predict(tmp_path, str(film), "--max_frames", "3", "--batch", "2")
    assert [row["frame"] for row in summary["images"]] == [0, 1, 2]
    drawn = cv2.VideoCapture(str(tmp_path / "out" / "pictures" / "film.mp4"))
    assert drawn.get(cv2.CAP_PROP_FRAME_COUNT) == 3


def test_three_lines_from_a_photograph_to_a_picture(pictures, tmp_path) -> None:
    predictor = load("embedded", size=257)
    prediction = predictor(sorted(pictures.iterdir())[0])
    prediction.draw(tmp_path / "people.png")
    assert len(prediction.people) > 0
    assert (tmp_path / "people.png").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing.jpg"], "nothing.jpg: no such file"),
        (["PICTURES", "--weights", "none.safetensors"], "none.safetensors"),
        (["PICTURES", "--batch", "0"], "--batch must be at least 1"),
        (["PICTURES", "--size", "1"], "2 pixels at least"),
        (["PICTURES", "--decoder.people", "1"], "no option 'people'"),
        (["PICTURES", "--stride", "16"], "output_stride 16"),
        (["PICTURES", "--device", "nowhere"], "--device nowhere cannot be used"),
        (["PICTURES", "--size", "null", "--scales", "193"], "need a size"),
    ],
)
def test_bad_options_are_told_before_any_work(pictures, tmp_path, capsys, words, message) -> None:
    words = [str(pictures) if word == "PICTURES" else word for word in words]
    assert main(["predict", "-o", str(tmp_path / "out"), *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
