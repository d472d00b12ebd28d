"""One trial of a sweep in a process of Ray's, perhaps on another machine than the study."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune

from personlab.experiments.sweeps.command import begun_command
from personlab.experiments.sweeps.folder import PROCESSES, lock_trial
from personlab.experiments.sweeps.space import Sweep
from personlab.experiments.sweeps.study import BEAT_S
from personlab.experiments.sweeps.trial import LedgerFollower, states_of
from personlab.experiments.trials.process import TrialProcess, last_line, trial_environment, wandb_variables
from personlab.files import write_json

OUTCOME = "outcome.json"
"""What the process that runs a trial tells of it, in the trial's folder."""
_POLL_S = 1.0


@dataclass(frozen=True)
class Job:
    """What each of Ray's processes needs to know."""

    sweep: Sweep
    folder: Path
    workers: int
    start: str


class RayTrial(tune.Trainable):  # type: ignore[misc]
    """One trial, in a process of Ray's; each new value of the metric is a step. If it is killed, so is the trial."""

    def setup(self, config: dict[str, Any], job: Job) -> None:
        """Start it."""
        os.chdir(job.start)
        self._metric = job.sweep.metric
        self._folder = job.folder / f"trial-{config['trial']:04}"
        while (lock := lock_trial(self._folder, PROCESSES)) is None:  # the end of the attempt before
            time.sleep(0.1)
        earlier, before = outcome_of(self._folder, self.trial_id), states_of(self._folder)
        if earlier.get("over"):
            lock.close()
            raise RuntimeError(f"{self._folder.name} was given back")
        self._lock = lock
        attempt = earlier.get("attempts", 0) + 1
        self._outcome = {"ray": self.trial_id, "attempts": attempt, "before": before, "ended": False}
        self._earlier_s, self._began, self._values = earlier.get("seconds", 0.0), time.monotonic(), 0
        self._note()
        command = begun_command(job.sweep, config["parameters"], self._folder)
        group = wandb_variables(job.sweep.name, job.sweep.project, job.sweep.entity)
        environment = trial_environment(None, job.workers, group)
        self._process = TrialProcess(command, environment, self._folder / "output.log", self._lock)
        self._follower = LedgerFollower(self._folder, self._metric.name if self._metric else "", before)

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
            if time.monotonic() - self._noted > BEAT_S:
                self._note()

    def cleanup(self) -> None:
        """Nothing of the trial outlives this."""
        self._process.stop()
        self._note()
        self._lock.close()

    def _end(self, code: int) -> dict[str, Any]:
        error = None
        if code != 0:
            error = f"exit code {code}: {last_line(self._folder / 'output.log')}"
        elif self._metric is not None and not self._values:
            error = f"no {self._metric.name} in the ledger of its run"
        self._outcome |= {"ended": error is None, "error": error}
        self._note()
        if error is not None:
            self.cleanup()
            raise RuntimeError(error)
        last = {} if self._metric is None else {self._metric.name: self._follower.values()[-1]}
        return last | {"done": True}

    def _note(self) -> None:
        self._noted = time.monotonic()
        seconds = round(self._earlier_s + self._noted - self._began, 3)
        write_json(self._folder / OUTCOME, self._outcome | {"seconds": seconds})


def outcome_of(folder: Path, trial_id: str) -> dict[str, Any]:
    """What is told of a trial so far: `attempts`, `before`, `seconds`, `ended`, `error`, `over`; empty if nothing.

    Args:
        folder: Of the trial.
        trial_id: Ray's name of it, another one each time that it is taken up.
    """
    try:
        told = json.loads((folder / OUTCOME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if told.get("ray") == trial_id else {}
