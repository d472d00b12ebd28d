"""Trials on this machine: some at once, within a budget, until all that nobody else runs are done."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from personlab.experiments.sweeps.command import trial_command
from personlab.experiments.sweeps.pruning import should_stop
from personlab.experiments.sweeps.records import Record, State
from personlab.experiments.sweeps.study import BEAT_S, Claim, SharedStudy
from personlab.experiments.sweeps.trial import LedgerFollower, is_finished, newest_run
from personlab.experiments.trials.process import GRACE_S, TrialProcess, last_line, trial_environment, wandb_variables

logger = logging.getLogger("personlab")


@dataclass(frozen=True)
class Budget:
    """What a sweep may take; None is without end.

    Attributes:
        hours: Of this start, by the clock.
        device_hours: Of all trials together, earlier starts included. A trial on the CPU counts as one device.
        devices_per_trial: At least 1.
    """

    hours: float | None = None
    device_hours: float | None = None
    devices_per_trial: int = 1

    def spent(self, seconds: float, trial_seconds: float) -> str | None:
        """Which limit is reached, in words; None if none is.

        Args:
            seconds: Since the start.
            trial_seconds: Of all trials together.
        """
        if self.hours is not None and seconds >= self.hours * 3600:
            return f"{self.hours:g} hours"
        if self.device_hours is not None and trial_seconds * self.devices_per_trial >= self.device_hours * 3600:
            return f"{self.device_hours:g} device-hours"
        return None


class LocalSweep:
    """Runs the trials of a study in worker threads, each one process tree at a time."""

    def __init__(
        self, study: SharedStudy, devices: list[str | None], retries: int, budget: Budget, poll_s: float = 1.0,
        grace_s: float = GRACE_S, told: Callable[[Record], None] = lambda record: None,
    ) -> None:  # fmt: skip
        """Prepare.

        Args:
            study: The trials.
            devices: Of each worker, as `CUDA_VISIBLE_DEVICES`; as many workers.
            retries: How often a trial that failed is started again.
            budget: When to stop.
            poll_s: Seconds between two looks at a trial.
            grace_s: Seconds that a trial has to end in when it is stopped.
            told: Called with each trial that ended.
        """
        self._study, self._sweep, self._devices = study, study.sweep, devices
        self._retries, self._budget, self._poll_s, self._grace_s = retries, budget, poll_s, grace_s
        self._told, self._stop, self._started = told, threading.Event(), time.monotonic()
        self._running: dict[int, tuple[float, float]] = {}
        self.reason: str | None = None

    def run(self) -> None:
        """Run to the end of the study or of the budget.

        A trial that the end of the budget or an interruption stops is given back, and goes on at the next start.

        Raises:
            KeyboardInterrupt: After all processes are gone, if it was interrupted.
        """
        self._started = time.monotonic()
        with ThreadPoolExecutor(len(self._devices), thread_name_prefix="trial") as pool:
            workers = [pool.submit(self._work, devices) for devices in self._devices]
            try:
                while not all(worker.done() for worker in workers):
                    time.sleep(min(self._poll_s, 0.5))
                    self._check_budget()
                    if any(worker.done() and worker.exception() for worker in workers):
                        self._stop.set()
            finally:
                self._stop.set()
        for worker in workers:
            worker.result()

    def _check_budget(self) -> None:
        if self.reason is None and self._budget != Budget(devices_per_trial=self._budget.devices_per_trial):
            now = time.monotonic()
            ours = dict(self._running)
            ended = sum(record.seconds for record in self._study.records() if record.trial not in ours)
            seconds = ended + sum(earlier + now - began for began, earlier in ours.values())
            self.reason = self._budget.spent(now - self._started, seconds)
            if self.reason is not None:
                self._stop.set()

    def _work(self, devices: str | None) -> None:
        while not self._stop.is_set() and not self._target_reached():
            claim = self._study.claim()
            if claim is not None:
                self._run_trial(claim, devices)
            elif self._study.unfinished():
                self._stop.wait(self._poll_s)  # others run them; one may be left behind
            else:
                return

    def _target_reached(self) -> bool:
        metric = self._sweep.metric
        if metric is None or metric.target is None:
            return False
        return any(r.value is not None and metric.reached(r.value) for r in self._study.records())

    def _run_trial(self, claim: Claim, devices: str | None) -> None:
        """One trial with its retries, to its end or until the sweep stops."""
        began = time.monotonic()
        self._running[claim.trial] = began, claim.seconds
        state: State | None = None
        error = None
        for attempt in range(1, self._retries + 2):
            self._study.told(claim, attempts=attempt)
            state, error = self._attempt(claim, devices, began)
            if state != "failed":
                break
            logger.warning("trial %d: attempt %d failed: %s", claim.trial, attempt, error)
        follower = LedgerFollower(claim.folder, self._sweep.metric.name if self._sweep.metric else "")
        values, run = follower.values(), newest_run(claim.folder)
        value = values[-1] if values else None
        self._study.beat(claim, time.monotonic() - began)
        self._study.told(claim, value=value, error=error, run_directory=str(run) if run else None)
        del self._running[claim.trial]
        if state is None:
            self._study.release(claim)
            return
        self._study.finish(claim, state, value)
        for record in self._study.records():  # none, where another machine has taken it to be lost
            if record.trial == claim.trial:
                self._told(record)

    def _attempt(self, claim: Claim, devices: str | None, began: float) -> tuple[State | None, str | None]:
        """Start a trial once.

        Args:
            claim: The trial.
            devices: Its `CUDA_VISIBLE_DEVICES`.
            began: When its first attempt of this start did, by the monotonic clock.

        Returns:
            How it ended, None if the sweep stops; and why it failed.
        """
        log, metric = claim.folder / "output.log", self._sweep.metric
        if is_finished(claim.folder) and LedgerFollower(claim.folder, metric.name if metric else "").values():
            return "complete", None  # the sweep was killed after its end, before that was noted
        command = trial_command(self._sweep, claim.parameters, self._study.folder, claim.folder.name)
        group = wandb_variables(self._sweep.name, self._sweep.project, self._sweep.entity)
        environment = trial_environment(devices, len(self._devices), group)
        process = TrialProcess(command, environment, log, claim.lock, self._grace_s)
        follower = LedgerFollower(claim.folder, metric.name if metric else "")
        reported, beaten = 0, 0.0
        while (code := process.wait(self._poll_s)) is None:
            if self._stop.is_set():
                process.stop()
                return None, None
            before, reported = reported, self._report(claim, follower, reported)
            if reported > before or time.monotonic() - beaten > BEAT_S:
                beaten = time.monotonic()
                self._study.beat(claim, beaten - began)
            if self._prunes(claim, follower.values()):
                process.stop()
                return "pruned", None
        self._report(claim, follower, reported)
        if code != 0:
            return "failed", f"exit code {code}: {last_line(log)}"
        if metric is not None and not follower.values():
            return "failed", f"no {metric.name} in the ledger of its run"
        return "complete", None

    def _report(self, claim: Claim, follower: LedgerFollower, reported: int) -> int:
        """Note new values of the metric; returns how many there are."""
        values = follower.values()
        for count, value in enumerate(values[reported:], start=reported + 1):
            self._study.report(claim, count, value)
        return max(reported, len(values))

    def _prunes(self, claim: Claim, values: list[float]) -> bool:
        metric, hyperband = self._sweep.metric, self._sweep.hyperband
        if metric is None or hyperband is None or len(values) < hyperband.bands[0]:
            return False
        others = [r.history for r in self._study.records() if r.trial != claim.trial]
        return should_stop(values, others, metric, hyperband)
