"""Whether runs may be put side by side: unlike data are refused, unlike evaluation and budget are marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from personlab.errors import InputError
from personlab.experiments.catalogue import Run
from personlab.experiments.evidence import network_of, stage_of
from personlab.experiments.inputs import INITIAL_WEIGHTS
from personlab.experiments.resumption import resumed_otherwise


@dataclass(frozen=True)
class Spent:
    """What a run took; read once, since a ledger may be long.

    Attributes:
        steps: Steps of the optimiser.
        images_seen: Images of the training steps, over all processes.
        seconds: Of training.
        device_hours: Hours times devices.
    """

    steps: int
    images_seen: int
    seconds: float | None
    device_hours: float | None

    @classmethod
    def by(cls, run: Run) -> Spent:
        """What a run took."""
        return cls(run.steps, run.images_seen, run.seconds, run.device_hours)


def refuse_unlike(runs: Sequence[Run]) -> None:
    """Refuse runs that were not scored on the same images and annotations.

    Args:
        runs: All with an evaluation; the first is the baseline.

    Raises:
        InputError: If the data or the number of images differ.
    """
    first = runs[0]
    told = _scored_on(first)
    for run in runs[1:]:
        other = _scored_on(run)
        for name in ("split", "data hash", "images"):
            if other[name] != told[name]:
                raise InputError(
                    f"{run.path}: scored on other data than {first.path} ({name} {other[name]}, not {told[name]}): "
                    "leave one of them out, or evaluate both on the same images"
                )


def marks_of(run: Run, spent: Spent, baseline: Run, baseline_spent: Spent) -> list[str]:
    """In what a run differs from the baseline so that a difference of scores may not be due to its settings.

    Returns:
        A few words each, such as `eval_size 801, not 513`; empty if there is nothing to say.
    """
    marks = [] if run.status == "finished" else [f"{run.status}, not finished"]
    marks += resumed_otherwise(run)
    if run is baseline:
        return marks
    mine, theirs = _evaluated_by(run), _evaluated_by(baseline)
    marks += [f"{name} {mine[name]}, not {theirs[name]}" for name in mine if mine[name] != theirs[name]]
    hashes = [(r.card.get("data_hash") or {}).get("train") for r in (run, baseline)]
    if None not in hashes and hashes[0] != hashes[1]:
        marks.append("trained on other data")
    for name, amount, other in (
        ("steps", spent.steps, baseline_spent.steps),
        ("images seen", spent.images_seen, baseline_spent.images_seen),
    ):
        if amount != other:
            marks.append(f"{name} {amount:,}, not {other:,}")
    weights = [r.section("weights_hash").get(INITIAL_WEIGHTS) for r in (run, baseline)]
    names = [r.settings.get(INITIAL_WEIGHTS) for r in (run, baseline)]
    if None not in weights and weights[0] != weights[1] and names[0] == names[1]:
        marks.append("initial weights of the same name with other content")
    codes = [r.card.get("git") or {} for r in (run, baseline)]
    if codes[0].get("commit") != codes[1].get("commit"):
        marks.append("other code")
    if any(code.get("dirty") for code in codes):
        marks.append("code with changes that are not committed")
    return marks


def _scored_on(run: Run) -> dict[str, Any]:
    stage = stage_of(run)
    evaluation = run.evaluation or {}
    return {
        "split": stage, "data hash": (run.card.get("data_hash") or {}).get(stage), "images": evaluation.get("images")
    }  # fmt: skip


def _evaluated_by(run: Run) -> dict[str, Any]:
    """What makes scores of the same weights differ, but for the decoder, which is a setting like others."""
    data, evaluation = run.config.get("data", {}), run.evaluation or {}
    stride = run.config.get("model", {}).get("eval_stride")
    return {
        "eval_size": data.get("eval_size"),
        "eval_scale": data.get("eval_scale"),
        "eval_stride": stride if stride is not None else network_of(run).output_stride,
        "only_with_keypoints": bool(evaluation.get("only_with_keypoints")),
        "weights": evaluation.get("weights", "raw"),
    }
