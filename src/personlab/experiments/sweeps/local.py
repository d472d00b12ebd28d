"""Trials on this machine: some at once, within a budget, until all that nobody else runs are done."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from personlab.experiments.sweeps.budget import SweepBudget
from personlab.experiments.sweeps.command import begun_command
from personlab.experiments.sweeps.records import Record, State
from personlab.experiments.sweeps.study import Claim, SharedStudy
from personlab.experiments.sweeps.trial import is_finished, states_of
from personlab.experiments.sweeps.watch import Watch
from personlab.experiments.trials.process import GRACE_S, TrialProcess, last_line, trial_environment, wandb_variables

logger = logging.getLogger("personlab")
_SIGNALLED_S = 0.5
"""How long after a trial's end a signal may reach the sweep: who ends a whole job signals all of its processes."""


class LocalSweep:
    """Runs the trials of a study in worker threads, each one process tree at a time."""

    def __init__(
        self, study: SharedStudy, devices: list[str | None], retries: int, budget: SweepBudget, poll_s: float = 1.0,
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
        self._study, self._devices = study, devices
        self._retries, self._budget, self._poll_s, self._grace_s = retries, budget, poll_s, grace_s
        self._told, self._stop, self._started = told, threading.Event(), time.monotonic()
        self._interrupted = threading.Event()
        self._running: dict[int, tuple[float, float]] = {}
        self.reason: str | None = None

    def run(self) -> None:
        """Run to the end of the study or of the budget.

        A trial that the end of the budget or an interruption stops is given back, and goes on at the next start.

        Raises:
            KeyboardInterrupt: After all processes are gone, if it was interrupted.
        """
        self._started = time.monotonic()
        self._check_budget()  # it may be spent already
        with ThreadPoolExecutor(len(self._devices), thread_name_prefix="trial") as pool:
            workers = [pool.submit(self._work, devices) for devices in self._devices]
            try:
                while not all(worker.done() for worker in workers):
                    time.sleep(min(self._poll_s, 0.5))
                    self._check_budget()
                    if any(worker.done() and worker.exception() for worker in workers):
                        self._stop.set()
            except KeyboardInterrupt:
                self._interrupted.set()
                raise
            finally:
                self._stop.set()
        for worker in workers:
            worker.result()

    def _check_budget(self) -> None:
        if self.reason is None and self._budget.has_end:
            now = time.monotonic()
            ours = dict(self._running)
            ended = sum(record.seconds for record in self._study.records() if record.trial not in ours)
            seconds = ended + sum(earlier + now - began for began, earlier in ours.values())
            self.reason = self._budget.spent(now - self._started, seconds)
            if self.reason is not None:
                self._stop.set()

    def _work(self, devices: str | None) -> None:
        while not self._stop.is_set() and not self._study.target_reached():
            claim = self._study.claim()
            if claim is not None:
                self._run_trial(claim, devices)
            elif self._study.unfinished():
                self._stop.wait(self._poll_s)  # others run them; one may be left behind
            else:
                return

    def _run_trial(self, claim: Claim, devices: str | None) -> None:
        """One trial with its retries, to its end or until the sweep stops."""
        began, watch = time.monotonic(), Watch(self._study, claim)
        self._running[claim.trial] = began, claim.seconds
        state: State | None = None
        error = None
        for attempt in range(1, self._retries + 2):
            state, error = self._attempt(watch, attempt, devices, began)
            if state != "failed":
                break
            logger.warning("trial %d: attempt %d failed: %s", claim.trial, attempt, error)
            if attempt <= self._retries and self._stop.is_set():
                state = error = None
                break
        record = watch.end(state, error, time.monotonic() - began)
        del self._running[claim.trial]
        if record is not None:
            self._told(record)

    def _attempt(
        self, watch: Watch, attempt: int, devices: str | None, began: float
    ) -> tuple[State | None, str | None]:
        """Start a trial once.

        Args:
            watch: Of the trial.
            attempt: Which attempt of this start it is, from 1.
            devices: Its `CUDA_VISIBLE_DEVICES`.
            began: When its first attempt of this start did, by the monotonic clock.

        Returns:
            How it ended, None if the sweep stops; and why it failed.
        """
        claim, sweep = watch.claim, self._study.sweep
        log, metric = claim.folder / "output.log", sweep.metric
        if attempt == 1 and not claim.again and is_finished(claim.folder) and not watch.lacks_the_metric:
            return "complete", None  # the sweep was killed after its end, before that was noted
        watch.begin(attempt, states_of(claim.folder))
        command = begun_command(sweep, claim.parameters, claim.folder)
        group = wandb_variables(sweep.name, sweep.project, sweep.entity)
        environment = trial_environment(devices, len(self._devices), group)
        process = TrialProcess(command, environment, log, claim.lock, self._grace_s)
        while (code := process.wait(self._poll_s)) is None:
            if self._stop.is_set():
                process.stop()
                return None, None
            watch.note(time.monotonic() - began)
            if watch.prunes():
                process.stop()
                return "pruned", None
        if not is_finished(claim.folder) and self._interrupted.wait(_SIGNALLED_S):
            return None, None  # whatever it says of its end
        if code != 0:
            return "failed", f"exit code {code}: {last_line(log)}"
        if metric is not None and watch.lacks_the_metric:
            return "failed", f"no {metric.name} in the ledger of its run"
        return "complete", None
