"""The trials of a sweep by Ray Tune, on this machine or a cluster; imported only where it is asked for."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from personlab.errors import InputError
from personlab.experiments.sweeps.command import trial_command
from personlab.experiments.sweeps.distributions import dimension, value_of
from personlab.experiments.sweeps.records import Record
from personlab.experiments.sweeps.space import Sweep
from personlab.experiments.sweeps.study import lock_trial
from personlab.experiments.sweeps.trial import LedgerFollower, newest_run
from personlab.experiments.trials.process import TrialProcess, last_line, trial_environment, wandb_variables
from personlab.files import write_json

try:
    import optuna
    import ray
    from ray import tune
    from ray.tune.schedulers import AsyncHyperBandScheduler
    from ray.tune.search.optuna import OptunaSearch
except ImportError as error:
    raise InputError(
        f"sweep: --engine ray needs Ray Tune ({error}): pip install 'personlab[ray]', or leave out --engine"
    ) from error

_POLL_S = 1.0
_OUTCOME = "trial.json"


@dataclass(frozen=True)
class RaySweep:
    """A sweep for Ray Tune.

    A grid and a random search try what they try without Ray; bayes is Ray's OptunaSearch, `early_terminate` its
    AsyncHyperBandScheduler.

    Attributes:
        sweep: The sweep.
        folder: Where its trials' folders and Ray's own files are; on a cluster, one that all machines share.
        trials: How many there are to be.
        seed: What the parameters follow from.
        workers: Trials at once.
        devices_per_trial: GPUs of a trial.
        retries: How often a trial that failed is started again.
        hours: When to stop, None for no limit.
    """

    sweep: Sweep
    folder: Path
    trials: int
    seed: int
    workers: int
    devices_per_trial: int
    retries: int
    hours: float | None

    def run(self) -> list[Record]:
        """Run it to its end; one that was cut off goes on with what is missing.

        Returns:
            All trials.
        """
        os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"  # paths of the sweep are relative to where it was started
        os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # the ledgers hold it all
        os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # which cannot be silenced
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # a trial's error is told in our table
        if "RAY_ADDRESS" in os.environ:
            ray.init(address="auto", log_to_driver=False)
        else:
            cores = max(self.workers, os.cpu_count() or 1)
            ray.init(num_cpus=cores, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        try:
            return self._records(self._tuner().fit())
        finally:
            ray.shutdown()

    def _tuner(self) -> Any:
        place = self.folder / "ray"
        resources = {"cpu": 1, "gpu": self.devices_per_trial}
        trainable = tune.with_resources(tune.with_parameters(_Trial, job=self, start=os.getcwd()), resources)
        if tune.Tuner.can_restore(str(place)):
            return tune.Tuner.restore(str(place), trainable, resume_unfinished=True)
        metric = self.sweep.metric
        return tune.Tuner(
            trainable,
            param_space={} if self.sweep.method == "bayes" else {"trial": tune.grid_search(list(range(self.trials)))},
            tune_config=tune.TuneConfig(
                metric=metric.name if metric else None,
                mode=None if metric is None else "max" if metric.maximize else "min",
                search_alg=self._search(),
                scheduler=self._scheduler(),
                num_samples=self.trials if self.sweep.method == "bayes" else 1,
                max_concurrent_trials=self.workers,
                time_budget_s=None if self.hours is None else self.hours * 3600,
                reuse_actors=False,
            ),
            run_config=tune.RunConfig(
                name="ray",
                storage_path=str(self.folder),
                failure_config=tune.FailureConfig(max_failures=self.retries),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # the trials write their own
                verbose=0,
            ),
        )

    def _search(self) -> Any:
        if self.sweep.method != "bayes":
            return None
        space = dict(dimension(parameter, "bayes") for parameter in self.sweep.parameters)
        metric = self.sweep.metric
        assert metric is not None  # bayes has one
        return OptunaSearch(  # one that is given its space does not take metric and mode from TuneConfig
            space, metric=metric.name, mode="max" if metric.maximize else "min",
            sampler=optuna.samplers.TPESampler(seed=self.seed, constant_liar=True),
        )  # fmt: skip

    def _scheduler(self) -> Any:
        hyperband = self.sweep.hyperband
        if hyperband is None:
            return None
        last = max(int(hyperband.bands[-1] * hyperband.eta), hyperband.bands[0] + 1)
        return AsyncHyperBandScheduler(
            time_attr="training_iteration", grace_period=hyperband.bands[0], reduction_factor=hyperband.eta, max_t=last
        )

    def _records(self, results: Any) -> list[Record]:
        records = []
        for number, result in enumerate(results):
            name = _name(result.config, str((result.metrics or {}).get("trial_id", "")))
            folder = self.folder / name
            outcome = _read(folder / _OUTCOME)
            record = Record(
                int((result.config or {}).get("trial", number)), "pruned", outcome.get("parameters", {}),
                seconds=outcome.get("seconds", 0.0), attempts=outcome.get("attempts", 0),
            )  # fmt: skip
            values = LedgerFollower(folder, self.sweep.metric.name if self.sweep.metric else "").values()
            run = newest_run(folder)
            record = replace(record, value=values[-1] if values else None, run_directory=str(run) if run else None)
            if result.error is not None:
                record = replace(
                    record, state="failed", error=outcome.get("error") or str(result.error).split("\n")[-1]
                )
            elif outcome.get("ended"):
                record = replace(record, state="complete")
            elif not outcome or not values:  # the time was over before it had begun
                continue
            records.append(record)
        return records


class _Trial(tune.Trainable):  # type: ignore[misc]
    """One trial, in a process of Ray's; each new value of the metric is a step. If it is killed, so is the trial."""

    def setup(self, config: dict[str, Any], job: RaySweep, start: str) -> None:
        """Start it."""
        os.chdir(start)
        self._job, self._metric = job, job.sweep.metric
        self._folder = job.folder / _name(config, self.trial_id)
        parameters = _parameters(job, config)
        while (lock := lock_trial(self._folder)) is None:  # the end of the attempt before
            time.sleep(0.1)
        self._lock = lock
        earlier = _read(self._folder / _OUTCOME)
        self._outcome = {"parameters": parameters, "attempts": earlier.get("attempts", 0) + 1, "ended": False}
        self._earlier_s, self._began, self._values = earlier.get("seconds", 0.0), time.monotonic(), 0
        self._note()
        command = trial_command(job.sweep, parameters, job.folder, self._folder.name)
        group = wandb_variables(job.sweep.name, job.sweep.project, job.sweep.entity)
        environment = trial_environment(None, job.workers, group)
        self._process = TrialProcess(command, environment, self._folder / "output.log", self._lock)
        self._follower = LedgerFollower(self._folder, self._metric.name if self._metric else "")

    def step(self) -> dict[str, Any]:
        """Wait for the next value, or the end."""
        code = None
        while True:
            values = self._follower.values()
            if self._metric is not None and len(values) > self._values:
                self._values += 1
                self._note()
                return {self._metric.name: values[self._values - 1]}
            if code is not None:
                return self._end(code)
            code = self._process.wait(_POLL_S)

    def cleanup(self) -> None:
        """Nothing of the trial outlives this."""
        self._process.stop()
        self._lock.close()

    def _end(self, code: int) -> dict[str, Any]:
        error = None
        if code != 0:
            error = f"exit code {code}: {last_line(self._folder / 'output.log')}"
        elif self._metric is not None and not self._values:
            error = f"no {self._metric.name} in the ledger of its run"
        self._note(ended=error is None, error=error)
        if error is not None:
            self.cleanup()
            raise RuntimeError(error)
        last = {} if self._metric is None else {self._metric.name: self._follower.values()[-1]}
        return last | {"done": True}

    def _note(self, **more: Any) -> None:
        seconds = round(self._earlier_s + time.monotonic() - self._began, 3)
        write_json(self._folder / _OUTCOME, self._outcome | {"seconds": seconds} | more)


def _parameters(job: RaySweep, config: Mapping[str, Any]) -> dict[str, Any]:
    sweep = job.sweep
    if sweep.method == "grid":
        return sweep.combination(int(config["trial"]))
    if sweep.method == "random":
        shares = sweep.draw(job.seed, int(config["trial"]))
        return {p.name: p.at(shares[p.name]) for p in sweep.parameters}
    return {p.name: value_of(p, config, "bayes") for p in sweep.parameters}


def _name(config: Mapping[str, Any] | None, ray_name: str) -> str:
    """A trial's folder: by its number, or where the search has no numbers, by Ray's name of it."""
    if config and "trial" in config:
        return f"trial-{int(config['trial']):04}"
    return f"trial-{ray_name}"


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
