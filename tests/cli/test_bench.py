"""`personlab bench decode`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from personlab.cli import bench
from personlab.cli.main import main
from personlab.decoding.rules.layout import write_fields
from tests.decoding.scenes import paint, standing


def test_every_rule_is_timed_on_every_scene(tmp_path: Path) -> None:
    for name in ("n01_s08_a", "n02_s08_b"):
        write_fields(tmp_path / f"{name}.npz", paint(standing((70, 80), (180, 90))[: int(name[1:3])], 24, 32))
    result = tmp_path / "times.json"
    words = ["bench", "decode", "--scenes", str(tmp_path), "--runs", "1", "--batch", "2", "--json", str(result)]
    assert main([*words, "--rules", "[paper, tfjs, bodypix, coral]"]) == 0
    rows = json.loads(result.read_text())["rows"]
    assert [(row["people"], row["rules"]) for row in rows] == [
        (people, rules) for people in (1, 2) for rules in ("paper", "tfjs", "bodypix", "coral")
    ]
    assert all(row["found"] == row["people"] and row["poses_ms"] > 0 for row in rows)
    assert all((row["masks_ms"] is None) == (row["rules"] == "tfjs") for row in rows)


def test_crowds_are_made_up_when_no_scenes_are_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bench, "PEOPLE", (3,))
    result = tmp_path / "times.json"
    assert main(["bench", "decode", "--runs", "1", "--engine", "torch", "--json", str(result)]) == 0
    rows = json.loads(result.read_text())["rows"]
    assert [(row["scene"], row["stride"], row["found"]) for row in rows] == [
        ("crowd03_s08", 8, 3), ("crowd03_s16", 16, 3),
    ]  # fmt: skip


@pytest.mark.parametrize(("words", "told"), [
    (["--runs", "0"], "--runs must be at least 1"), (["--scenes", "nowhere"], "nowhere: holds no .npz"),
    (["--rules", "[mine]"], "mine"),
])  # fmt: skip
def test_bad_usage_is_told(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "decode", *words]) == 2
    assert told in capsys.readouterr().err
