"""Trials as processes: some at once, within a budget, taken up again wherever they stopped."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

from personlab.errors import InputError
from personlab.experiments.ablation.forecast import forecast
from personlab.experiments.ablation.plan import Trial, find_finished
from personlab.experiments.ablation.study import StudyBudget
from personlab.experiments.catalogue import Run, find_runs, read_run
from personlab.experiments.provenance import now
from personlab.experiments.requeue import TRY_AGAIN
from personlab.experiments.trials.process import TrialProcess, last_line, trial_environment, wandb_variables
from personlab.files import write_atomically, write_json

logger = logging.getLogger("personlab")
RUNNING = "running"
"""Status of an attempt that has not ended."""
Command = Callable[[Path], Sequence[str]]
"""Config file -> the words that train by it; the run directory follows from the config."""


def fit_command(config: Path) -> list[str]:
    """`personlab fit` by a config, going on with a run of it that was cut off."""
    return [sys.executable, "-m", "personlab.cli.main", "fit", "--config", str(config), "--resume", "auto"]


class Runner:
    """Runs what is left of a study.

    Each trial is a process tree with a log, a lock, devices and a config that no later change of an overlay reaches.
    Should this process be killed, trials save themselves and end; the next start waits for that and goes on with them.
    Every attempt is kept in `trials.json`.

    Args:
        folder: Of the study's results.
        root: Folder of all runs.
        command: What trains.
        devices: `CUDA_VISIBLE_DEVICES` of each trial that runs at a time, None to leave it as it is.
        budget: When to stop.
        grace_s: Seconds that a trial has to save itself in when it is stopped.
        poll_s: Seconds between two looks.
        note_s: Seconds between two notes of what a trial that runs has cost, which a kill of this process loses.
    """

    def __init__(
        self, folder: Path, root: Path, command: Command, devices: Sequence[str | None] = (None,),
        budget: StudyBudget | None = None, grace_s: float = 60.0, poll_s: float = 0.5, note_s: float = 15.0,
    ) -> None:  # fmt: skip
        """Read what earlier starts did."""
        self.folder, self.root = folder, root.resolve()
        self._command, self._workers, self._budget = command, len(devices), budget or StudyBudget()
        self._grace_s, self._poll_s, self._note_s = grace_s, poll_s, note_s
        self._stop, self._changing = threading.Event(), threading.Lock()
        self._free: SimpleQueue[str | None] = SimpleQueue()
        for one in devices:
            self._free.put(one)
        self.attempts: dict[str, list[dict[str, Any]]] = self._read_attempts()
        self.runs: dict[str, Run] = {}

    def sort(self, plan: Sequence[Trial]) -> tuple[dict[str, Run], list[Trial]]:
        """Finished runs by key, wherever below the root they are, and the trials without."""
        self.runs = find_finished(find_runs(self.root) if self.root.is_dir() else [], plan)
        return self.runs, [trial for trial in plan if trial.key not in self.runs]

    def forecast(self, plan: Sequence[Trial]) -> str:
        """How long what is left will take, in words."""
        left = [trial for trial in plan if trial.key not in self.runs]
        return forecast(self.root, left, self.runs, self._workers, self._budget, self._device_seconds())

    def run(self, plan: Sequence[Trial]) -> str | None:
        """Run what is left, to its end or that of the budget; a trial that fails is tried once a start.

        Returns:
            The budget that is spent, in words; None if none is.

        Raises:
            KeyboardInterrupt: When all trials are gone, if it was interrupted.
        """
        self.attempts = self._read_attempts()
        _, left = self.sort(plan)
        self._stop.clear()
        started, reason = time.monotonic(), None
        with ThreadPoolExecutor(self._workers, thread_name_prefix="trial") as pool:
            ahead = [pool.submit(self._run, trial, f"{n} of {len(left)}") for n, trial in enumerate(left, 1)]
            try:
                while not all(future.done() for future in ahead):
                    reason = self._spent(time.monotonic() - started)
                    if reason is not None or any(f.done() and f.exception() for f in ahead):
                        break
                    time.sleep(min(self._poll_s, 0.5))
            finally:
                self._stop.set()
        for future in ahead:
            future.result()
        for trial in left:
            self.runs |= self._made_by(trial)
        return reason

    def failed(self, trial: Trial) -> bool:
        """Whether its last attempt failed."""
        attempts = self.attempts.get(trial.key)
        return trial.key not in self.runs and bool(attempts) and attempts[-1]["status"] == "failed"  # type: ignore[index]

    def _run(self, trial: Trial, position: str) -> None:
        """One trial, unless the study stops first."""
        with self._lock(trial) as lock:
            if lock is None:
                return
            if made := self._made_by(trial):  # by one that outlived an earlier start
                self.runs |= made
                return
            config = self.folder / "configs" / f"{trial.key}.yaml"
            write_atomically(config, trial.text.encode())
            logger.info("%s, seed %d (%s): starts", trial.cell, trial.seed, position)
            code, attempt = self._process(trial, self._command(config), lock)
            self.runs |= self._made_by(trial)
        self._end(trial, attempt, code)
        told = "" if attempt["error"] is None else f": {attempt['error']}"
        logger.info(
            "%s, seed %d: %s after %.0f s%s", trial.cell, trial.seed, attempt["status"], attempt["seconds"], told
        )

    def _made_by(self, trial: Trial) -> dict[str, Run]:
        """The finished run of a trial by its key, if its own processes made one."""
        if trial.key in self.runs:
            return {}
        return find_finished([read_run(card.parent) for card in self.root.glob(f"{trial.name}/*/run.json")], [trial])

    def _process(self, trial: Trial, command: Sequence[str], lock: IO[str]) -> tuple[int, dict[str, Any]]:
        """Run a command to its end or that of the study; its exit code, and what is kept of the attempt.

        The attempt is kept from its beginning on: what it cost must not be lost if this process is killed.
        """
        devices = self._free.get()
        environment = trial_environment(devices, self._workers, wandb_variables(self.folder.name))
        began = noted = time.monotonic()
        attempt: dict[str, Any] = {
            "status": RUNNING, "exit": None, "start": now(), "seconds": 0.0,
            "devices": len(devices.split(",")) if devices else trial.devices, "run": None, "error": None,
        }  # fmt: skip
        with self._changing:
            self.attempts.setdefault(trial.key, []).append(attempt)
        self._note()
        try:
            process = TrialProcess(command, environment, self._log(trial), lock, self._grace_s)
            while (code := process.wait(self._poll_s)) is None:
                attempt["seconds"] = round(time.monotonic() - began, 1)
                if time.monotonic() - noted > self._note_s:
                    noted = time.monotonic()
                    self._note()
                if self._stop.is_set():
                    code = process.stop()
                    break
            return code, attempt
        finally:
            attempt["seconds"] = round(time.monotonic() - began, 1)
            self._free.put(devices)

    def _end(self, trial: Trial, attempt: dict[str, Any], code: int) -> None:
        """Keep what came of a process."""
        run, error = self.runs.get(trial.key), None
        if run is not None:
            status = "finished"
        elif self._stop.is_set() or code == TRY_AGAIN:
            status = "unfinished"
        else:
            status = "failed"
            error = last_line(self._log(trial)) if code else "ended, but left no finished run of its config"
        place = str(run.path.relative_to(self.root)) if run else None
        attempt |= {"status": status, "exit": code, "run": place, "error": error}
        self._note()

    @contextlib.contextmanager
    def _lock(self, trial: Trial) -> Iterator[IO[str] | None]:
        """Hold a trial, which its processes do as well as long as any of them lives; None if the study stops first."""
        path = self.folder / "locks" / trial.key
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            waits = False
            while not self._stop.is_set():
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    if not waits:
                        logger.info("%s, seed %d: still runs from an earlier start", trial.cell, trial.seed)
                    waits = True
                    self._stop.wait(self._poll_s)
                    continue
                yield file
                return
            yield None

    def _spent(self, seconds: float) -> str | None:
        """The budget that is spent, in words."""
        budget = self._budget
        if budget.max_hours is not None and seconds >= 3600 * budget.max_hours:
            return f"{budget.max_hours:g} hours"
        if budget.max_device_hours is not None and self._device_seconds() >= 3600 * budget.max_device_hours:
            return f"{budget.max_device_hours:g} device-hours"
        return None

    def _device_seconds(self) -> float:
        """Of all attempts so far, those of earlier starts included."""
        return sum(a["seconds"] * a["devices"] for tried in list(self.attempts.values()) for a in list(tried))

    def _note(self) -> None:
        with self._changing:
            write_json(self.folder / "trials.json", self.attempts)

    def _log(self, trial: Trial) -> Path:
        return self.folder / "logs" / f"{trial.name}.log"

    def _read_attempts(self) -> dict[str, list[dict[str, Any]]]:
        path = self.folder / "trials.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            attempts = [attempt for tried in found.values() for attempt in tried]
            for attempt in attempts:
                if not isinstance(attempt["status"], str) or not attempt["seconds"] * attempt["devices"] >= 0:
                    raise ValueError("an attempt is none")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(
                f"{path}: is damaged; remove it, and what was spent so far is forgotten: finished runs are known by "
                "their folders"
            ) from error
        for attempt in attempts:
            if attempt["status"] == RUNNING:
                attempt["status"] = "cut off"
        return found
