"""`personlab bench train`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from personlab.cli import train_bench
from personlab.cli.main import main
from personlab.data.dataset import CocoDataset
from personlab.encoding import Encoder
from personlab.losses import Objective

CONFIG = str(Path(__file__).resolve().parents[2] / "configs" / "experiment" / "demo.yaml")
SMALL = [
    "--trainer.accelerator", "cpu", "--data.workers", "0", "--data.batch_size", "2", "--steps", "2", "--warm_up", "1",
    "--data.view.init_args.crop_size", "65",
]  # fmt: skip


def run(root: Path, folder: Path, *words: str) -> dict[str, Any]:
    result = folder / "train.json"
    words = ("--config", CONFIG, "--data.root", str(root), "--json", str(result), *SMALL, *words)
    assert main(["bench", "train", *words]) == 0
    return json.loads(result.read_text())


def slow(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, seconds: float) -> None:
    function = getattr(owner, name)

    def slowed(*words: Any, **options: Any) -> Any:
        time.sleep(seconds)
        return function(*words, **options)

    monkeypatch.setattr(owner, name, slowed)


def test_each_part_of_a_step_gets_its_own_time(
    synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    slow(monkeypatch, Encoder, "__call__", 0.2)
    slow(monkeypatch, Objective, "__call__", 0.1)
    slow(monkeypatch, CocoDataset, "__getitem__", 0.15)
    result = run(synthetic, tmp_path)
    parts = result["parts_ms"]
    assert set(parts) == {*train_bench.PARTS, "other"}
    assert all(value > 0 for value in parts.values())
    assert 200 <= parts["encode"] < 400
    assert 100 <= parts["losses"] < 250
    assert 300 <= parts["wait"] < 600  # two images in the main process
    assert sum(parts.values()) == pytest.approx(result["step_ms"], rel=0.5)
    assert result["encode_share"] == pytest.approx(parts["encode"] / (result["step_ms"] - parts["wait"]))
    assert 0.05 < result["wait_share"] < 0.9
    assert 0.4 < result["images_per_s"] * result["step_ms"] / 2000 < 2.5
    assert (result["batch"], result["workers"], result["device"], result["runs"]) == (2, 0, "cpu", 2)
    assert [path.name for path in tmp_path.iterdir()] == ["train.json"], "a benchmark leaves no run behind"


def test_a_step_is_the_whole_of_a_global_batch(
    synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(monkeypatch, Encoder, "__call__", 0.1)
    result = run(synthetic, tmp_path, "--data.global_batch_size", "4", "--data.batch_size", "1")
    assert (result["batch"], result["accumulated"]) == (4, 4)
    assert 400 <= result["parts_ms"]["encode"] < 800, "once for each part"
    assert result["images_per_s"] == pytest.approx(4000 / result["step_ms"], rel=0.5)
    assert result["parts_ms"]["losses"] < 200


@pytest.mark.parametrize(("words", "told"), [
    (["--steps", "0"], "--steps must be at least 1"), (["--warm_up", "-1"], "--warm_up 0 or more"),
    (["--trainer.precision", "64-true"], "--trainer.precision 64-true: "),
    (["--data.root", "nowhere"], "nowhere: no such folder"),
])  # fmt: skip
def test_bad_usage_is_told(words: list[str], told: str, synthetic: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "train", "--config", CONFIG, "--data.root", str(synthetic), *SMALL, *words]) == 2
    assert told in capsys.readouterr().err
