"""What came of the trainings of a study, read from their run directories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from personlab.data.coco import annotation_path
from personlab.errors import InputError
from personlab.experiments.ablation.matches import CellMatches, Scorer
from personlab.experiments.ablation.plan import Trial
from personlab.experiments.ablation.run import Runner
from personlab.experiments.ablation.table import Found
from personlab.experiments.catalogue import Run
from personlab.experiments.evidence import predictions_of
from personlab.skeleton import COCO, Skeleton


def collect(plan: Sequence[Trial], runner: Runner) -> list[Found]:
    """What came of each cell: the results of the last validation of every finished run.

    Args:
        plan: All trials.
        runner: That ran them.

    Raises:
        InputError: If runs were scored by other annotations.
    """
    scorers: dict[tuple[Path, str | None, bool], Scorer] = {}
    by_cell: dict[str, list[Trial]] = {}
    for trial in plan:
        by_cell.setdefault(trial.cell, []).append(trial)
    found = []
    for cell, trials in by_cell.items():
        finished = {t.seed: runner.runs[t.key] for t in trials if t.key in runner.runs}
        config = {t.seed: t.config for t in trials}
        runs = {seed: _matches(run, config[seed], scorers, runner.root) for seed, run in finished.items()}
        failed = sum(runner.failed(t) for t in trials)
        found.append(Found(cell, runs, failed, len(trials) - len(finished) - failed))
    return found


def _matches(run: Run, config: dict[str, Any], scorers: dict[Any, Scorer], root: Path) -> CellMatches:
    """What one run found at its end."""
    data = config["data"]
    # The annotations of this machine: a run that was taken over may have had them elsewhere, with the same content.
    annotations = annotation_path(data["root"], data.get("val_split", "val2017"), data["annotations"])
    results = predictions_of(run)
    assert results is not None  # see `find_finished`
    key = (annotations, data.get("skeleton"), bool((run.evaluation or {}).get("only_with_keypoints")))
    if key not in scorers:
        skeleton = COCO if key[1] is None else Skeleton.from_file(key[1])
        scorers[key] = Scorer(annotations, skeleton, key[2])
    try:
        return scorers[key].read(results, _about(run, root))
    except InputError as error:
        raise InputError(f"{error}; or remove {run.path}, and the same command trains it again") from error


def _about(run: Run, root: Path) -> dict[str, Any]:
    return {
        "run": f"{root.name}/{run.path.relative_to(root)}", "minutes": round((run.seconds or 0.0) / 60, 2),
        "commit": run.commit, "dirty": run.dirty, "config_hash": run.card.get("config_hash"),
        "data_hash": run.card.get("data_hash"), "devices": run.card.get("devices"),
    }  # fmt: skip
