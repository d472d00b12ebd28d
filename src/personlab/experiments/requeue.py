"""The end of a preempted job: queued again by SLURM, or an exit code that says: try again."""

from __future__ import annotations

import logging
import os
import subprocess

logger = logging.getLogger("personlab")
TRY_AGAIN = 75
"""Exit code of a preempted run, EX_TEMPFAIL of sysexits.h: the same command with --resume auto goes on."""


def requeue(wanted: bool, reason: Exception, first_process: bool = True) -> int:
    """Have SLURM queue this job again, where it runs one.

    Args:
        wanted: Whether to.
        reason: Why the run ends, to tell.
        first_process: Only the first process asks SLURM, or the job would be queued several times.

    Returns:
        The exit code, `TRY_AGAIN`.
    """
    if not first_process:
        return TRY_AGAIN
    job = os.environ.get("SLURM_JOB_ID")
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    if array and task:
        job = f"{array}_{task}"
    if not wanted or not job:
        logger.warning("%s; the same command with --resume auto goes on (exit code %d)", reason, TRY_AGAIN)
        return TRY_AGAIN
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, capture_output=True, text=True, timeout=60)
        logger.warning("%s; SLURM has job %s in its queue again", reason, job)
    except (OSError, subprocess.SubprocessError) as error:
        told = str(getattr(error, "stderr", "") or error).strip().split("\n")[0]
        logger.error("%s; SLURM did not take job %s back (%s): submit it again", reason, job, told)
    return TRY_AGAIN
