"""The trials of a sweep by Ray Tune, on this machine or a cluster; imported only where it is asked for.

Ray places the trials and starts them again; which there are, what they try and how they ended is in the study, as
without Ray, so that either engine goes on with what the other began.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from personlab.errors import InputError
from personlab.experiments.sweeps.budget import SweepBudget
from personlab.experiments.sweeps.folder import PROCESSES, lock_trial
from personlab.experiments.sweeps.records import Record
from personlab.experiments.sweeps.study import SharedStudy
from personlab.experiments.sweeps.trial import is_finished
from personlab.experiments.sweeps.watch import Watch
from personlab.experiments.trials.process import GRACE_S
from personlab.files import write_json

try:
    import ray
    from ray import tune
    from ray.tune.search import Searcher
    from ray.tune.stopper import Stopper

    from personlab.experiments.sweeps.ray_trial import OUTCOME, Job, RayTrial, outcome_of
except ImportError as error:
    raise InputError(
        f"sweep: --engine ray needs Ray Tune ({error}): pip install 'personlab[ray]', or leave out --engine"
    ) from error

_POLL_S = 1.0
_FOR_WORKERS = {"RAY_kill_child_processes_on_worker_exit": "0"}
"""A trial's guard must not be killed: it is what asks the trial to save itself, and ends all of its processes."""


class RaySweep:
    """Runs the trials of a study by Ray Tune."""

    def __init__(
        self, study: SharedStudy, workers: int, devices_per_trial: int, retries: int, budget: SweepBudget,
        told: Callable[[Record], None] = lambda record: None,
    ) -> None:  # fmt: skip
        """Prepare.

        Args:
            study: The trials; on a cluster its folder is one that all machines share.
            workers: Trials at once.
            devices_per_trial: GPUs of a trial, which Ray hands out.
            retries: How often a trial that failed is started again.
            budget: When to stop.
            told: Called with each trial that ended.
        """
        self._study, self._workers, self._devices = study, workers, devices_per_trial
        self._retries, self._keeper = retries, _Keeper(study, budget, told)
        # Ray's own files: nothing is read from them, and several sweeps may share the study.
        self._own = study.folder / "ray" / f"{socket.gethostname()}-{os.getpid()}"

    @property
    def reason(self) -> str | None:
        """The budget that is used up, in words."""
        return self._keeper.reason

    def run(self) -> None:
        """Run to the end of the study or of the budget.

        A trial that the end of the budget or an interruption stops is given back, and goes on at the next start.

        Raises:
            KeyboardInterrupt: After all processes are gone, if it was interrupted.
        """
        os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"  # paths of the sweep are relative to where it was started
        os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # it would end as if all were done
        os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # the ledgers hold it all
        os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # which cannot be silenced
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # a trial's error is told in our table
        os.environ |= _FOR_WORKERS
        ours = signal.getsignal(signal.SIGTERM)
        if "RAY_ADDRESS" in os.environ:
            ray.init(address="auto", log_to_driver=False, runtime_env={"env_vars": _FOR_WORKERS})
        else:
            cores = max(self._workers, os.cpu_count() or 1)
            ray.init(num_cpus=cores, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, ours)  # Ray's own aborts without a word
        try:
            self._keeper.begin()
            self._tuner().fit()
        finally:
            ray.shutdown()
            self._keeper.give_back()
            shutil.rmtree(self._own, ignore_errors=True)

    def _tuner(self) -> Any:
        job = Job(self._study.sweep, self._study.folder, self._workers, os.getcwd())
        trainable = tune.with_parameters(RayTrial, job=job)
        return tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1, "gpu": self._devices}),
            tune_config=tune.TuneConfig(
                search_alg=self._keeper, num_samples=-1, max_concurrent_trials=self._workers, reuse_actors=False
            ),
            run_config=tune.RunConfig(
                name=self._own.name,
                storage_path=str(self._own.parent),
                stop=self._keeper,
                failure_config=tune.FailureConfig(max_failures=self._retries),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # the trials write their own
                verbose=0,
            ),
        )


