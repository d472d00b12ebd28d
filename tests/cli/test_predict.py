"""`personlab predict` and `personlab evaluate`: the same people by both ways, and folders full of junk."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

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


@pytest.mark.parametrize("words", [[], ["--tta", "flip", "--scales", "193"], ["--rules", "tfjs"]])
def test_predict_finds_whom_evaluate_finds(synthetic, pictures, tmp_path, words) -> None:
    results = tmp_path / "results.json"
    _evaluate(synthetic, tmp_path, "--results", str(results), *words)
    summary = _predict(tmp_path, str(pictures), *words)
    assert (tmp_path / "out" / "results.json").read_bytes() == results.read_bytes()
    assert summary["people"] == len(json.loads(results.read_text())) > 5
    drawn = sorted(path.name for path in (tmp_path / "out" / "pictures").iterdir())
    assert drawn == sorted(f"{path.stem}.jpg" for path in pictures.iterdir())
    first = next(iter(pictures.iterdir()))
    plain, overlay = cv2.imread(str(first)), cv2.imread(str(tmp_path / "out" / "pictures" / f"{first.stem}.jpg"))
    assert plain.shape == overlay.shape
    assert np.abs(plain.astype(int) - overlay).mean() > 1


def test_results_of_a_turned_photograph_are_in_the_pixels_that_are_seen(pictures, tmp_path) -> None:
    upright = Image.open(sorted(pictures.iterdir())[0])
    upright.save(tmp_path / "upright.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying, to be turned by a quarter
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    _predict(tmp_path, str(tmp_path / "upright.png"), str(tmp_path / "turned.png"))
    people = json.loads((tmp_path / "out" / "results.json").read_text())
    both = [[{**person, "image_id": 0} for person in people if person["image_id"] == number] for number in (1, 2)]
    assert both[0] == both[1]
    assert both[0]


def test_batches_find_the_same_people(pictures, tmp_path) -> None:
    found = []
    for batch in ("1", "4"):
        _predict(tmp_path, str(pictures), "--batch", batch, "--draw", "false")
        found.append(json.loads((tmp_path / "out" / "results.json").read_text()))
    assert len(found[0]) == len(found[1]) > 5
    # A convolution of several images adds in another order: places may differ by a hundredth of a pixel.
    for one, four in zip(*found, strict=True):
        assert one["image_id"] == four["image_id"]
        np.testing.assert_allclose(one["keypoints"], four["keypoints"], atol=0.01)
        assert one["score"] == pytest.approx(four["score"], abs=1e-4)
        overlap = coco_mask.iou([one["segmentation"]], [four["segmentation"]], [0])
        assert overlap.item() > 0.995
    assert not (tmp_path / "out" / "pictures").exists()


def test_the_threshold_changes_pictures_and_not_results(pictures, tmp_path) -> None:
    picture = sorted(pictures.iterdir())[0]
    drawn, results = [], []
    for words in ([], ["--draw_threshold", "0"], ["--draw_threshold", "1"]):
        _predict(tmp_path, str(picture), *words)
        drawn.append(cv2.imread(str(tmp_path / "out" / "pictures" / f"{picture.stem}.jpg")).astype(int))
        results.append((tmp_path / "out" / "results.json").read_bytes())
    assert results[0] == results[1] == results[2]
    plain = cv2.imread(str(picture))
    changed = [np.abs(image - plain).mean() for image in drawn]
    assert changed[1] > changed[0] > changed[2]


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


class FakeCamera:
    """A camera of a given number of frames, after which Ctrl-C is pressed; files are opened as ever."""

    real = cv2.VideoCapture
    image = np.zeros((120, 160, 3), np.uint8)
    frames = 5

    def __new__(cls, source):
        return object.__new__(cls) if isinstance(source, int) else cls.real(source)

    def __init__(self, source: int) -> None:
        self.given = 0
        self.there = source == 3

    def isOpened(self) -> bool:
        return self.there

    def set(self, *_: float) -> bool:
        return False

    def get(self, _: int) -> float:
        return 0.0

    def read(self):
        if self.given == self.frames:
            raise KeyboardInterrupt
        self.given += 1
        return True, self.image

    def release(self) -> None:
        self.there = False


def test_a_camera_gives_frames_until_interrupted(pictures, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(FakeCamera, "image", cv2.resize(cv2.imread(str(sorted(pictures.iterdir())[0])), (160, 120)))
    monkeypatch.setattr(cv2, "VideoCapture", FakeCamera)
    summary = _predict(tmp_path, "camera:3", code=130)
    assert [row["frame"] for row in summary["images"]] == [0, 1, 2, 3, 4]
    assert {row["file_name"] for row in summary["images"]} == {"camera:3"}
    assert summary["people"] > 0
    assert capsys.readouterr().err.splitlines()[-1] == "personlab: error: interrupted; 5 images were done before"
    drawn = cv2.VideoCapture(str(tmp_path / "out" / "pictures" / "camera3.mp4"))
    assert drawn.get(cv2.CAP_PROP_FRAME_COUNT) == 5
    monkeypatch.setattr(FakeCamera, "frames", 2)  # no frame is waited for beyond those asked for
    assert len(_predict(tmp_path, "camera:3", "--max_frames", "2")["images"]) == 2


def test_a_missing_camera_is_told_before_anything_is_loaded(pictures, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", FakeCamera)
    words = ["predict", str(pictures), "camera:0", "--weights", "none.safetensors", "-o", str(tmp_path / "out")]
    assert main(words) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert "camera:0: there is no camera 0" in told
    assert not (tmp_path / "out").exists()


def test_what_no_video_can_be_drawn_of_is_told_and_its_people_are_kept(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(FakeCamera, "image", np.zeros((2, 9000, 3), np.uint8))  # MPEG-4 has 8191 pixels at most
    monkeypatch.setattr(cv2, "VideoCapture", FakeCamera)
    summary = _predict(tmp_path, "camera:3", "--max_frames", "2", code=1)
    assert len(summary["images"]) == 2
    assert "cannot write a video of 9000x2 pixels" in summary["skipped"][0]["problem"]


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
        (["PICTURES", "--draw_threshold", "1.5"], "--draw_threshold must be from 0 to 1"),
        (["camera:x"], "a camera has a number"),
        (["PICTURES", "--size", "1"], "2 pixels at least"),
        (["PICTURES", "--decoder.people", "1"], "no option 'people'"),
        (["PICTURES", "--stride", "16"], "output_stride 16"),
        (["PICTURES", "--device", "nowhere"], "device nowhere cannot be used"),
        (["PICTURES", "--size", "null", "--scales", "193"], "need a size"),
        (["PICTURES", "--size", "257", "--scales", "193", "257"], "--scales 193 257, --size 257: 257 would be looked"),
    ],
)
def test_bad_options_are_told_before_any_work(pictures, tmp_path, capsys, words, message) -> None:
    words = [str(pictures) if word == "PICTURES" else word for word in words]
    assert main(["predict", "-o", str(tmp_path / "out"), *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
