"""Run directories made by hand, as trainings leave them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

COMMITS = ("a" * 40, "b" * 40)


def config(**options: Any) -> dict[str, Any]:
    """A small config; options by dotted name, with `__` for the dots, win."""
    content: dict[str, Any] = {
        "seed_everything": 0,
        "trainer": {"accelerator": "cpu", "devices": 1, "num_nodes": 1, "max_steps": 4, "precision": "32-true"},
        "model": {
            "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.001, "eps": 1e-08}},
            "initial_weights": None,
        },
        "data": {"root": "data", "batch_size": 8, "global_batch_size": None, "workers": 2, "train_images": None},
        "run": {"name": "test", "root": "runs"},
    }
    for name, value in options.items():
        *sections, last = name.split("__")
        part = content
        for section in sections:
            part = part.setdefault(section, {})
        part[last] = value
    return content


def card(**fields: Any) -> dict[str, Any]:
    content: dict[str, Any] = {
        "status": "finished", "argv": ["personlab", "fit"], "git": {"commit": COMMITS[0], "dirty": False},
        "data_hash": {"train": "t", "val": "v"}, "weights_hash": {}, "seed": 0,
        "batch": {"global": 8, "processes": 1, "accumulated": 1, "at_once": 8},
        "versions": {"python": "3.11.7", "torch": "2.13.0"}, "devices": "cpu, 2 cores",
        "start": "2026-01-01T10:00:00+0000", "end": "2026-01-01T11:00:00+0000",
    }  # fmt: skip
    return content | fields


def ledger(steps: int, seconds: float = 10.0, images: int = 8) -> list[dict[str, Any]]:
    return [
        {"step": n - 1, "wall_s": seconds * n, "epoch": 0, "samples_seen": images * n, "train/loss": 1 / n}
        for n in range(1, steps + 1)
    ]


def scores(keypoints: float, segmentation: float = 0.2) -> dict[str, Any]:
    return {
        "keypoints": {"AP": keypoints, "AP50": 0.9}, "segmentation": {"AP": segmentation},
        "images": 150, "people": 300, "only_with_keypoints": False, "weights": "ema", "seconds": {}, "step": 4,
    }  # fmt: skip


def write_run(
    root: Path,
    run_id: str,
    name: str = "test",
    options: dict[str, Any] | None = None,
    lines: list[dict[str, Any]] | None = None,
    ap: float | None = 0.4,
    **fields: Any,
) -> Path:
    """A run below a root; `options` as `config` takes them, `fields` as `card` does."""
    folder = root / name / run_id
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "predictions").mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(config(**(options or {})), allow_unicode=True))
    (folder / "run.json").write_text(json.dumps({"name": name, "run_id": run_id} | card(**fields)))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines or ledger(4)))
    if ap is not None:
        (folder / "evaluation.json").write_text(json.dumps(scores(ap)))
    return folder
