"""The trials of a sweep in an Optuna study, which any number of processes share."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from personlab.errors import InputError
from personlab.experiments.sweeps.distributions import dimension, drawn, value_of
from personlab.experiments.sweeps.folder import PROCESSES, folder_id, keep_parameters, lock_trial
from personlab.experiments.sweeps.records import Record, State, first_reaching
from personlab.experiments.sweeps.space import Sweep
from personlab.experiments.sweeps.storage import open_storage, patiently, storage_name

BEAT_S = 30.0
"""Seconds between the signs of life of a trial, for sweeps on other machines."""
LOST_S = 300.0
"""Seconds without a sign of life after which a trial of another machine is taken to be lost."""
_AGAIN = "again"
_HOST = socket.gethostname()
_STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}


@dataclass
class Claim:
    """A trial that this process runs; nobody else does as long as its lock is held."""

    trial: int
    storage_id: int
    parameters: dict[str, Any]
    folder: Path
    lock: IO[str]
    seconds: float = 0.0
    """That earlier starts of it took."""
    attempts: int = 0
    """How often they started it."""
    again: bool = False
    """Whether it failed, and is run once more: a run of it that says that it is finished tells nothing."""


class SharedStudy:
    """A sweep's trials, numbered from 0; each is run by one process at a time, and finished once.

    What a grid or a random search tries follows from the seed and the number. A trial whose process was killed is
    marked `abandoned` in Optuna and its number becomes free; who takes it up does so with the same parameters. Two who
    create a trial of the same number at once see each other's, and the one created later yields.
    """

    def __init__(self, sweep: Sweep, folder: Path, trials: int, seed: int, storage: str | None = None) -> None:
        """Open the study, or make it.

        Args:
            sweep: The sweep.
            folder: Where its trials' folders are, and the journal unless there is a storage.
            trials: How many there are to be.
            seed: What the parameters follow from.
            storage: URL of a database that several machines share.

        Raises:
            InputError: If there is one of this name for another sweep, or the storage cannot be opened.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.sweep, self.folder, self.trials, self._seed = sweep, folder, trials, seed
        self.storage, self.storage_name, self.lost = open_storage(storage, folder), storage_name(storage, folder), False
        self._folder_id = folder_id(folder)
        maximize = sweep.metric is not None and sweep.metric.maximize
        self._direction: Literal["maximize", "minimize"] = "maximize" if maximize else "minimize"
        try:
            study = optuna.create_study(
                study_name=sweep.name, storage=self.storage, direction=self._direction, load_if_exists=True
            )
        except (ValueError, KeyError, TypeError) as error:  # of the reader of journals
            raise InputError(
                f"{folder / 'study.journal'}: is damaged ({str(error)[:80]}); move it away: trials that have ended are "
                "known by their folders"
            ) from error
        self._id = self.storage.get_study_id_from_name(sweep.name)
        asked = self._fingerprint()
        held = study.user_attrs.get("sweep")
        if held is None:
            study.set_user_attr("sweep", asked)
        elif held != asked:
            differing = next(key for key in asked if held.get(key) != asked[key])
            place = self.storage_name if storage else folder
            raise InputError(
                f"{sweep.path}: {place} holds a sweep named {sweep.name} with another {differing}; give it another "
                "name, or remove that one"
            )

    @patiently
    def claim(self) -> Claim | None:
        """Take up a trial that nobody runs: None if there is none now, see `unfinished`.

        Raises:
            InputError: If its folder holds a trial of another sweep, or with other parameters.
        """
        by_number = self._by_number()
        for number in range(self.trials):
            holder = by_number.get(number)
            if holder is not None and (holder.state.is_finished() or not self._is_lost(holder)):
                continue
            lock = self._lock(number)
            if lock is None:
                continue
            if holder is not None and not self._abandon(holder._trial_id):
                lock.close()
                continue
            claim = self._create(number, lock)
            if claim is not None:
                return claim
        return None

    @patiently
    def take_up_failed(self) -> int:
        """Have all trials that failed run once more, with the parameters that they have; returns how many they are."""
        failed = {trial._trial_id for trial in self._by_number().values() if trial.state == TrialState.FAIL}
        self.storage.set_study_user_attr(self._id, _AGAIN, sorted(failed | self._again()))
        return len(failed)

    @patiently
    def unfinished(self) -> int:
        """Trials that are not finished, whoever runs them."""
        done = [trial for trial in self._by_number().values() if trial.state.is_finished()]
        return self.trials - len([trial for trial in done if trial.user_attrs["trial"] < self.trials])

    def target_reached(self) -> bool:
        """Whether a trial is as good as the sweep asks for, after which no new one begins."""
        return first_reaching(self.records(), self.sweep.metric) is not None

    @patiently
    def records(self) -> list[Record]:
        """All trials so far, by number; of one that was given up and not taken up yet, what it came to until then."""
        everyone = self._all()
        counting = self._by_number(everyone)
        records = {number: _record(trial) for number, trial in counting.items()}
        for trial in everyone:
            number, given_up = trial.user_attrs["trial"], replace(_record(trial), state="stopped")
            if number < self.trials and number not in counting and given_up.attempts:
                records[number] = max(records.get(number, given_up), given_up, key=lambda record: record.seconds)
        return [record for _, record in sorted(records.items())]

    @patiently
    def told(self, claim: Claim, **attributes: Any) -> None:
        """Note attributes of a running trial, such as `seconds`; of one taken to be lost they matter no more."""
        with contextlib.suppress(UpdateFinishedTrialError):
            for name, value in attributes.items():
                self.storage.set_trial_user_attr(claim.storage_id, name, value)

    def beat(self, claim: Claim, seconds: float) -> None:
        """Give a sign of life.

        Args:
            claim: The trial.
            seconds: That it took so far, which a kill must not lose: see `SweepBudget.device_hours`.
        """
        self.told(claim, beat=time.time(), seconds=round(claim.seconds + seconds, 3))

    @patiently
    def report(self, claim: Claim, count: int, value: float) -> None:
        """Note the n-th value of the metric."""
        with contextlib.suppress(UpdateFinishedTrialError):
            self.storage.set_trial_intermediate_value(claim.storage_id, count, value)

    @patiently
    def finish(self, claim: Claim, state: State, value: float | None) -> bool:
        """Note how a trial ended, and let it go; False if another machine has taken it to be lost."""
        ends = {told: optuna_state for optuna_state, told in _STATES.items()}
        # A sweep without a metric has complete trials without a value, which Optuna does not know.
        values = None if state == "failed" else [0.0 if value is None else value]
        try:
            self.storage.set_trial_state_values(claim.storage_id, ends[state], values)
            told = True
        except UpdateFinishedTrialError:
            told = False
        claim.lock.close()  # not before: whoever takes it would run the trial again
        return told

    @patiently
    def release(self, claim: Claim) -> None:
        """Give a trial back unfinished; the next to claim it goes on with it."""
        self._abandon(claim.storage_id)
        claim.lock.close()

    def _create(self, number: int, lock: IO[str]) -> Claim | None:
        # Of a trial that was killed while its parameters were chosen, those that it has are kept.
        formers = [t for t in self._all() if t.user_attrs["trial"] == number and t.params]
        former = max(formers, key=lambda trial: len(trial.params), default=None)
        params, distributions = (
            (former.params, former.distributions) if former else drawn(self.sweep, self._seed, number)
        )
        template = optuna.trial.create_trial(
            state=TrialState.RUNNING, params=params, distributions=distributions,
            user_attrs={  # the host and the process are for people who look into the storage
                "trial": number, "folder_id": self._folder_id, "host": _HOST, "pid": os.getpid(), "beat": time.time(),
            },
        )  # fmt: skip
        storage_id = self.storage.create_new_trial(self._id, template)
        holder = self._by_number().get(number)
        if holder is None or holder._trial_id != storage_id:
            self._abandon(storage_id)
            lock.close()
            return None
        dimensions = dict(dimension(p, self.sweep.method) for p in self.sweep.parameters)
        if dimensions.keys() - params.keys():
            params = self._suggested(number, storage_id, dimensions)
        parameters = {p.name: value_of(p, params, self.sweep.method) for p in self.sweep.parameters}
        # Each that was given up has the time of those before it in its own.
        earlier = [_record(trial) for trial in self._all() if trial.user_attrs["trial"] == number]
        seconds, attempts = max(r.seconds for r in earlier), max(r.attempts for r in earlier)
        given_up = self._again()
        again = any(t._trial_id in given_up and t.user_attrs["trial"] == number for t in self._all())
        claim = Claim(number, storage_id, parameters, self._folder(number), lock, seconds, attempts, again)
        try:
            keep_parameters(claim.folder, parameters, self._fingerprint())
        except InputError:
            self.release(claim)
            raise
        self.told(claim, parameters=parameters, seconds=seconds, attempts=attempts)
        return claim

    def _suggested(self, number: int, storage_id: int, dimensions: Mapping[str, BaseDistribution]) -> dict[str, Any]:
        """What the tree-structured Parzen estimator tries beside what the trial has; the number decides its seed."""
        seed = int.from_bytes(hashlib.sha256(f"{self._seed}/{number}".encode()).digest()[:4], "big")
        startup = max(2, min(10, self.trials // 3))
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup, constant_liar=True)
        study = optuna.load_study(study_name=self.sweep.name, storage=self.storage, sampler=sampler)
        trial = optuna.trial.Trial(study, storage_id)
        return {name: trial._suggest(name, kind) for name, kind in dimensions.items()}

    def _all(self) -> list[FrozenTrial]:
        return [t for t in self.storage.get_all_trials(self._id, deepcopy=False) if "trial" in t.user_attrs]

    def _again(self) -> set[int]:
        """Trials that failed and are run once more: Optuna changes nothing of what has ended."""
        return set(self.storage.get_study_user_attrs(self._id).get(_AGAIN, []))

    def _by_number(self, trials: Iterable[FrozenTrial] | None = None) -> dict[int, FrozenTrial]:
        """The trial that counts, of each number that has one: the first that is not given up."""
        found: dict[int, FrozenTrial] = {}
        again = self._again()
        for trial in sorted(self._all() if trials is None else trials, key=lambda t: t.number):
            given_up = trial.user_attrs.get("abandoned") or trial._trial_id in again
            if not given_up and trial.user_attrs["trial"] < self.trials:
                found.setdefault(trial.user_attrs["trial"], trial)
        return found

    def _is_lost(self, trial: FrozenTrial) -> bool:
        """Whether nobody runs a trial that is said to run; of this folder, the lock tells it."""
        if trial.user_attrs.get("folder_id") == self._folder_id:
            return True
        return time.time() - float(trial.user_attrs.get("beat", 0)) > LOST_S

    def _abandon(self, storage_id: int) -> bool:
        """Give a trial up; False if it has ended in between."""
        try:
            self.storage.set_trial_user_attr(storage_id, "abandoned", True)
            self.storage.set_trial_state_values(storage_id, TrialState.FAIL)
        except UpdateFinishedTrialError:
            return False
        return True

    def _lock(self, number: int) -> IO[str] | None:
        """Hold a number; None if somebody else does, or processes of its trial live on elsewhere."""
        lock = lock_trial(self._folder(number))
        if lock is not None:
            processes = lock_trial(self._folder(number), PROCESSES)
            if processes is None:
                lock.close()
                return None
            processes.close()
        return lock

    def _folder(self, number: int) -> Path:
        return self.folder / f"trial-{number:04}"

    def _fingerprint(self) -> dict[str, Any]:
        """What must stay the same when a sweep goes on."""
        content = self.sweep.content or {}
        keys = ("method", "metric", "early_terminate", "parameters", "program", "command")
        return {"seed": self._seed} | {key: _hash(content.get(key)) for key in keys}


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _record(trial: FrozenTrial) -> Record:
    about = trial.user_attrs
    history = [trial.intermediate_values[n] for n in sorted(trial.intermediate_values)][: about.get("values")]
    return Record(
        about["trial"], _STATES[trial.state], about.get("parameters", {}), about.get("value"), history,
        about.get("run_directory"), about.get("seconds", 0.0), about.get("attempts", 0), about.get("error"),
    )  # fmt: skip
