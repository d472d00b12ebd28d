"""How long trials will take, judged by runs that are there."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from personlab.experiments.ablation.plan import Trial
from personlab.experiments.ablation.study import StudyBudget
from personlab.experiments.catalogue import Run, find_runs

_SAME_COST = ("model.network.init_args.backbone", "data.batch_size", "data.view", "data.eval_size", "data.val_images")
"""Options by which a step or a validation takes longer."""


def forecast(
    root: Path, left: Sequence[Trial], done: Mapping[str, Run], workers: int, budget: StudyBudget, used_s: float
) -> str:
    """What is to come, in a sentence.

    Args:
        root: Folder of all runs, which any finished run with the same costs is taken from.
        left: Trials to run.
        done: Finished runs of the study.
        workers: Trials at once.
        budget: Of the study.
        used_s: Device-seconds spent by earlier starts.
    """
    limits = [
        f"{value:g} {unit}"
        for value, unit in ((budget.max_hours, "hours"), (budget.max_device_hours, "device-hours"))
        if value is not None
    ]
    told = f"; budget: {' and '.join(limits) or 'none'}, {used_s / 3600:.2f} device-hours used"
    if not left:
        return f"nothing to run{told}"
    known = [s for s in (seconds_of(run, left[0]) for run in done.values()) if s is not None]
    if not known:
        newest = reversed(find_runs(root) if root.is_dir() else [])
        known = list(itertools.islice((s for run in newest if (s := seconds_of(run, left[0])) is not None), 5))
    if not known:
        return f"time: not known, since no run of its kind is there yet{told}"
    each = statistics.median(known)
    hours = each * math.ceil(len(left) / workers) / 3600
    return f"time: about {hours:.2f} h, {each / 60:.1f} min each, judged by {len(known)} runs{told}"


def seconds_of(run: Run, trial: Trial) -> float | None:
    """Seconds that a trial takes if it costs what a run did; None if it does not, did not finish or told none."""
    theirs, mine = (_at(c, "trainer.max_steps") for c in (run.config, trial.config))
    alike = all(_at(run.config, name) == _at(trial.config, name) for name in _SAME_COST)
    if (
        run.status != "finished"
        or not run.seconds
        or not alike
        or type(theirs) is not int
        or type(mine) is not int
        or min(theirs, mine) < 1
    ):
        return None
    return run.seconds * mine / theirs


def _at(config: Mapping[str, Any], name: str) -> Any:
    found: Any = config
    for key in name.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found
