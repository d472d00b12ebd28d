"""The processes of a trial, with devices and a port of their own, and what ends the program that starts them."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import torch

from personlab.errors import InputError
from personlab.experiments.trials.guard import MARK
from personlab.experiments.wandb_names import project_named

logger = logging.getLogger("personlab")
GRACE_S = 30.0
"""Time that a trial has to write its checkpoint when it is asked to end."""
_GUARD = Path(__file__).with_name("guard.py")
_OF_A_LAUNCH = (
    "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT",
    "PERSONLAB_RUN_DIRECTORY", "WANDB_RUN_ID", "WANDB_SWEEP_ID",
)  # fmt: skip
_LAUNCHERS = ("SLURM_", "TORCHELASTIC_", "PMI_", "OMPI_")


class TrialProcess:
    """The processes of a trial; they end when this one does, however it ends."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], log: Path | None = None,
        lock: IO[str] | None = None, grace_s: float = GRACE_S,
    ) -> None:  # fmt: skip
        """Start it.

        Args:
            command: Words of the command line.
            environment: Variables.
            log: File that standard output and error are appended to; None for those of this process.
            lock: An open, locked file, which stays locked as long as any process of the trial may live.
            grace_s: Seconds between the wish that it ends and the kill.
        """
        mark = f"{os.getpid()}-{id(self)}" if log is None else str(log.resolve())
        with contextlib.ExitStack() as stack:
            if log is not None:
                log.parent.mkdir(parents=True, exist_ok=True)
            file = None if log is None else stack.enter_context(log.open("ab"))
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_GUARD), str(grace_s), *command],
                stdin=subprocess.PIPE, stdout=file, stderr=file, env={**environment, MARK: mark},
                start_new_session=True, pass_fds=() if lock is None else (lock.fileno(),),
            )  # fmt: skip

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        return self._process.poll()

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Wait for its end.

        Returns:
            Its exit code, None if it still runs after so many seconds.
        """
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> int:
        """Ask it to end, and kill it after the grace; returns when nothing of it is left."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        return self._process.wait()


def trial_environment(devices: str | None, workers: int, further: Mapping[str, str] | None = None) -> dict[str, str]:
    """Variables of a trial: this process's own without those of its launch.

    A trial is a launch by itself: what SLURM or torchrun told this one would make it wait for processes that do not
    exist, or have the whole job requeued when one trial is stopped.

    Args:
        devices: Its `CUDA_VISIBLE_DEVICES`, None to leave it as it is.
        workers: Trials at once, which share the cores.
        further: Variables that all trials share.
    """
    found = {k: v for k, v in os.environ.items() if k not in _OF_A_LAUNCH and not k.startswith(_LAUNCHERS)}
    found["MASTER_PORT"] = str(_free_port())
    found.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
    found["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), found.get("PATH", os.defpath)])
    if devices is not None:
        found["CUDA_VISIBLE_DEVICES"] = devices
    return found | dict(further or {})


def wandb_variables(group: str, project: str | None = None, entity: str | None = None) -> dict[str, str]:
    """Variables by which trials are one group of one project at W&B, where they are mirrored.

    Args:
        group: Name of the sweep or the study, and of the project where there is no other.
        project: Of W&B; None takes what the environment says.
        entity: Of W&B; None takes the user's own.
    """
    found = {
        "WANDB_RUN_GROUP": group,
        "WANDB_PROJECT": project or os.environ.get("WANDB_PROJECT") or project_named(group),
    }
    return found | ({"WANDB_ENTITY": entity} if entity else {})


def device_slices(workers: int, each: int, visible: str | None = None, count: int | None = None) -> list[str | None]:
    """The devices of each worker, as `CUDA_VISIBLE_DEVICES`.

    Args:
        workers: Trials at once.
        each: Devices of a trial; 0 to hand none out, so that all trials see what this process sees.
        visible: `CUDA_VISIBLE_DEVICES` of this process, None to look it up.
        count: Devices of this machine, None to look it up.

    Raises:
        InputError: If there are too few.
    """
    if each == 0:
        return [None] * workers
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") if visible is None else visible
    if visible is None:
        names = [str(i) for i in range(torch.cuda.device_count() if count is None else count)]
    else:
        names = [name.strip() for name in visible.split(",") if name.strip()]
    if workers * each > len(names):
        raise InputError(
            f"{workers} workers of {each} devices need {workers * each}, and {len(names)} are visible; lower "
            "--workers or --devices_per_trial"
        )
    return [",".join(names[i * each : (i + 1) * each]) for i in range(workers)]


def last_line(log: Path) -> str:
    """The last line of a trial's output that is not empty."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return "no output"
    told = [line.strip() for line in lines if line.strip()]
    return told[-1][:300] if told else "no output"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """While this is open, SIGTERM ends a program as Ctrl-C does: trials are asked to save what they have.

    Only the first signal counts: after it, a program waits for its trials as long as they have, and nothing hurries it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stopped = False

    def stop(number: int, frame: Any) -> None:
        nonlocal stopped
        if not stopped:
            stopped = True
            raise KeyboardInterrupt("stopped; the same command goes on")
        logger.warning("trials are being stopped; each has up to %g s to save what it has", GRACE_S)

    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, stop)}
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:  # not where a shell has it ignored
        before[signal.SIGINT] = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
