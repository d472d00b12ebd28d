"""A running trial as its ledger grows: what the study is told of it, and when it is to end early."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from personlab.experiments.sweeps.pruning import should_stop
from personlab.experiments.sweeps.records import Record, State
from personlab.experiments.sweeps.study import BEAT_S, Claim, SharedStudy
from personlab.experiments.sweeps.trial import LedgerFollower, newest_run


class Watch:
    """Watches one trial that this process has claimed; every engine tells its trials by it."""

    def __init__(self, study: SharedStudy, claim: Claim) -> None:
        """Nothing is told yet."""
        self.claim = claim
        self._study, self._metric = study, study.sweep.metric
        self._follower = LedgerFollower(claim.folder, self._metric.name if self._metric else "")
        self.attempt = 0
        self._told, self._beaten = 0, -math.inf

    def begin(self, attempt: int, before: Mapping[str, int]) -> None:
        """Tell that it is started.

        Args:
            attempt: How often this start of the sweep has started it, with this time.
            before: Runs as they were then, see `states_of`.
        """
        self._follower = LedgerFollower(self.claim.folder, self._metric.name if self._metric else "", before)
        self.attempt, self._told = attempt, 0
        self._study.told(self.claim, attempts=self.claim.attempts + attempt, values=0)

    @property
    def lacks_the_metric(self) -> bool:
        """Whether the sweep looks at a metric that the trial has no value of."""
        return self._metric is not None and not self._follower.values()

    def note(self, seconds: float) -> None:
        """Tell new values of the metric, and that it lives.

        Args:
            seconds: That this start of it took so far.
        """
        values = self._follower.values()
        for count, value in enumerate(values[self._told :], start=self._told + 1):
            self._study.report(self.claim, count, value)
        if len(values) > self._told:
            self._study.told(self.claim, values=len(values))
        if len(values) > self._told or time.monotonic() - self._beaten > BEAT_S:
            self._told, self._beaten = max(self._told, len(values)), time.monotonic()
            self._study.beat(self.claim, seconds)

    def prunes(self) -> bool:
        """Whether it is to end early, by what all trials have reached so far."""
        metric, hyperband, values = self._metric, self._study.sweep.hyperband, self._follower.values()
        if metric is None or hyperband is None or len(values) < hyperband.bands[0]:
            return False
        others = [r.history for r in self._study.records() if r.trial != self.claim.trial]
        return should_stop(values, others, metric, hyperband)

    def end(self, state: State | None, error: str | None, seconds: float) -> Record | None:
        """Tell how it ended, and let it go.

        Args:
            state: None to give it back, so that it goes on at the next start.
            error: Why it failed.
            seconds: That this start of it took.

        Returns:
            What is known of it; None if it was given back, or another machine has taken it to be lost.
        """
        self._beaten = -math.inf
        self.note(seconds)
        values, run = self._follower.values(), newest_run(self.claim.folder)
        value = values[-1] if values else None
        self._study.told(self.claim, value=value, error=error, run_directory=str(run) if run else None)
        if state is None:
            self._study.release(self.claim)
            return None
        if not self._study.finish(self.claim, state, value):
            return None
        return next((r for r in self._study.records() if r.trial == self.claim.trial), None)
