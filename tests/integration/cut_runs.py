"""Runs that are cut off: the short training they all share, and what makes two runs equal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from personlab.experiments import RunDirectory
from tests.integration.test_training import ROOT, SMALL, TRAINED, equal, logged

STEPS = 10
WORDS = [
    "fit", "--config", str(ROOT / "configs/experiment/demo.yaml"), *SMALL, *TRAINED, "--run.name=test", "--resume=auto",
    f"--trainer.max_steps={STEPS}", "--trainer.val_check_interval=5", "--trainer.log_every_n_steps=1",
    "--data.view.init_args.crop_size=65", "--data.train_images=6",  # three steps an epoch
]  # fmt: skip


def run_of(runs: Path) -> RunDirectory:
    (only,) = (runs / "test").iterdir()
    return RunDirectory(only)


def last(run: RunDirectory) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(run.checkpoints / "last.ckpt", weights_only=True)
    return content


def assert_same(run: RunDirectory, whole: RunDirectory, steps: int = STEPS) -> None:
    a, b = last(run), last(whole)
    assert a["global_step"] == b["global_step"] == steps
    for part in ("state_dict", "current_model_state", "averaging_state", "optimizer_states", "lr_schedulers"):
        assert b[part]
        assert equal(a[part], b[part]), part
    assert logged(run) == logged(whole), "no step twice, none missing, and the same figures"
    card = json.loads(run.card.read_text())
    assert card["status"] == "finished"
