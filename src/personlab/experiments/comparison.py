"""Runs side by side: scores, differences to a baseline with their intervals, cost."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from personlab.errors import InputError
from personlab.evaluation.coco_ap import FIGURES, Kind
from personlab.experiments.catalogue import Run
from personlab.experiments.comparability import Spent, marks_of, refuse_unlike
from personlab.experiments.deltas import Delta, by_image, by_seed
from personlab.experiments.evidence import KINDS, Evidence, network_of
from personlab.experiments.labels import SEEDS, labels_of, setting_labels
from personlab.experiments.resumption import resumed_otherwise


@dataclass(frozen=True, eq=False)
class Row:
    """One run that has scores.

    Attributes:
        run: The run.
        label: What it is called here, different from all others.
        setting: Index of its setting.
        seed: What order, views and initial weights followed from.
        partner: Label of the run that it is compared with: the baseline's of the same seed, or the baseline; None for
            the baseline itself.
        deltas: By kind and size, differences of AP to the partner, paired by image; empty without predictions.
        keypoints: By name, differences of keypoint recall, paired by image.
        marks: Why a difference may be due to something else, see `marks_of`.
        spent: What it took.
        parameters: Of the network.
        latency_ms: Milliseconds that network and decoder took an image of the evaluation, on that machine.
    """

    run: Run
    label: str
    setting: int
    seed: int | None
    partner: str | None
    deltas: dict[Kind, dict[str, Delta]]
    keypoints: dict[str, Delta]
    marks: tuple[str, ...]
    spent: Spent
    parameters: int
    latency_ms: float | None

    def to_json(self) -> dict[str, Any]:
        """All that a table shows; `AP` and `deltas` by kind."""
        run = self.run
        return {
            "label": self.label, "path": str(run.path), "status": run.status, "setting": self.setting,
            "seed": self.seed, "partner": self.partner, "marks": list(self.marks),
            "scores": {kind: _figures(run, kind) for kind in KINDS},
            "deltas": {k: {size: d.to_json() for size, d in sizes.items()} for k, sizes in self.deltas.items()},
            "keypoints": {name: delta.to_json() for name, delta in self.keypoints.items()},
            **asdict(self.spent), "parameters": self.parameters, "latency_ms": self.latency_ms,
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Setting:
    """Runs that differ in their seeds alone.

    Attributes:
        label: Of the setting.
        rows: Its runs.
        ap: By kind, mean over its runs.
        spread: By kind, standard deviation over its runs; None for a single one.
        by_seed: By kind, difference to the baseline's setting over the seeds that both have; None for fewer than two.
        by_image: By kind, difference of the means over all runs of both, over the images; None unless all kept their
            predictions.
    """

    label: str
    rows: tuple[Row, ...]
    ap: dict[Kind, float | None]
    spread: dict[Kind, float | None]
    by_seed: dict[Kind, Delta | None]
    by_image: dict[Kind, Delta | None]

    def verdict(self, kind: Kind) -> str:
        """`unknown`, `inconclusive`, `better` or `worse`: only what all intervals there are bear out, see `grounds`."""
        return verdict([self.by_seed[kind], self.by_image[kind]])

    def grounds(self, kind: Kind) -> str:
        """What the verdict goes by: empty where it is by images and seeds, or unknown."""
        known = [delta.paired_by for delta in (self.by_image[kind], self.by_seed[kind]) if delta is not None]
        return f"by {known[0]} alone" if len(known) == 1 else ""

    def to_json(self) -> dict[str, Any]:
        """All attributes, and the verdicts; rows by their labels."""
        return {
            "label": self.label, "runs": [row.label for row in self.rows], "AP": self.ap, "spread": self.spread,
            "by_seed": {k: d and d.to_json() for k, d in self.by_seed.items()},
            "by_image": {k: d and d.to_json() for k, d in self.by_image.items()},
            "verdict": {kind: self.verdict(kind) for kind in KINDS},
            "grounds": {kind: self.grounds(kind) for kind in KINDS},
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Comparison:
    """All of it.

    Attributes:
        rows: Runs with scores, the baseline first.
        settings: The same by setting, the baseline's first.
        unscored: Runs without scores (failed, dead, or still running) and what they took.
        evidence: By label, what was measured image by image.
        notes: What a reader must know, a sentence each.
    """

    rows: tuple[Row, ...]
    settings: tuple[Setting, ...]
    unscored: tuple[tuple[Run, Spent], ...]
    evidence: Mapping[str, Evidence]
    notes: tuple[str, ...]

    @property
    def runs(self) -> list[Run]:
        """All of them, those without scores last."""
        return [*(row.run for row in self.rows), *(run for run, _ in self.unscored)]

    @property
    def has_seeds(self) -> bool:
        """Whether any setting was run more than once."""
        return any(len(setting.rows) > 1 for setting in self.settings)

    def to_json(self) -> dict[str, Any]:
        """What `personlab compare --json` writes."""
        errors = {label: evidence.errors for label, evidence in self.evidence.items()}
        return {
            "baseline": self.rows[0].label,
            "runs": [row.to_json() | {"errors": errors.get(row.label, {})} for row in self.rows],
            "settings": [setting.to_json() for setting in self.settings],
            "unscored": [
                {"path": str(run.path), "status": run.status, **asdict(spent)} for run, spent in self.unscored
            ],
            "not_finished": sum(run.status != "finished" for run in self.runs),
            "notes": list(self.notes),
        }


def verdict(deltas: Iterable[Delta | None]) -> str:
    """What differences of the same thing say together; one that is inconclusive makes all so."""
    known = [delta for delta in deltas if delta is not None]
    if not known:
        return "unknown"
    if all(delta.low > 0 for delta in known):
        return "better"
    if all(delta.high < 0 for delta in known):
        return "worse"
    return "inconclusive"


def compare_runs(
    runs: Sequence[Run], baseline: Run, hear: Callable[[Run], Evidence | None], notes: Sequence[str] = ()
) -> Comparison:
    """Put runs side by side.

    Args:
        runs: In the order in which to show them; the baseline is one of them.
        baseline: What all are compared with.
        hear: What a run's predictions say, None if it has none; see `Judge.hear`.
        notes: What is known already.

    Raises:
        InputError: If the baseline has no scores, or runs were scored on unlike data.
    """
    if baseline.evaluation is None:
        raise InputError(f"{baseline.path}: has no evaluation.json, so nothing can be compared with it; evaluate it")
    if not has_scores(baseline):
        raise InputError(f"{baseline.path}: {'; '.join(baseline.faults)}; so nothing can be compared with it")
    scored = [baseline, *(run for run in runs if run is not baseline and has_scores(run))]
    refuse_unlike(scored)
    groups = group_by_setting(scored)
    scored = [run for group in groups for run in group]  # runs of a setting stand together, the baseline's first
    labels = labels_of(scored)
    heard = {label: hear(run) for label, run in zip(labels, scored, strict=True)}
    evidence = {label: found for label, found in heard.items() if found is not None}
    spent = [Spent.by(run) for run in scored]
    rows: list[Row] = []
    for n, run in enumerate(scored):
        setting = next(k for k, group in enumerate(groups) if any(run is member for member in group))
        partner = _partner(run, baseline, groups[0])
        other = next(k for k, one in enumerate(scored) if one is (partner or run))
        marks = marks_of(run, spent[n], scored[other], spent[other])
        latency = _latency_ms(run)
        network = network_of(run)
        deltas, keypoints = _deltas(
            evidence.get(labels[other]) if partner else None, heard[labels[n]], network.skeleton.keypoint_names
        )
        rows.append(
            Row(
                run, labels[n], setting, _seed(run), labels[other] if partner else None, deltas, keypoints,
                tuple(marks), spent[n], sum(p.numel() for p in network.parameters()), latency,
            )
        )  # fmt: skip
    members = [[row for row in rows if row.setting == n] for n in range(len(groups))]
    named = zip(setting_labels(groups), members, strict=True)
    settings = [_setting(label, some, rows, evidence) for label, some in named]
    unscored = tuple((run, Spent.by(run)) for run in runs if run is not baseline and not has_scores(run))
    lacking = [label for label in labels if label not in evidence]
    told = [f"No predictions kept, so no intervals over images: {', '.join(lacking)}."] if lacking and evidence else []
    return Comparison(tuple(rows), tuple(settings), unscored, evidence, (*notes, *told))


def has_scores(run: Run) -> bool:
    """Whether it can be compared: of scores without a run card or a config nobody knows what they are of."""
    return run.evaluation is not None and bool(run.card) and bool(run.config)


def group_by_setting(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs of the same config, code, data and initial weights that differ in their seeds alone.

    In the order of the first of each.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        decided = {key: value for key, value in run.settings.items() if key not in SEEDS}
        card = [run.card.get("git"), run.card.get("data_hash"), run.section("weights_hash")]
        key = [decided, *card, resumed_otherwise(run)]
        groups.setdefault(json.dumps(key, sort_keys=True, default=str), []).append(run)
    return list(groups.values())


def _partner(run: Run, baseline: Run, group: Sequence[Run]) -> Run | None:
    """Which run of the baseline's setting to compare with: runs of one seed have much chance in common."""
    if run is baseline:
        return None
    if any(run is member for member in group):
        return baseline
    return next((other for other in group if _seed(other) == _seed(run)), baseline)


