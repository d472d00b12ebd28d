"""What a trial is given: devices, variables, a place at W&B."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from personlab.cli.run_options import loggers_of
from personlab.errors import InputError
from personlab.experiments.runs import RunDirectory
from personlab.experiments.trials.process import (
    device_slices,
    terminated_as_interrupted,
    trial_environment,
    wandb_variables,
)


def test_devices_are_sliced() -> None:
    assert device_slices(2, 0) == [None, None]
    assert device_slices(2, 2, count=4, visible=None) == ["0,1", "2,3"] or os.environ.get("CUDA_VISIBLE_DEVICES")
    assert device_slices(2, 1, visible="7, 3,GPU-1") == ["7", "3"]
    with pytest.raises(InputError, match="3 workers of 2 devices need 6, and 4 are visible"):
        device_slices(3, 2, visible="0,1,2,3")


def test_a_trial_does_not_see_the_launch_of_its_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_JOB_ID", "RANK", "TORCHELASTIC_RUN_ID", "MASTER_PORT"):
        monkeypatch.setenv(name, "1")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    found = trial_environment("3", workers=1000)
    assert not {"WANDB_RUN_GROUP", "WANDB_PROJECT"} & found.keys()
    assert not {"SLURM_JOB_ID", "RANK", "TORCHELASTIC_RUN_ID"} & found.keys()
    assert found["MASTER_PORT"] != "1"
    assert found["OMP_NUM_THREADS"] == "1"
    assert found["CUDA_VISIBLE_DEVICES"] == "3"
    assert found["PATH"].startswith(str(Path(sys.executable).parent))


def test_trials_are_one_group_at_wandb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    found = wandb_variables("rates")
    assert (found["WANDB_RUN_GROUP"], found["WANDB_PROJECT"]) == ("rates", "rates")
    assert "WANDB_ENTITY" not in found
    found = wandb_variables("rates", "poses", "us")
    assert (found["WANDB_PROJECT"], found["WANDB_ENTITY"]) == ("poses", "us")
    odd = "lr:1/2 50% #" + "x" * 200
    assert wandb_variables(odd)["WANDB_PROJECT"] == ("lr-1-2 50- -" + "x" * 200)[:128]
    run = RunDirectory(tmp_path / "trial-0001" / "id")
    assert loggers_of(run, "offline")[1]["init_args"]["project"] == "trial-0001"
    monkeypatch.setenv("WANDB_PROJECT", "poses")
    assert loggers_of(run, "offline")[1]["init_args"]["project"] == "poses"


def test_sigterm_ends_as_ctrl_c_does_and_as_before_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt, match="the same command goes on"), terminated_as_interrupted():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize(("said", "mirrors"), [("disabled", []), ("offline", [True]), ("", [False])])
def test_the_mirror_is_as_wandb_mode_says_where_nothing_else_is_asked(
    said: str, mirrors: list[bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", said)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    loggers = loggers_of(RunDirectory(tmp_path / "poses" / "1"), "auto")[1:]
    assert [logger["init_args"]["offline"] for logger in loggers] == mirrors
