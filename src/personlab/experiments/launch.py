"""Processes that a launcher starts side by side, and the one run that they are."""

from __future__ import annotations

import itertools
import os
from typing import Any

from torch.distributed.rendezvous import rendezvous

_CALLS = itertools.count()
_STORES: list[Any] = []


def shared_run_id(own: str) -> str:
    """The run id that all processes of this launch take, before they can talk to each other by Lightning.

    The Trainer starts its other processes from the first one, which hands the directory on. Launchers start all of them
    alike: torchrun's first process tells the others through the launcher's store, and the tasks of a SLURM step have
    the job, the step and the count of requeues in common.

    Args:
        own: What this process would call the run if it were alone.

    Returns:
        `own` of the first process, `slurm-JOB-STEP-RESTART`, or `own`.
    """
    environment = os.environ
    if "TORCHELASTIC_RUN_ID" in environment and int(environment.get("WORLD_SIZE", "1")) > 1:
        return _told_by_the_first(own)
    if int(environment.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        step, restart = environment.get("SLURM_STEP_ID", "0"), environment.get("SLURM_RESTART_COUNT", "0")
        return f"slurm-{environment['SLURM_JOB_ID']}-{step}-{restart}"
    return own


def _told_by_the_first(own: str) -> str:
    # torchrun's run id will not do: unless one is given it is the same for every launch.
    store, rank, _ = next(rendezvous("env://"))
    _STORES.append(store)  # if the first process serves it, it must stay until the others have read
    # The launcher's store outlives a restart of the processes, and a process may begin several runs.
    key = f"personlab/run_id/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}/{next(_CALLS)}"
    if rank == 0:
        store.set(key, own)
    return store.get(key).decode()
