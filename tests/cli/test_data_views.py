"""`personlab data stats` and `data browse`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from personlab.augmentation import TrainingView
from personlab.cli.main import main
from personlab.data.datamodule import CocoDataModule

ROOT = Path(__file__).resolve().parents[2]


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


def _browse(root: Path, target: Path, *words: str, code: int = 0) -> tuple[np.ndarray | None, list[dict[str, Any]]]:
    report = target.with_suffix(".json")
    command = ["--data.root", str(root), "-o", str(target), "--json", str(report)]
    assert main(["data", "browse", *words, *command]) == code
    if code:
        return None, []
    return cv2.imread(str(target)), json.loads(report.read_text())["samples"]


SMALL = ("--data.view.crop_size", "193")


def test_browse_shows_what_training_sees_first(synthetic: Path, tmp_path: Path) -> None:
    _, rows = _browse(synthetic, tmp_path / "a.png", "--count", "4", "--data.seed", "3", *SMALL)
    module = CocoDataModule(str(synthetic), batch_size=4, workers=0, seed=3, view=TrainingView(193))
    batch = next(iter(module.train_dataloader()))
    assert [row["image_id"] for row in rows] == batch.image_ids.tolist()
    np.testing.assert_array_equal([row["image_to_crop"] for row in rows], batch.image_to_crop.numpy())
    assert [row["keypoints_in_crop"] for row in rows] == (batch.keypoints[..., 2] > 0).sum((1, 2)).tolist()


def test_every_option_of_browse_shows(synthetic: Path, tmp_path: Path) -> None:
    base, rows = _browse(synthetic, tmp_path / "a.png", "--count", "4", *SMALL)
    again, _ = _browse(synthetic, tmp_path / "b.png", "--count", "4", *SMALL)
    assert base is not None
    np.testing.assert_array_equal(base, again)
    changes = [
        ("--columns", "2"), ("--tile_px", "100"), ("--epoch", "1"), ("--data.seed", "5"), ("--split", "val2017"),
        ("--data.view.rotation_degrees", "90"), ("--data.view.crop_size", "129"),
    ]  # fmt: skip
    for change in changes:
        other, _ = _browse(synthetic, tmp_path / "c.png", "--count", "4", *SMALL, *change)
        assert other is not None
        assert other.shape != base.shape or not np.array_equal(other, base), change
    ids = [rows[2]["image_id"], rows[0]["image_id"]]
    _, chosen = _browse(synthetic, tmp_path / "d.png", "--image_ids", ",".join(map(str, ids)), *SMALL)
    assert [row["image_id"] for row in chosen] == ids


def test_browse_takes_the_data_of_a_config(synthetic: Path, tmp_path: Path) -> None:
    demo = ("--config", str(ROOT / "configs/experiment/demo.yaml"))
    _, rows = _browse(synthetic, tmp_path / "a.png", *demo, "--count", "12")
    factors = [np.linalg.det(np.array(row["image_to_crop"])[:, :2]) for row in rows]
    assert min(factors) > 0, "the demo does not mirror"
    assert all(0.7 <= f**0.5 <= 1.3 for f in factors)
    _, rows = _browse(synthetic, tmp_path / "a.png", *demo, "--data.view.init_args.flip_probability", "1")
    assert max(np.linalg.det(np.array(row["image_to_crop"])[:, :2]) for row in rows) < 0


@pytest.mark.parametrize(
    "words", [("--count", "0"), ("--image_ids", "77"), ("--image_ids", "x"), ("--split", "none"), ("--colums", "3")]
)
def test_bad_usage_of_browse(synthetic: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    _browse(synthetic, tmp_path / "a.png", *SMALL, *words, code=2)
