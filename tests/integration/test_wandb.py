"""Trainings mirrored offline, and what W&B would be sent, read back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import wandb
import yaml

from personlab.cli.main import main
from personlab.experiments import RunDirectory
from personlab.training import PersonLabTask
from tests.integration import offline_runs
from tests.integration.cut_runs import WORDS, run_of
from tests.integration.faults import fault
from tests.integration.test_resume import IN_A_STEP, killed
from tests.integration.test_training import ROOT, SMALL, TRAINED


def words_for(synthetic: Path, runs: Path, *words: str) -> list[str]:
    return [*WORDS, f"--data.root={synthetic}", f"--run.root={runs}", "--run.wandb=offline", *words]


def trained(words: list[str]) -> None:
    """Train, and wait until W&B's service has written all: the end of a run only tells it to."""
    assert main(words) == 0
    wandb.teardown()


def parts_of(run: RunDirectory) -> list[Path]:
    return sorted(run.path.glob("wandb/offline-run-*"))


def rows(folder: Path) -> list[dict[str, Any]]:
    """The metrics of an offline run as lines of a ledger, without what only W&B has."""
    found = []
    for row in offline_runs.history(folder):
        line = {name: value for name, value in row.items() if not name.startswith("_") and "/" in name}
        line = {name: value for name, value in line.items() if not name.startswith(("val/by_", "val/contact_sheet"))}
        line |= {axis: row[axis] for axis in ("samples_seen", "epoch", "wall_s")}
        line["step"] = line.pop("trainer/global_step")
        found.append({name: None if value != value else value for name, value in line.items()})  # NaN is null there
    return found


def ledger(run: RunDirectory) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.ledger.read_text().splitlines()]


