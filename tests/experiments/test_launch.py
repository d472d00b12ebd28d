"""Processes that are started side by side are one run."""

from __future__ import annotations

import subprocess
import sys

import pytest

from personlab.experiments import RunDirectory
from personlab.experiments.launch import shared_run_id

SLURM = {"SLURM_JOB_ID": "123", "SLURM_STEP_ID": "4", "SLURM_STEP_NUM_TASKS": "2"}
PLAN = """
import sys
from pathlib import Path
from personlab.experiments import RunDirectory
for number in range(2):
    run = RunDirectory.plan(sys.argv[1], "x")
    Path(sys.argv[1], f"{sys.argv[2]}{number}").open("a").write(run.run_id + chr(10))
"""


def test_tasks_of_a_slurm_step_share_a_run(monkeypatch, tmp_path):
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    assert shared_run_id("own") == "slurm-123-4-0"
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert RunDirectory.plan(tmp_path, "x").path == tmp_path / "x" / "slurm-123-4-1"


@pytest.mark.parametrize("alone", [{}, SLURM | {"SLURM_STEP_NUM_TASKS": "1"}, {"TORCHELASTIC_RUN_ID": "none"}])
def test_a_process_on_its_own_has_an_id_of_its_own(monkeypatch, alone):
    for name, value in alone.items():
        monkeypatch.setenv(name, value)
    assert shared_run_id("own") == "own"


def test_processes_of_torchrun_share_each_of_their_runs(tmp_path):
    script = tmp_path / "plan.py"
    script.write_text(PLAN)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    subprocess.run([*launch, str(tmp_path), "run"], check=True, capture_output=True, timeout=240)
    ids = [(tmp_path / f"run{number}").read_text().split() for number in range(2)]
    assert [len(told) for told in ids] == [2, 2]
    assert all(len(set(told)) == 1 for told in ids)
    assert ids[0][0] != ids[1][0]