def _deltas(
    one: Evidence | None, two: Evidence | None, names: Sequence[str]
) -> tuple[dict[Kind, dict[str, Delta]], dict[str, Delta]]:
    """Differences of AP by kind and size, and of recall by keypoint; empty without evidence of both."""
    deltas: dict[Kind, dict[str, Delta]] = {}
    keypoints: dict[str, Delta] = {}
    if one is None or two is None:
        return deltas, keypoints
    images = len(one.image_ids)
    for kind in (kind for kind in KINDS if kind in one.resampled and kind in two.resampled):
        values, resampled = (one.precisions[kind], two.precisions[kind]), (one.resampled[kind], two.resampled[kind])
        for size in values[0]:
            delta = by_image([values[0][size]], [values[1][size]], [resampled[0][size]], [resampled[1][size]], images)
            if delta is not None:
                deltas.setdefault(kind, {})[size] = delta
    for k, name in enumerate(names):
        first, second = one.resampled_recalls[:, k], two.resampled_recalls[:, k]
        delta = by_image([one.recalls[k]], [two.recalls[k]], [first], [second], images)
        if delta is not None:
            keypoints[name] = delta
    return deltas, keypoints


def _latency_ms(run: Run) -> float | None:
    told = run.evaluation or {}
    spent = told.get("seconds")
    if not isinstance(spent, Mapping):
        return None
    seconds = spent.get("network", 0.0) + spent.get("decode", 0.0)
    return 1e3 * seconds / told["images"] if seconds and told.get("images") else None


