"""Imputation, predicting and the bounds of true fields: their commands, and a real run of each on synthetic people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks import bounds, imputation, prediction, quality_tables
from personlab.cli.main import main


def in_this_process(words: Sequence[str], folder: Path) -> dict[str, Any]:
    """A command of `personlab` without the seconds that a new process takes."""
    summary = folder / "summary.json"
    assert main([*words, "--json", str(summary)]) == 0
    found: dict[str, Any] = json.loads(summary.read_text())
    return found


def test_imputation_is_checked_with_and_without_the_mirrored_image(
    synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def impute(words: Sequence[str]) -> dict[str, Any]:
        commands.append(list(words))
        return in_this_process([*words, "--size", "257"], tmp_path)

    monkeypatch.setattr(imputation, "impute", impute)
    file = tmp_path / "imputation.json"
    imputation.main(["--weights", "embedded", "--data-root", str(synthetic), "--check", "3", "--json", str(file)])
    found = json.loads(file.read_text())
    assert ["--tta" in words for words in commands] == [False, True]
    assert [row["command"] for row in found["rows"]] == [
        "personlab data impute --data.root coco --split val2017 --weights embedded --check 3 -o imputed.json" + end
        for end in ("", " --tta flip")
    ]
    table = quality_tables.imputation_table(found).splitlines()
    assert table[0].startswith("|  | people | imputed | mean OKS of these | OKS above .5 | ")
    assert [line.split(" | ")[:2] for line in table[2:]] == [
        [f"| {way}{flip}", "3"] for flip in ("", ", `--tta flip`") for way in quality_tables.WAYS.values()
    ]
    row = {"without_keypoints": 9, "imputed": 4, "refused": 2, "too_small": 3, "seconds": {"read": 0.2, "fit": 0.1}}
    row["check"] = {"as_they_are": {"people": 2}}
    assert quality_tables.imputation_summary({"split": "val2017", "rows": [row]}) == (
        "Of the 9 people without keypoints in val2017, 4 were imputed, 2 refused, 3 too small. A crop took 30 "
        "milliseconds."
    )


def test_the_stages_of_predict_are_told_for_images_of_both_sizes(
    synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def predict(words: Sequence[str]) -> dict[str, Any]:
        commands.append(list(words))
        output = tmp_path / str(len(commands))
        return {**in_this_process([*words, "-o", str(output)], tmp_path), "most_memory_mib": 512.4}

    monkeypatch.setattr(prediction, "predict", predict)
    monkeypatch.setattr(prediction, "LARGE", (400, 300))
    monkeypatch.setattr(prediction, "OPTIONS", ("--size", "257"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    file = tmp_path / "prediction.json"
    photos = sorted((synthetic / "val2017").iterdir())
    prediction.main(["--weights", "embedded", "--data-root", str(synthetic), "--json", str(file)])
    found = json.loads(file.read_text())
    assert found["command"] == (
        "OMP_NUM_THREADS=1 python -m benchmarks.prediction --weights embedded --data-root coco --json prediction.json"
    )
    assert [(row["source"], row["images"]) for row in found["rows"]] == [
        ("val2017", len(photos)), ("400×300 pixels", prediction.TIMES)
    ]  # fmt: skip
    assert found["rows"][0]["command"] == "personlab predict val2017 --weights embedded --size 257"
    head, _, first, _ = quality_tables.prediction_table(found).splitlines()
    assert head == "| source | images | read | network | decode | draw | write | most memory, MiB |"
    assert first.startswith("| val2017 | 5 | ")
    assert first.endswith(" | 512 |")


def test_a_split_without_photographs_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        prediction.main(["--weights", "embedded", "--data-root", str(tmp_path)])
    assert "val2017: no .jpg to enlarge; check --data-root" in capsys.readouterr().err


def test_a_process_of_its_own_tells_its_memory(synthetic: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = sorted((synthetic / "val2017").iterdir())[0]
    found = prediction.predict(["predict", str(photo), "--size", "257"])
    assert len(found["images"]) == 1
    assert 100 < found["most_memory_mib"] < 4000
    monkeypatch.setattr("sys.executable", "false")
    with pytest.raises(SystemExit, match=r"personlab predict nowhere\.jpg ended with 1"):
        prediction.predict(["predict", "nowhere.jpg"])


def test_bounds_are_told_by_decoder_stride_and_scale(
    synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "score", lambda words: in_this_process(words, tmp_path))
    monkeypatch.setattr(bounds, "STRIDES_AND_SCALES", ((8, 1), (8, 2)))
    file = tmp_path / "bounds.json"
    bounds.main(["--data-root", str(synthetic), "--max-images", "2", "--json", str(file)])
    found = json.loads(file.read_text())
    assert [row["command"].partition(" --split val2017 ")[2] for row in found["rows"]] == [
        "--stride 8 --max_images 2", "--stride 8 --scale 2 --max_images 2",
        "--stride 8 --decoder paper --max_images 2", "--stride 8 --scale 2 --decoder paper --max_images 2",
    ]  # fmt: skip
    assert all(row["keypoints"]["AP"] > 0.8 for row in found["rows"])
    lines = quality_tables.bounds_table(found).splitlines()
    assert lines[2].startswith("| true-fields | 8 | 2 | their own | ")
    assert lines[5].startswith("| paper | 8 | 2 | 2 times as large | ")