@pytest.fixture(scope="module")
def mirrored(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    runs = tmp_path_factory.mktemp("mirrored")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_RUN_ID", "of-another-program")  # by itself, no agent's
        patch.delenv("WANDB_SWEEP_ID", raising=False)
        words = ["--trainer.max_steps=4", "--trainer.val_check_interval=2", "--run.wandb_checkpoints=best"]
        trained(words_for(synthetic, runs, *words))
    return run_of(runs)


def test_every_metric_of_the_ledger_is_there_at_its_step(mirrored: RunDirectory) -> None:
    (part,) = parts_of(mirrored)
    assert rows(part) == ledger(mirrored)
    assert [row["trainer/global_step"] for row in offline_runs.history(part)] == [0, 1, 1, 2, 3, 3]
    assert offline_runs.run_id(part) == mirrored.run_id
    axes = {m.name or m.glob_name: m.step_metric for m in offline_runs.of_kind(part, "metric")}
    assert axes["*"] == "trainer/global_step"
    assert {"samples_seen", "epoch", "wall_hours"} <= axes.keys()
    assert all({"samples_seen", "epoch", "wall_hours"} <= row.keys() for row in offline_runs.history(part))
    assert offline_runs.of_kind(part, "stats"), "no system metrics"


def test_the_config_is_the_resolved_one_with_the_card(mirrored: RunDirectory) -> None:
    (part,) = parts_of(mirrored)
    told, card = offline_runs.config(part), json.loads(mirrored.card.read_text())
    saved = yaml.safe_load(mirrored.config.read_text())
    assert {name: told[name] for name in saved} == json.loads(json.dumps(saved))
    for name in ("git", "data_hash", "seed", "config_hash", "devices"):
        assert told["card"][name] == card[name]


def test_each_evaluation_has_a_sheet_and_tables(mirrored: RunDirectory) -> None:
    (part,) = parts_of(mirrored)
    evaluated = [row for row in offline_runs.history(part) if "val/keypoints/AP" in row]
    assert len(evaluated) == 2
    for row, sheet in zip(evaluated, ("val-step2.png", "val-step4.png"), strict=True):
        picture = part / "files" / row["val/contact_sheet.path"]
        assert picture.read_bytes() == (mirrored.figures / sheet).read_bytes()
        by_size, by_keypoint = (
            json.loads((part / "files" / row[f"val/{name}.path"]).read_text()) for name in ("by_size", "by_keypoint")
        )
        assert by_size["data"][0] == ["keypoints", "all", row["val/keypoints/AP"], row["val/keypoints/AR"]]
        assert len(by_keypoint["data"]) == 17
        assert any(recall for _, recall, _ in by_keypoint["data"])


def test_the_summary_and_the_checkpoints(mirrored: RunDirectory) -> None:
    (part,) = parts_of(mirrored)
    told, scores = offline_runs.summary(part), json.loads((mirrored.path / "evaluation.json").read_text())
    assert (told["status"], told["steps"], told["images_seen"]) == ("finished", 4, 8)
    assert told["keypoints_AP"] == scores["keypoints"]["AP"]
    best = max(line.get("val/keypoints/AP", 0) for line in ledger(mirrored))
    assert told["best/keypoints/AP"] == best
    assert min(told["images_per_second"], told["device_hours"]) > 0
    models = [a for a in offline_runs.of_kind(part, "artifact") if a.type == "model"]
    assert {a.name for a in models} == {f"checkpoint-{mirrored.run_id}"}
    files = {alias: a.manifest.contents[0].local_path for a in models for alias in a.aliases if alias != "latest"}
    assert files["last"] == str(mirrored.checkpoints / "last.ckpt")
    assert {Path(path).parent for path in files.values()} == {mirrored.checkpoints}
    assert set(files) == {"best", "last"}


@fault(
    "SIGKILL, mirrored by W&B",
    "the part that goes on has all of the ledger, under the same id; the older part is put aside",
    "nothing; its system metrics stay in the older part",
)
def test_a_killed_run_goes_on_as_the_same_run(synthetic: Path, tmp_path: Path) -> None:
    words = words_for(synthetic, tmp_path, "--recovery.every_steps=3")
    assert killed(words, IN_A_STEP, 9) == -signal.SIGKILL
    run = run_of(tmp_path)
    (first,) = parts_of(run)
    before = ledger(run)
    assert len(before) > 6
    trained(words)
    (second,) = parts_of(run)
    assert second != first
    assert rows(second) == ledger(run)
    assert [line["step"] for line in rows(second)] == [0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9, 9]
    assert offline_runs.run_id(second) == run.run_id
    assert sum("val/contact_sheet.path" in row for row in offline_runs.history(second)) == 2
    aside = first.parent / "superseded" / first.name
    assert not first.exists()
    timeless = [{k: v for k, v in line.items() if k != "wall_s"} for line in rows(second)]
    kept = [{k: v for k, v in line.items() if k != "wall_s"} for line in rows(aside)]
    assert kept == timeless[: len(kept)], "steps done again are the same"
    assert json.loads(run.card.read_text())["status"] == "finished"


@fault("W&B's process dies", "one line; the run trains on without a mirror", "the mirror's rest, until the run goes on")
def test_a_dead_service_is_told_once(
    synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    train, left = PersonLabTask.training_step, [1]

    def deadly(self: PersonLabTask, *arguments: Any) -> Any:
        if left and self.trainer.global_step == 3:
            left.pop()
            service = subprocess.run(["pgrep", "-P", str(os.getpid()), "wandb-core"], capture_output=True, text=True)
            for process in service.stdout.split():  # a child of this very process
                os.kill(int(process), signal.SIGKILL)
            assert service.stdout.split()
        return train(self, *arguments)

    monkeypatch.setattr(PersonLabTask, "training_step", deadly)
    assert main(words_for(synthetic, tmp_path)) == 0
    assert capsys.readouterr().err.count("W&B has failed (") == 1
    run = run_of(tmp_path)
    assert [line["step"] for line in ledger(run) if "train/loss/total" in line] == list(range(10))
    assert json.loads(run.card.read_text())["status"] == "finished"


def test_two_trials_never_share_a_run(synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WANDB_RUN_ID": "parents", "WANDB_SWEEP_ID": "parents", "WANDB_RESUME": "allow"}.items():
        monkeypatch.setenv(name, value)
    only = [word for word in SMALL if not word.startswith("--run.wandb")]
    words = ["fit", "--config", str(ROOT / "configs/experiment/demo.yaml"), *only, *TRAINED, f"--data.root={synthetic}"]
    words += ["--run.wandb=offline", "--trainer.max_steps=1", "--trainer.val_check_interval=1", "--data.train_images=2"]
    words += ["--data.view.init_args.crop_size=65", "--trainer.log_every_n_steps=1", "--contact_sheet.images=0"]
    file = {
        "name": "rates", "program": str(ROOT / "sweeps" / "quickstart.py"), "method": "grid",
        "metric": {"name": "val/keypoints/AP", "goal": "maximize"},
        "parameters": {"model.optimizer.init_args.lr": {"values": [1e-4, 1e-3]}},
        "command": ["${env}", "${interpreter}", "-m", "personlab.cli.main", *words, "${args}"],
    }  # fmt: skip
    (tmp_path / "rates.yaml").write_text(yaml.safe_dump(file))
    assert main(["sweep", str(tmp_path / "rates.yaml"), "--runs_root", str(tmp_path / "runs")]) == 0
    found = [RunDirectory(p.parent) for p in (tmp_path / "runs").glob("**/run.json")]
    assert len(found) == 2
    parts = [part for run in found for part in parts_of(run)]
    assert {offline_runs.run_id(part) for part in parts} == {run.run_id for run in found}
    assert len({run.run_id for run in found}) == len(parts) == 2
    assert {r.run.run_group for part in parts for r in offline_runs.records(part) if r.HasField("run")} == {"rates"}
