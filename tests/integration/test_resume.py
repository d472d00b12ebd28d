"""A run that is cut off and goes on equals one that was not, to the bit: weights, averages, optimiser, ledger."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from personlab.cli.main import main
from personlab.experiments import RunDirectory
from personlab.training import PersonLabTask
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


def assert_same(run: RunDirectory, whole: RunDirectory) -> None:
    a, b = last(run), last(whole)
    assert a["global_step"] == b["global_step"] == STEPS
    for part in ("state_dict", "current_model_state", "averaging_state", "optimizer_states", "lr_schedulers"):
        assert b[part]
        assert equal(a[part], b[part]), part
    assert logged(run) == logged(whole), "no step twice, none missing, and the same figures"
    card = json.loads(run.card.read_text())
    assert card["status"] == "finished"


@pytest.fixture(scope="module")
def whole(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    runs = tmp_path_factory.mktemp("whole")
    assert main([*WORDS, f"--data.root={synthetic}", f"--run.root={runs}"]) == 0
    return run_of(runs)


@pytest.mark.parametrize("stops", [[1], [3], [5], [6, 7], [2, 4, 9]])
def test_signals_at_any_step_change_nothing(
    stops: list[int], whole: RunDirectory, synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = PersonLabTask.training_step
    left = list(stops)

    def signalled(self: PersonLabTask, *arguments: Any) -> Any:
        if left and self.trainer.global_step == left[0] - 1:  # in the middle of the step that ends with `stop` steps
            left.pop(0)
            os.kill(os.getpid(), signal.SIGTERM if len(left) % 2 else signal.SIGUSR1)
        return train(self, *arguments)

    monkeypatch.setattr(PersonLabTask, "training_step", signalled)
    words = [*WORDS, f"--data.root={synthetic}", f"--run.root={tmp_path}"]
    before = signal.getsignal(signal.SIGTERM)
    for number in range(len(stops)):
        assert main([*words, f"--data.workers={number % 2}"]) == 75
        assert signal.getsignal(signal.SIGTERM) == before
        card = json.loads(run_of(tmp_path).card.read_text())
        assert card["status"] == "preempted"
        assert (run_of(tmp_path).checkpoints / f"recovery-step={stops[number]}.ckpt").is_file()
    assert main(words) == 0
    assert_same(run_of(tmp_path), whole)


def killed(words: list[str], after: str, delay: int) -> int:
    """Start a run in a process of its own, and kill it hard at a place that `personlab` passes."""
    code = f"""
import os, signal, sys
from personlab.cli.main import main
from personlab.training import PersonLabTask, checkpoint_files
seen = 0
def passed(function):
    def wrapped(*arguments, **named):
        global seen
        seen += 1
        if seen == {delay}:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **named)
    return wrapped
{after}
sys.exit(main(sys.argv[1:]))
"""
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    done = subprocess.run([sys.executable, "-c", code, *words], env=environment, capture_output=True, timeout=300)
    return done.returncode


IN_A_STEP = "PersonLabTask.training_step = passed(PersonLabTask.training_step)"
WHILE_SAVING = "checkpoint_files.os.fsync = passed(os.fsync)"


def test_kills_lose_only_what_is_done_again(whole: RunDirectory, synthetic: Path, tmp_path: Path) -> None:
    words = [*WORDS, f"--data.root={synthetic}", f"--run.root={tmp_path}", "--recovery.every_steps=2"]
    assert killed([*words, "--data.workers=2"], IN_A_STEP, 4) == -signal.SIGKILL
    assert killed(words, WHILE_SAVING, 3) == -signal.SIGKILL
    assert list(run_of(tmp_path).checkpoints.glob(".*.part")), "the kill came while a file was being written"
    assert main([*words, "--data.workers=1"]) == 0
    assert_same(run_of(tmp_path), whole)
    assert not list(run_of(tmp_path).checkpoints.glob(".*.part"))
