"""A preempted job goes back into SLURM's queue, or says by its exit code that it wants to."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from personlab.experiments.requeue import TRY_AGAIN, requeue


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for scontrol that writes down what it is asked; it fails where a file `broken` lies beside it."""
    script = tmp_path / "scontrol"
    script.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n[ ! -e {tmp_path}/broken ] || {{ echo no such job >&2; exit 1; }}\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "calls"


def test_a_job_is_queued_again_once(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    reason = RuntimeError("SIGUSR1: saved x.ckpt")
    assert requeue(True, reason, first_process=False) == TRY_AGAIN
    assert not calls.exists()
    assert requeue(True, reason) == TRY_AGAIN == 75
    assert calls.read_text() == "requeue 42\n"
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "40")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    requeue(True, reason)
    assert calls.read_text().splitlines()[-1] == "requeue 40_3"


def test_no_cluster_or_no_wish_leaves_it_to_the_exit_code(
    calls: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="personlab"):
        assert requeue(True, RuntimeError("SIGTERM: saved x.ckpt")) == TRY_AGAIN
    assert "SIGTERM: saved x.ckpt; the same command with --resume auto goes on (exit code 75)" in caplog.text
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    assert requeue(False, RuntimeError("SIGTERM")) == TRY_AGAIN
    assert not calls.exists()


def test_a_refusal_of_slurm_is_told(
    calls: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (calls.parent / "broken").touch()
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    with caplog.at_level(logging.INFO, logger="personlab"):
        assert requeue(True, RuntimeError("SIGUSR1")) == TRY_AGAIN
    assert "SLURM did not take job 42 back (no such job): submit it again" in caplog.text
