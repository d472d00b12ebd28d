"""Outputs that cannot be written are told before the work, and what was found is told before it is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from personlab.cli import evaluate as evaluate_command
from personlab.cli.main import main
from personlab.errors import InputError

CONFIG = str(Path(__file__).resolve().parents[2] / "configs" / "experiment" / "demo.yaml")
DATA = ["--data.root", "nowhere"]
COMMANDS: dict[str, tuple[list[str], list[str]]] = {
    "predict": (["predict", "nowhere.jpg"], ["--json"]),
    "evaluate": (["evaluate", *DATA], ["--json", "--results"]),
    "decode": (["decode", "nowhere.npz"], ["--json", "--draw"]),
    "oracle": (["oracle", *DATA], ["--json", "--draw"]),
    "export": (["export", "nowhere.safetensors", "-o", "x.onnx"], ["--json", "-o"]),
    "bench decode": (["bench", "decode", "--scenes", "nowhere"], ["--json"]),
    "bench encode": (["bench", "encode", "--people", "0"], ["--json"]),
    "bench loader": (["bench", "loader", "--config", CONFIG, *DATA], ["--json"]),
    "bench train": (["bench", "train", "--config", CONFIG, *DATA], ["--json"]),
    "bench tune": (["bench", "tune", "--vary", "max_people=1", *DATA], ["--json"]),
    "data synth": (["data", "synth", "file"], ["--json"]),
    "data doctor": (["data", "doctor", *DATA], ["--json"]),
    "data stats": (["data", "stats", *DATA], ["--json", "-o"]),
    "data browse": (["data", "browse", "-o", "x.png", *DATA], ["--json", "-o"]),
    "data impute": (["data", "impute", "-o", "x.json", *DATA], ["--json", "-o"]),
    "runs": (["runs", "nowhere"], ["--json"]),
    "diff": (["diff", "nowhere", "nowhere"], ["--json"]),
    "reproduce": (["reproduce", "nowhere"], ["--json"]),
    "weights extract": (["weights", "extract", "nowhere.ckpt", "-o", "x.safetensors"], ["--json", "-o"]),
    "weights import": (["weights", "import", "tfjs", "nowhere.json", "-o", "x.safetensors"], ["--json", "-o"]),
    "weights inspect": (["weights", "inspect", "nowhere.safetensors"], ["--json"]),
}
"""Every command that writes what it found, with an input that does not exist, and its outputs."""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["evaluate", *DATA, "--weights", "here", "--json", "./here"],
            "here: is read (weights), so it cannot be --json",
        ),
        (["evaluate", *DATA, "--weights", "here", "--results", "here"], "so it cannot be --results"),
        (["evaluate", *DATA, "--against", "here", "--json", "here"], "here: is read (against), so it cannot be --json"),
        (["evaluate", *DATA, "--results", "a.json", "--json", "a.images.json"], "tells the images of --results"),
        (["errors", "here", *DATA, "--json", "here"], "here: is read (results), so it cannot be --json"),
        (["predict", "here", "--json", "here"], "here: is read (sources), so it cannot be --json"),
        (
            ["predict", "here", "-o", "out", "--json", "out/images.json"],
            "is a file of the results; give another --json",
        ),
        (["data", "impute", *DATA, "-o", "i.json", "--json", "i.json"], "is both"),
        (["data", "stats", *DATA, "-o", "s.png", "--json", "s.png"], "is both"),
        (["export", "here", "-o", "e.onnx", "--json", "e.onnx"], "is both"),
        (["weights", "inspect", "here", "--json", "here"], "here: is read (file), so it cannot be --json"),
    ],
)
def test_an_output_never_replaces_what_is_read_or_another_output(tmp_path, monkeypatch, capsys, words, told) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").write_text("x")
    assert main(words) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert (tmp_path / "here").read_text() == "x"
    assert [path.name for path in tmp_path.iterdir()] in (["here"], ["here", "out"], ["out", "here"])


@pytest.mark.parametrize(
    ("words", "option"),
    [pytest.param(words, option, id=f"{name} {option}") for name, (words, all_) in COMMANDS.items() for option in all_],
)
def test_an_output_that_cannot_be_written_is_told_before_anything_is_read(
    tmp_path, monkeypatch, capsys, words, option
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    for output in ("file/below/x.png", ".", "n" * 250):
        assert main([*words, option, output]) == 2
        told = capsys.readouterr().err
        name = {"-o": "--output"}.get(option, option)
        assert f"{output}: cannot be written (" in told
        assert f"; give another {name}" in told
        assert told.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("words", "option"),
    [pytest.param(words, option, id=f"{name} {option}") for name, (words, all_) in COMMANDS.items() for option in all_],
)
def test_an_output_of_no_name_is_told_and_only_json_goes_to_standard_output(
    tmp_path, monkeypatch, capsys, words, option
) -> None:
    monkeypatch.chdir(tmp_path)
    name = {"-o": "--output"}.get(option, option)
    assert main([*words, option, ""]) == 2
    told = f"{name} is empty; give it a file" + (", or - for standard output" if option == "--json" else "")
    assert capsys.readouterr().err == f"personlab: error: {told}\n"
    if option != "--json":
        assert main([*words, option, "-"]) == 2
        told = f"{name} - names no file, and only --json can go to standard output; give it a file"
        assert capsys.readouterr().err == f"personlab: error: {told}\n"
    assert not list(tmp_path.iterdir())


def test_a_companion_whose_name_is_too_long_is_told_before(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", *DATA, "--results", "n" * 233 + ".json"]) == 2
    error = capsys.readouterr().err
    assert "n.images.json: cannot be written (File name too long); give another --results" in error
    assert error.count("\n") == 1


def test_results_never_replace_what_they_are_scored_against(synthetic, tmp_path, capsys) -> None:
    annotations = synthetic / "annotations" / "person_keypoints_val2017.json"
    before = annotations.read_bytes()
    words = ["evaluate", "--data.root", str(synthetic), "--size", "129", "--max_images", "1"]
    for option in ("--results", "--json"):
        assert main([*words, option, str(annotations)]) == 2
        assert "is the file of the annotations; give another" in capsys.readouterr().err
    same = str(tmp_path / "x.json")
    assert main([*words, "--results", same, "--json", same]) == 2
    assert "both --results and --json; give them different files" in capsys.readouterr().err
    assert annotations.read_bytes() == before
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("broken", ["results", "json"])
def test_scores_are_told_and_the_other_file_written_though_one_cannot_be(
    synthetic, tmp_path, monkeypatch, capsys, broken
) -> None:
    """The disk may fill up while images are run."""

    def full(*_: object) -> None:
        raise InputError("cannot be written (No space left on device)")

    monkeypatch.setattr(evaluate_command, {"results": "write_results_of", "json": "write_result"}[broken], full)
    results, scores = tmp_path / "results.json", tmp_path / "scores.json"
    words = ["evaluate", "--data.root", str(synthetic), "--size", "257", "--max_images", "2"]
    assert main([*words, "--results", str(results), "--json", str(scores)]) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("2 images, ")
    assert "keypoint AP 0." in told[0]
    assert told[-1] == "personlab: error: cannot be written (No space left on device)"
    if broken == "results":
        assert json.loads(scores.read_text())["images"] == 2
    else:
        assert {row["image_id"] for row in json.loads(results.read_text())} == {1000001, 1000002}
