"""`personlab reproduce` on a real run: the command that it prints makes the same run, to the bit."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from typing import NoReturn

import pytest
import torch

from personlab.cli.main import main
from personlab.experiments import RunDirectory
from personlab.experiments.catalogue import Run, find_runs, read_run
from personlab.experiments.run_diff import diff_runs
from personlab.files import sha256
from personlab.weights.network_file import embedded_path
from tests.integration.test_training import TRAINED, equal, fit, logged, steps

SHORT = [*TRAINED, *steps(2), "--data.view.init_args.crop_size=65", "--data.val_images=2", "--contact_sheet.images=0"]


@pytest.fixture(scope="module")
def run(synthetic, tmp_path_factory) -> Run:
    directory = fit(synthetic, tmp_path_factory.mktemp("runs"), *SHORT)
    return read_run(directory.path)


def reproduced(capsys, run: Run, *words: str) -> dict[str, object]:
    capsys.readouterr()
    assert main(["reproduce", str(run.path), "--json", "-", *words]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_card_and_the_ledger_of_a_real_run_are_read(run):
    assert (run.name, run.status, run.command, run.faults) == ("test", "finished", "fit", ())
    assert (run.steps, run.images_seen, run.processes) == (2, 4, 1)
    assert run.seconds is not None
    assert run.seconds > 0
    assert run.ap("keypoints") == json.loads((run.path / "evaluation.json").read_text())["keypoints"]["AP"]
    assert [step for step, _ in run.curve("train/loss/total")] == [0, 1]
    assert run.settings["model.optimizer.class_path"] == "torch.optim.AdamW"
    assert run.card["cwd"] == os.getcwd()
    assert run.card["weights_hash"] == {"model.initial_weights": sha256(embedded_path())}


def test_the_command_makes_the_same_run_again(run, tmp_path, capsys):
    found = reproduced(capsys, run)
    assert not [line for line in found["warnings"] if "changes" not in line], "all but the code of a developer matches"
    command = shlex.split(found["command"])
    assert main([*command[1:], f"--run.root={tmp_path}"]) == 0
    (again,) = find_runs(tmp_path)
    assert again.settings == run.settings
    groups = diff_runs(run, again)
    assert not any(group.differs for name, group in groups.items() if name != "scores")
    assert all(a == b for a, b in groups["scores"].differs.values())
    assert logged(RunDirectory(again.path)) == logged(RunDirectory(run.path))
    states = [torch.load(r.path / "checkpoints" / "last.ckpt", weights_only=True) for r in (run, again)]
    for part in ("state_dict", "current_model_state", "averaging_state", "optimizer_states", "lr_schedulers"):
        assert states[0][part]
        assert equal(states[0][part], states[1][part]), part


def hash_and_ledger(run: Run) -> tuple[str, list[dict[str, object]]]:
    return run.card["config_hash"], logged(RunDirectory(run.path))


def test_run_starts_the_command(run, monkeypatch):
    """In the same place and without other options, even the config file is the same."""

    def become(program: str, words: list[str]) -> NoReturn:
        assert program == sys.executable
        assert words[:3] == [sys.executable, "-m", "personlab.cli.main"]
        raise SystemExit(main(words[3:]))

    monkeypatch.setattr(os, "execv", become)
    before = {found.path for found in find_runs(run.path.parent)}
    assert main(["reproduce", str(run.path), "--run"]) == 0
    (again,) = (found for found in find_runs(run.path.parent) if found.path not in before)
    assert hash_and_ledger(again) == hash_and_ledger(run)
    assert main(["reproduce", str(run.path), "--run", "--data.batch_size=1000"]) == 2, "the run's own exit code"


@pytest.mark.slow
def test_run_becomes_the_process_of_the_run(run):
    words = [sys.executable, "-m", "personlab.cli.main", "reproduce", str(run.path), "--run"]
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    before = {found.path for found in find_runs(run.path.parent)}
    subprocess.run(words, env=environment, check=True, timeout=300)
    (again,) = (found for found in find_runs(run.path.parent) if found.path not in before)
    assert hash_and_ledger(again) == hash_and_ledger(run)
    assert again.argv[1] == "fit"


def test_changed_data_is_told(run, synthetic, tmp_path, capsys):
    root = tmp_path / "data"
    shutil.copytree(synthetic, root)
    assert not [line for line in reproduced(capsys, run, "--data.root", str(root))["warnings"] if "data" in line]
    annotations = root / "annotations" / "person_keypoints_train2017.json"
    annotations.write_text(annotations.read_text() + " ")
    warnings = reproduced(capsys, run, f"--data.root={root}")["warnings"]
    assert any(line.startswith("the train data is not what it was") for line in warnings)
    assert not any("val data" in line for line in warnings)
    shutil.rmtree(root / "val2017")
    assert any("the data cannot be read" in line for line in reproduced(capsys, run, f"--data.root={root}")["warnings"])
