"""Run directories become rows: what differs, how it is told, and what a difference is worth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from pycocotools.coco import COCO

from benchmarks import finetune, quality_tables, trainings
from benchmarks.runs import Run
from personlab.evaluation import CocoAP
from personlab.evaluation.bootstrap import Difference

CONFIG: dict[str, Any] = {
    "trainer": {"max_steps": 16, "val_check_interval": 8},
    "model": {
        "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1e-4, "betas": [0.9, 0.999]}},
        "encoder": {"unlabelled": "negative"}, "objective": {"mid": 0.25}, "initial_weights": "/a/w.safetensors",
    },
    "data": {
        "root": "/disk/people", "val_split": "val2017", "annotations": "annotations/person_keypoints_{split}.json",
        "val_images": None, "workers": 0, "view": {"class_path": "V", "init_args": {"crop_size": 97}},
    },
    "run": {"name": "base", "root": "runs"}, "evaluation": {"only_with_keypoints": False},
}  # fmt: skip


def results(root: Path, shift_px: float) -> list[dict[str, Any]]:
    """What finds everybody, so many pixels beside the truth."""
    coco = COCO(root / "annotations" / "person_keypoints_val2017.json")
    found = []
    for row in coco.dataset["annotations"]:
        keypoints = [value + shift_px * (i % 3 == 0) for i, value in enumerate(row["keypoints"])]
        mask = coco.annToRLE(row)
        mask = {"size": mask["size"], "counts": mask["counts"].decode()}
        about = {"image_id": row["image_id"], "category_id": row["category_id"], "score": 0.9}
        found.append({**about, "keypoints": keypoints, "segmentation": mask})
    return found


class Runs:
    """Makes run directories under one root."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder, self.root = folder / "runs", root

    def make(self, name: str, step: int, shift_px: float, *changes: str) -> Path:
        path = self.folder / name / f"id-{name}"
        (path / "predictions").mkdir(parents=True)
        config = OmegaConf.merge(CONFIG, OmegaConf.from_dotlist([*changes, f"run.name={name}"]))
        OmegaConf.save(config, path / "config.yaml")
        card = {
            "name": name, "run_id": f"id-{name}", "status": "finished", "seed": 0, "config_hash": name,
            "devices": "cpu", "start": "a", "end": "b", "data_hash": {"val": "v"},
            "git": {"commit": "c" * 40, "dirty": False},
            "argv": ["/env/bin/personlab", "fit", "--config", "/co/configs/base.yaml", "--data.root", "/disk/people"],
        }  # fmt: skip
        (path / "run.json").write_text(json.dumps(card))
        found = results(self.root, shift_px)
        (path / "predictions" / f"val-step{step}.json").write_text(json.dumps(found))
        metric = CocoAP(self.root / "annotations" / "person_keypoints_val2017.json")
        metric.update_results(found, [image["id"] for image in COCO(metric.source).dataset["images"]])
        scores = {f"val/{key}": value for key, value in metric.compute().items()}
        losses = {"step": max(step - 1, 0), "wall_s": 90.0, "train/loss/total": 1.0}
        lines = [losses, {"step": max(step - 1, 0), "wall_s": 90.0, **scores}]
        (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        report = {kind: {"AP": scores[f"val/{kind}/AP"]} for kind in finetune.KINDS}
        (path / "evaluation.json").write_text(json.dumps({**report, "images": 5}))
        return path


@pytest.fixture
def runs(tmp_path: Path, synthetic: Path) -> Runs:
    made = Runs(tmp_path, synthetic)
    made.make("base", 0, 9.0, "data.workers=2")
    made.make("better", 8, 1.0)
    changes = ("model.optimizer.init_args.lr=2e-5", "model.encoder.unlabelled=ignore", "model.objective.mid=1.0")
    made.make("other", 16, 9.0, *changes, "trainer.val_check_interval=16", "model.initial_weights=/b/v.safetensors")
    return made


def run(runs: Runs, *words: str) -> dict[str, Any]:
    file = runs.folder / "finetune.json"
    finetune.main([*words, "--before", str(runs.folder / "base"), "--data-root", str(runs.root), "--json", str(file)])
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_rows_hold_all_that_a_run_changed(runs: Runs) -> None:
    found = run(runs, f"{runs.folder}/better:8", f"{runs.folder}/other")
    better, other = found["rows"]
    assert better["overrides"] == {}
    assert other["overrides"] == {
        "model.encoder.unlabelled": "ignore", "model.initial_weights": "v.safetensors", "model.objective.mid": 1.0,
        "model.optimizer.init_args.lr": 2e-5, "trainer.val_check_interval": 16,
    }  # fmt: skip
    assert (other["steps"], other["planned_steps"], other["learning_rate"], other["crop_size"]) == (16, 16, 2e-5, 97)
    assert other["run"] == "runs/other/id-other"
    assert other["command"] == "personlab fit --config configs/base.yaml --data.root coco"
    assert (other["commit"], found["images"], found["split"]) == ("c" * 40, 5, "val2017")
    text = json.dumps(found)
    assert str(runs.folder) not in text
    assert "/disk" not in text


def test_differences_are_paired_and_told_in_their_own_words(runs: Runs) -> None:
    found = run(runs, f"{runs.folder}/better", f"{runs.folder}/other")
    better, other = (row["against"]["keypoints"] for row in found["rows"])
    assert better["delta"] == pytest.approx(1 - found["before"]["keypoints"]["AP"])
    assert better["low"] > 0
    assert other["delta"] == other["low"] == other["high"] == 0
    before, first, second = quality_tables.finetune_table(found).splitlines()[2:]
    assert before.startswith("| before | – | – | – | – | ")
    names = ("first", "second", "delta", "low", "high", "level", "resamples")
    told = Difference(**{name: better[name] for name in names})
    assert first.startswith(f"| better | 0.0001 | 97 | 8 of 16 | nothing | 1.000 | {told} | ")
    changed = "`encoder.unlabelled` ignore, `initial_weights` v.safetensors, `objective.mid` 1"
    assert f"| other | 2e-05 | 97 | 16 of 16 | {changed} | " in second
    assert "+0.000 [+0.000, +0.000], inconclusive" in second
    assert quality_tables.finetune_summary(found) == (
        "1 of the 2 runs improved the keypoint AP beyond doubt, on 5 images of val2017; differences have 95% intervals "
        "by a bootstrap over the images."
    )
    found["rows"] = [found["rows"][1]]
    assert quality_tables.finetune_summary(found).startswith("None of the 1 runs improved")
    assert quality_tables.finetune_commands(found).count("personlab fit --config configs/base.yaml") == 2


def test_predictions_that_the_run_scored_otherwise_are_refused(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    path = runs.folder / "better" / "id-better" / "metrics.jsonl"
    *others, line = map(json.loads, path.read_text().splitlines())
    line["val/keypoints/AP"] -= 0.1
    path.write_text("".join(json.dumps(one) + "\n" for one in (*others, line)))
    with pytest.raises(SystemExit):
        run(runs, f"{runs.folder}/better")
    assert "give its data as --data-root" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "told"), [
    ("nowhere", "has 0 runs; give the directory of one"), ("other:8", "was not validated after step 8"),
])  # fmt: skip
def test_what_is_no_run_or_step_is_told(name: str, told: str, runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    (runs.folder / "other" / "id-other" / "predictions" / "val-step8.json").write_text("[]")
    with pytest.raises(SystemExit):
        run(runs, f"{runs.folder}/{name}")
    assert told in capsys.readouterr().err


def test_trainings_are_told_by_their_directories(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    file = runs.folder / "trainings.json"
    trainings.main([str(runs.folder / "better"), "--json", str(file)])
    found = json.loads(file.read_text())
    assert quality_tables.trainings_table(found).splitlines()[2] == (
        "| better | 8 | 1.5 | 5 | 1.000 | 1.000 | `ccccccc` | "
        "`personlab fit --config configs/base.yaml --data.root coco` |"
    )
    ledger = runs.folder / "base" / "id-base" / "metrics.jsonl"
    ledger.write_text(ledger.read_text().splitlines()[1] + "\n")  # a validation alone
    row = trainings.row_of(Run.read(runs.folder / "base"))
    assert (row["steps"], row["seconds"]) == (None, None)
    (runs.folder / "other" / "id-other" / "evaluation.json").unlink()
    with pytest.raises(SystemExit):
        trainings.main([str(runs.folder / "other")])
    assert "has no evaluation.json" in capsys.readouterr().err


def test_names_that_would_be_mistaken_are_told_whole() -> None:
    changed = {"model.a.init_args.x.lr": 1, "model.b.lr": 2, "averaging.decay": 0.9}
    assert quality_tables.overrides(changed) == ("`model.a.init_args.x.lr` 1, `model.b.lr` 2, `averaging.decay` 0.9")


def test_a_damaged_run_is_told_and_folders_beside_runs_are_none(runs: Runs) -> None:
    (runs.folder / "better" / "notes").mkdir()
    assert Run.read(runs.folder / "better").path.name == "id-better"
    (runs.folder / "other" / "id-other" / "config.yaml").write_text("a: [")
    with pytest.raises(ValueError, match=r"id-other: config\.yaml: .*leave this run out"):
        Run.read(runs.folder / "other")
