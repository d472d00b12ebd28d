"""`personlab data stats`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2

from personlab.cli.main import main


def test_stats_tells_every_split_and_draws(synthetic: Path, tmp_path: Path, capsys: Any) -> None:
    picture, target = tmp_path / "stats.png", tmp_path / "stats.json"
    words = ["data", "stats", "--data.root", str(synthetic), "--json", str(target)]
    assert main([*words, "-o", str(picture)]) == 0
    found = json.loads(target.read_text())["splits"]
    assert {split: s["images"] for split, s in found.items()} == {"train2017": 12, "val2017": 5}
    assert cv2.imread(str(picture)).shape[1] > 1000
    told = capsys.readouterr().err
    assert "images with boxes overlapping > 0.3" in told
    assert "left_wrist" in told
    assert main([*words, "--splits", "val2017", "--max_images", "2"]) == 0
    assert {s: v["images"] for s, v in json.loads(target.read_text())["splits"].items()} == {"val2017": 2}
    assert main([*words, "--max_images", "0"]) == 2
    assert main(["data", "stats", "--data.root", str(tmp_path / "none")]) == 2
