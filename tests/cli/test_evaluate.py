"""`personlab evaluate --against`: what another evaluation of the same images scored."""

from __future__ import annotations

import json
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