def _setting(label: str, rows: Sequence[Row], everyone: Sequence[Row], evidence: Mapping[str, Evidence]) -> Setting:
    base = [row for row in everyone if row.setting == 0]
    ap, spread = dict[Kind, float | None](), dict[Kind, float | None]()
    seeds, images = dict[Kind, Delta | None](), dict[Kind, Delta | None]()
    by_own_seed = {row.seed: row for row in rows}  # of runs with the same seed, the last
    pairs = [(one, by_own_seed[seed]) for seed, one in {row.seed: row for row in base}.items() if seed in by_own_seed]
    for kind in KINDS:
        values = [value for row in rows if (value := row.run.ap(kind)) is not None]
        ap[kind] = float(np.mean(values)) if values else None
        spread[kind] = float(np.std(values, ddof=1)) if len(values) > 1 else None
        seeds[kind] = images[kind] = None
        if rows[0].setting == 0:
            continue
        known = [(one.run.ap(kind), two.run.ap(kind)) for one, two in pairs]
        both = [(one, two) for one, two in known if one is not None and two is not None]
        seeds[kind] = by_seed([one for one, _ in both], [two for _, two in both])
        one, two = _heard(base, kind, evidence), _heard(rows, kind, evidence)
        if one and two:
            images[kind] = by_image(
                [e.precisions[kind]["all"] for e in one], [e.precisions[kind]["all"] for e in two],
                [e.resampled[kind]["all"] for e in one], [e.resampled[kind]["all"] for e in two],
                len(one[0].image_ids),
            )  # fmt: skip
    return Setting(label, tuple(rows), ap, spread, seeds, images)


def _heard(rows: Sequence[Row], kind: Kind, evidence: Mapping[str, Evidence]) -> list[Evidence]:
    """Evidence of all runs, or nothing if any has none of this kind."""
    found = [evidence[row.label] for row in rows if row.label in evidence and kind in evidence[row.label].resampled]
    return found if len(found) == len(rows) else []


def _seed(run: Run) -> int | None:
    seed = run.card.get("seed")
    return int(seed) if seed is not None else None


def _figures(run: Run, kind: Kind) -> dict[str, float | None]:
    told = (run.evaluation or {}).get(kind, {})
    return {name: told.get(name) for name in FIGURES[kind]}
