"""`personlab decode`."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from personlab.cli.main import main
from personlab.decoding.rules.layout import write_fields
from tests.decoding.scenes import paint, standing


@pytest.fixture
def fields(tmp_path: Path) -> Path:
    path = tmp_path / "fields.npz"
    write_fields(path, paint(standing((70, 80), (180, 90)), 24, 32))
    return path


@pytest.mark.parametrize("rules", ["paper", "tfjs", "bodypix", "coral"])
def test_people_are_reported_by_all_rules(fields: Path, rules: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", str(fields), "--rules", rules, "--json", "-"]) == 0
    people = json.loads(capsys.readouterr().out)["people"]
    assert len(people) == 2
    places = sorted(person["keypoints"][0][:2] for person in people)
    expected = sorted(standing((70, 80), (180, 90))[:, 0].tolist())
    for place, wanted in zip(places, expected, strict=True):
        assert place == pytest.approx(wanted, abs=0.5)
    assert all(len(person["keypoints"]) == 17 and "segmentation" not in person for person in people)


def test_options_reach_the_rules(fields: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def found(*options: str) -> list[dict]:
        assert main(["decode", str(fields), *options, "--json", "-"]) == 0
        return json.loads(capsys.readouterr().out)["people"]

    assert len(found("--max-detections", "1")) == 1
    assert len(found("--score-threshold", "0.999")) == 0
    assert len(found("--nms-radius", "1000")) == 1
    masked = found("--masks", "true")
    assert all(person["segmentation"]["size"] == [185, 249] for person in masked)


def test_the_picture_shows_the_people(fields: Path, tmp_path: Path) -> None:
    assert main(["decode", str(fields), "--draw", str(tmp_path / "people.png")]) == 0
    picture = cv2.imread(str(tmp_path / "people.png"))
    assert picture.shape == (185, 249, 3)
    assert len({tuple(colour) for colour in picture.reshape(-1, 3).tolist()}) > 50


@pytest.mark.parametrize(("words", "message"), [
    (["nowhere.npz"], "nowhere.npz: no such file"),
    (["{fields}", "--rules", "mine"], "mine"),
    (["{fields}", "--stride", "0"], "--stride must be at least 1"),
    (["{fields}", "--nms-radius", "-1"], "nms_radius_px must not be negative"),
    (["{fields}", "--score-treshold", "1"], "score-treshold"),
])  # fmt: skip
def test_bad_input_is_one_line_and_code_2(
    fields: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["decode", *(w.replace("{fields}", str(fields)) for w in words)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
