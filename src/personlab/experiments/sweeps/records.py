"""What is known of each trial of a sweep, and what it comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from personlab.experiments.sweeps.space import Metric, Sweep

State = Literal["complete", "pruned", "failed", "running", "stopped"]


@dataclass(frozen=True)
class Record:
    """One trial.

    Attributes:
        trial: Its number, from 0.
        state: `complete`, `pruned` (ended early), `failed`, `running`, or `stopped`: given up, and not taken up yet.
        parameters: Values by dotted name.
        value: Last value of the metric, None if there was none.
        history: All of them.
        run_directory: The newest, None if it made none.
        seconds: That its attempts took, all together.
        attempts: How often it was started.
        error: Why it failed.
    """

    trial: int
    state: State
    parameters: dict[str, Any]
    value: float | None = None
    history: list[float] = field(default_factory=list)
    run_directory: str | None = None
    seconds: float = 0.0
    attempts: int = 0
    error: str | None = None


def best_of(records: Sequence[Record], metric: Metric | None) -> Record | None:
    """The complete trial with the best value; of equals the first."""
    scored = [(r.value, r) for r in records if r.state == "complete" and r.value is not None]
    if metric is None or not scored:
        return None
    sign = -1 if metric.maximize else 1
    return min(scored, key=lambda pair: (sign * pair[0], pair[1].trial))[1]


def first_reaching(records: Sequence[Record], metric: Metric | None) -> Record | None:
    """The first trial that is as good as the metric's target, after which no new one begins."""
    if metric is None or metric.target is None:
        return None
    return next((r for r in records if r.value is not None and metric.reached(r.value)), None)


def summarise(sweep: Sweep, records: Sequence[Record], trials: int, devices_per_trial: int) -> dict[str, Any]:
    """What a sweep came to, for `summary.json`.

    Args:
        sweep: The sweep.
        records: Of its trials so far.
        trials: How many there are to be.
        devices_per_trial: Devices of a trial; one on the CPU counts as one.
    """
    counts = {s: sum(r.state == s for r in records) for s in ("complete", "pruned", "failed", "running")}
    best, metric = best_of(records, sweep.metric), sweep.metric
    seconds = sum(record.seconds for record in records)
    return {
        "name": sweep.name,
        "description": sweep.description,
        "method": sweep.method,
        "metric": None if metric is None else metric.name,
        "goal": None if metric is None else "maximize" if metric.maximize else "minimize",
        "trials": trials,
        "counts": counts | {"left": trials - sum(counts.values())},
        "device_hours": round(seconds * max(1, devices_per_trial) / 3600, 4),
        "best": None if best is None else _told(best),
        "rows": [_told(record) for record in sorted(records, key=lambda r: r.trial)],
    }


def _told(record: Record) -> dict[str, Any]:
    return {key: value for key, value in asdict(record).items() if key != "history"}
