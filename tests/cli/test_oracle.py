"""`personlab oracle` and its options."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from personlab.cli.main import main
from tests.data.tiny_coco import document, person, write_json


def test_the_decoder_can_be_chosen(tmp_path) -> None:
    # Two people 9 px apart: further than true fields need to tell them apart, nearer than the paper's radius.
    places = np.random.default_rng(0).uniform(40, 200, (17, 2))
    people = [
        person(n, 10, (x, 30, 180, 180), keypoints=np.insert(np.add(places, [x, 0]), 2, 2, axis=1).ravel().tolist())
        for n, x in enumerate((20, 29), 1)
    ]
    write_json(tmp_path / "annotations/person_keypoints_val2017.json", document([(260, 300)], people))
    found = {}
    for words in ([], ["--decoder", "true-fields"], ["--decoder", "paper"]):
        target = tmp_path / "report.json"
        assert main(["oracle", "--data.root", str(tmp_path), "--json", str(target), *words]) == 0
        found[tuple(words)] = json.loads(target.read_text())["people"]
    assert list(found.values()) == [2, 2, 1]


def test_an_unknown_decoder_is_told_with_those_there_are(tmp_path, capsys) -> None:
    assert main(["oracle", "--data.root", str(tmp_path), "--decoder", "best"]) == 2
    assert "true-fields" in capsys.readouterr().err


def _ladder(tmp_path, synthetic, *words: str) -> list[dict]:
    target = tmp_path / "ladder.json"
    command = ["oracle", "--data.root", str(synthetic), "--max_images", "2", "--json", str(target), *words]
    assert main(command) == 0
    return json.loads(target.read_text())["rows"]


def test_a_ladder_at_several_sizes_and_refinement_steps(tmp_path, synthetic, capsys) -> None:
    picture = tmp_path / "ladder.png"
    words = ["--weights", "embedded", "--replace", "mid_offsets", "--size", "257,193", "--refinements", "0,2"]
    rows = _ladder(tmp_path, synthetic, *words, "--draw", str(picture))
    settings = [(r["size"], r["refinement_steps"]) for r in rows if r["fields"] == "network"]
    assert settings == [(257, 0), (257, 2), (193, 0), (193, 2)]
    assert {r["decoder"] for r in rows} == {"of the weights"}
    scores = {(r["size"], r["refinement_steps"], r["fields"]): r["keypoints"]["AP"] for r in rows}
    assert scores[257, 0, "network"] != scores[257, 2, "network"] != scores[193, 2, "network"]
    assert scores[257, 0, "true fields"] == scores[257, 2, "true fields"]
    assert cv2.imread(str(picture)).std() > 0
    assert "network, true mid offsets" in capsys.readouterr().err


def test_a_ladder_of_noise_at_two_strides(tmp_path, synthetic) -> None:
    words = ["--noise_px", "1,30", "--noise_logits", "8", "--stride", "8,16"]
    rows = _ladder(tmp_path, synthetic, *words)
    assert len(rows) == 2 * (2 + 3 * 2 + 2)
    assert {(r["stride"], r["decoder"]) for r in rows} == {(8, "true-fields"), (16, "true-fields")}
    scores = {(r["stride"], r["fields"]): r["keypoints"]["AP"] for r in rows}
    name = "true, mid offsets + noise of {} px"
    assert scores[8, "true fields"] >= scores[8, name.format(1)] > scores[8, name.format(30)]
    one = ["--noise_px", "10", "--replace", "short_offsets"]
    smooth = _ladder(tmp_path, synthetic, *one)
    white = _ladder(tmp_path, synthetic, *one, "--noise_correlation_px", "1")
    assert len(smooth) == len(white) == 3
    # Voting averages errors that are each cell's own.
    assert smooth[2]["keypoints"]["AP"] < white[2]["keypoints"]["AP"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--replace", "heatmaps"], "--replace needs fields"),
        (["--refinements", "1"], "give --weights"),
        (["--weights", "embedded", "--replace", "heads"], "no field 'heads'"),
        (["--stride", "8,no"], "'no' is no whole number"),
        (["--size", ""], "--size needs a number"),
        (["--size", "257,100000000"], "--size: a side has 16384 pixels at most, got 100000000"),
        (["--scale", "1e6"], "resizing 321x257 pixels by 1e+06: a side has 16384 pixels at most"),
        (["--weights", "embedded", "--stride", "16"], "output_stride 16"),
        (["--noise_px", "1", "--noise_correlation_px", "0"], "must be positive"),
        (["--weights", "missing.safetensors"], "missing.safetensors"),
        (["--noise_px", "4", "--replace", "heatmaps"], "noise for a field"),
        (["--weights", "embedded", "--draw", "ladder.foo"], "ends in .png"),
    ],
)
def test_bad_ladders_are_told(synthetic, capsys, words, message) -> None:
    assert main(["oracle", "--data.root", str(synthetic), *words]) == 2
    assert message in capsys.readouterr().err