class _Keeper(Searcher, Stopper):  # type: ignore[misc]
    """Tells Ray what to try and when to stop, and the study what came of it."""

    def __init__(self, study: SharedStudy, budget: SweepBudget, told: Callable[[Record], None]) -> None:
        super().__init__()
        self._study, self._budget, self._told = study, budget, told
        self._watched: dict[str, Watch] = {}
        self._pruned: set[str] = set()
        self._started = self._looked = self._idle = time.monotonic()
        self.reason: str | None = None

    def __reduce__(self) -> Any:
        """Ray keeps a copy of what it is given; nothing is ever made from that."""
        return object, ()

    def begin(self) -> None:
        """The clock runs from here."""
        self._started = time.monotonic()

    def suggest(self, trial_id: str) -> Any:
        """What Ray is to run next: None if there is nothing now."""
        if self.stop_all() or self._study.target_reached():
            return Searcher.FINISHED
        if time.monotonic() < self._idle:
            return None
        claim = self._study.claim()
        while claim is not None and not claim.again and is_finished(claim.folder):
            watch = Watch(self._study, claim)  # the sweep was killed after its end, before that was noted
            if watch.lacks_the_metric:
                break
            self._end(watch, "complete", None, 0.0)
            claim = self._study.claim()
        if claim is None:
            self._idle = time.monotonic() + _POLL_S  # Ray asks ten times a second, and the study may be a database
            return None if self._study.unfinished() else Searcher.FINISHED  # others run them
        self._watched[trial_id] = Watch(self._study, claim)
        return {"trial": claim.trial, "parameters": claim.parameters}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """Tell the study."""
        watch = self._watched.pop(trial_id, None)
        if watch is None:
            return
        outcome = outcome_of(watch.claim.folder, trial_id)
        seconds = self._note(watch, outcome)
        if error:
            self._end(watch, "failed", outcome.get("error") or "its process was lost", seconds)
        elif outcome.get("ended"):
            self._end(watch, "complete", None, seconds)
        elif trial_id in self._pruned:
            self._end(watch, "pruned", None, seconds)
        else:
            self._watched[trial_id] = watch  # the whole sweep stops: see `give_back`

    def __call__(self, trial_id: str, result: Any) -> bool:
        """Whether a trial ends early; each value of the metric asks."""
        watch = self._watched.get(trial_id)
        if watch is None or result.get("done"):
            return False
        self._note(watch, outcome_of(watch.claim.folder, trial_id))
        if watch.prunes():
            self._pruned.add(trial_id)
        return trial_id in self._pruned

    def stop_all(self) -> bool:
        """Whether the budget is used up; Ray asks all the time."""
        now = time.monotonic()
        if self.reason is None and now - self._looked > _POLL_S:
            self._looked = now
            for trial_id, watch in self._watched.items():
                self._note(watch, outcome_of(watch.claim.folder, trial_id))
            if self._budget.has_end:
                trial_seconds = sum(record.seconds for record in self._study.records())
                self.reason = self._budget.spent(now - self._started, trial_seconds)
        return self.reason is not None

    def give_back(self) -> None:
        """When Ray is gone: trials that were stopped are given back as soon as their processes are gone, too."""
        deadline = time.monotonic() + GRACE_S + 10
        for trial_id, watch in self._watched.items():
            while (lock := lock_trial(watch.claim.folder, PROCESSES)) is None and time.monotonic() < deadline:
                time.sleep(0.1)
            outcome = outcome_of(watch.claim.folder, trial_id)
            # One of Ray's processes that is about to start the trial, and has not been told of the end yet, must not.
            over = {"ray": trial_id, **outcome, "over": True}
            write_json(watch.claim.folder / OUTCOME, over)
            self._end(watch, "complete" if outcome.get("ended") else None, None, self._note(watch, outcome))
            if lock is not None:
                lock.close()
        self._watched.clear()

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the study is kept already."""

    def _note(self, watch: Watch, outcome: dict[str, Any]) -> float:
        """Tell the study what a trial came to; returns the seconds that this start of it took."""
        seconds = float(outcome.get("seconds", 0.0))
        attempt = outcome.get("attempts", 0)
        if attempt > watch.attempt:
            watch.begin(attempt, outcome["before"])
        watch.note(seconds)
        return seconds

    def _end(self, watch: Watch, state: Any, error: str | None, seconds: float) -> None:
        record = watch.end(state, error, seconds)
        if record is not None:
            self._told(record)
