"""Run directories made by hand: well formed, with predictions as good as a test wants them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf
from pycocotools import mask as coco_mask

from personlab.evaluation import CocoAP, score_report

Config = dict[str, Any]


def predictions(data: Path, skill: float, seed: int = 0) -> list[dict[str, Any]]:
    """People of the validation split: each is found with chance `skill`, a few pixels off."""
    truth = _truth(data)
    images = {image["id"]: image for image in truth["images"]}
    generator = np.random.default_rng(seed)
    results = []
    for person in truth["annotations"]:
        keypoints = np.array(person["keypoints"], np.float64).reshape(-1, 3)
        error = generator.normal(0, 0.03 * np.sqrt(person["area"]), (len(keypoints), 2))
        found, score = generator.uniform() < skill, generator.uniform(0.3, 1.0)
        if person["iscrowd"] or not (keypoints[:, 2] > 0).any() or not found:
            continue
        keypoints[:, :2] += error
        size = (images[person["image_id"]]["height"], images[person["image_id"]]["width"])
        mask = person["segmentation"]
        if isinstance(mask, list):
            mask = coco_mask.merge(coco_mask.frPyObjects(mask, *size))
        elif isinstance(mask["counts"], list):
            mask = coco_mask.frPyObjects(mask, *size)
        counts = mask["counts"].decode() if isinstance(mask["counts"], bytes) else mask["counts"]
        results.append(
            {
                "image_id": person["image_id"], "category_id": person["category_id"], "score": float(score),
                "keypoints": [float(v) for x, y, _ in keypoints for v in (x, y, score)],
                "segmentation": {"size": list(mask["size"]), "counts": counts},
            }
        )  # fmt: skip
    return results


def make_run(
    root: Path,
    data: Path,
    name: str = "run",
    run_id: str = "1",
    skill: float = 0.7,
    seed: int = 0,
    status: str = "finished",
    points: int = 6,
    settings: Config | None = None,
    card: Config | None = None,
    found: list[dict[str, Any]] | None = None,
    scored: bool = True,
    evaluated: tuple[float, ...] = (0.5, 1.0),
) -> Path:
    """A run directory of `points` training steps, with an evaluation after the last.

    Args:
        root: Where runs lie.
        data: Data set that it says to be evaluated on.
        name: Of the run.
        run_id: Of the run.
        skill: Chance of a person to be found.
        seed: Of the run, and of the chance.
        status: On its card.
        points: Lines of its ledger.
        settings: Changes to its config, by dotted names.
        card: Changes to its card.
        found: Predictions; None makes some of `skill`.
        scored: Whether it got as far as an evaluation.
        evaluated: After which shares of the steps.
    """
    folder = root / name / run_id
    (folder / "predictions").mkdir(parents=True)
    config = OmegaConf.create(_config(data, seed))
    for key, value in (settings or {}).items():
        OmegaConf.update(config, key, value)
    OmegaConf.save(config, folder / "config.yaml")
    told = {
        "name": name, "run_id": run_id, "status": status, "argv": ["personlab", "fit"],
        "git": {"commit": "0" * 40, "dirty": False}, "config_hash": "c", "data_hash": {"train": "t", "val": "v"},
        "batch": {"global": 8, "processes": 1, "accumulated": 1, "at_once": 8}, "seed": seed,
        "versions": {"python": "3.11.7"}, "devices": "cpu", "start": "2026-01-01T00:00:00+0000",
        "end": "2026-01-01T01:00:00+0000",
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(told | (card or {})))
    generator = np.random.default_rng(seed)
    lines: list[Config] = [
        {"step": n, "epoch": 0, "samples_seen": 8 * (n + 1), "wall_s": 0.5 * n,
         "train/loss/total": float(1 / (1 + n) + 0.01 * generator.normal())}
        for n in range(points)
    ]  # fmt: skip
    if scored:
        found = predictions(data, skill, seed) if found is None else found
        report = evaluation(data, found) | {"step": points}
        (folder / "evaluation.json").write_text(json.dumps(report))
        (folder / "predictions" / f"val-step{points}.json").write_text(json.dumps(found))
        for share in evaluated:
            told = {f"val/{k}/AP": share * (report[k]["AP"] or 0) for k in ("keypoints", "segmentation")}
            at = int(share * points) - 1
            lines.insert(at + 1, {"step": at, "samples_seen": 8 * (at + 1), "wall_s": 0.5 * at, **told})
        lines.sort(key=lambda line: line["step"])
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def evaluation(data: Path, found: list[dict[str, Any]]) -> dict[str, Any]:
    truth = _truth(data)
    ids = [image["id"] for image in truth["images"]]
    metric = CocoAP(truth)
    metric.update_results(found, ids)
    seconds = {"read": 0.1, "network": 0.01 * len(ids), "decode": 0.002 * len(ids)}
    return score_report(metric.compute(), len(ids), len(found), seconds) | {"weights": "raw"}


def _truth(data: Path) -> dict[str, Any]:
    return json.loads((data / "annotations" / "person_keypoints_val2017.json").read_text())


def _config(data: Path, seed: int) -> Config:
    backbone = {
        "class_path": "personlab.network.MobileNetV1",
        "init_args": {"depth_multiplier": 0.5, "output_stride": 16, "norm": "none", "wide_tail": False},
    }
    return {
        "seed_everything": seed,
        "trainer": {"max_steps": 6},
        "model": {
            "network": {"class_path": "personlab.network.PersonLab", "init_args": {"backbone": backbone}},
            "optimizer": {"init_args": {"lr": 1e-3}},
            "eval_stride": None,
        },
        "data": {
            "root": str(data), "train_split": "train2017", "val_split": "val2017", "test_split": None,
            "annotations": "annotations/person_keypoints_{split}.json", "eval_size": 801, "eval_scale": None,
            "val_images": None,
        },
        "run": {"name": "run"},
    }  # fmt: skip
