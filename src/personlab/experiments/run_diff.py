"""What differs between two runs: config, code, data, environment, seed, batch, scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from personlab.experiments.provenance import commits_between
from personlab.experiments.record import Run
from personlab.experiments.resumption import other_settings
from personlab.experiments.settings import differing, flat

_SEED = "seed_everything"
_KINDS = ("keypoints", "segmentation")


@dataclass(frozen=True)
class Group:
    """One respect in which two runs may differ.

    Attributes:
        differs: What differs, by name: the first run's value and the second's, None for what is not there.
        notes: What must be known beside that, such as what neither run tells.
        commits: Of `code`: commits that only the first run's code lacks (`a..b`) and the other way round (`b..a`).
    """

    differs: dict[str, tuple[Any, Any]]
    notes: tuple[str, ...] = ()
    commits: dict[str, list[str]] | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        told: dict[str, Any] = {"differs": {name: list(pair) for name, pair in self.differs.items()}}
        told["notes"] = list(self.notes)
        return told if self.commits is None else told | {"commits": self.commits}


def diff_runs(a: Run, b: Run) -> dict[str, Group]:
    """What differs between two runs.

    Returns:
        `config`, `code`, `data`, `environment`, `seed`, `batch` and `scores`; of the last, every figure is listed that
        either run has.
    """
    return {
        "config": _config(a, b),
        "code": _code(a, b),
        "data": _data(a, b),
        "environment": _environment(a, b),
        "seed": _group([{"seed": run.card.get("seed")} for run in (a, b)], "seed"),
        "batch": _recorded(a, b, "batch"),
        "scores": _scores(a, b),
    }


def _group(told: Sequence[Mapping[str, Any]], what: str, notes: Sequence[str] = ()) -> Group:
    """The group of two flat mappings; it notes of which run nothing is known."""
    a, b = told
    known = [any(value is not None for value in one.values()) for one in (a, b)]
    if not all(known):
        which = "neither run tells" if not any(known) else f"run {'b' if known[0] else 'a'} does not tell"
        return Group({}, (f"{which} its {what}", *notes))
    names = sorted(a.keys() | b.keys())
    return Group({name: (a.get(name), b.get(name)) for name in names if a.get(name) != b.get(name)}, tuple(notes))


def _config(a: Run, b: Run) -> Group:
    settings = [{name: value for name, value in run.settings.items() if name != _SEED} for run in (a, b)]
    notes = [] if a.command == b.command else [f"a is a run of {a.command}, b of {b.command}"]
    for letter, run in (("a", a), ("b", b)):
        told = "; ".join(fault for fault in run.faults if fault.startswith("config.yaml"))
        notes += [f"{letter}: {told}"] if told else []
        notes += [f"{letter}: {changed}" for changed in other_settings(run)]
    if a.config and b.config:
        whole, decisive = [flat(run.config) for run in (a, b)], {_SEED, *settings[0], *settings[1]}
        besides = [name for name in differing(whole) if name not in decisive]
        notes += [f"what decides no result differs: {', '.join(besides)}"] if besides else []
    return _group(settings, "config", notes)


def _code(a: Run, b: Run) -> Group:
    states = [flat(run.section("git")) for run in (a, b)]
    notes = [
        f"{letter} ran with changes that were not committed: nobody kept them"
        for letter, run in (("a", a), ("b", b))
        if run.dirty
    ]
    found = _group(states, "commit", notes)
    if a.commit is None or b.commit is None or a.commit == b.commit:
        return found
    between = {"a..b": commits_between(a.commit, b.commit), "b..a": commits_between(b.commit, a.commit)}
    told = {name: commits for name, commits in between.items() if commits is not None}
    if not told:
        return Group(found.differs, (*notes, "the repository is not here, or does not have both commits"))
    return Group(found.differs, found.notes, told)


def _data(a: Run, b: Run) -> Group:
    """Data by its hashes, and weight files by theirs; what a run does not tell of the one it may tell of the other."""
    data = _recorded(a, b, "data_hash")
    told = [flat({"weights_hash": run.section("weights_hash")}) for run in (a, b)]
    weights = {name: (told[0].get(name), told[1].get(name)) for name in differing(told)}
    return Group({f"data_hash.{name}": pair for name, pair in data.differs.items()} | weights, data.notes)


def _recorded(a: Run, b: Run, section: str) -> Group:
    """A part of the card that is noted again when a run goes on."""
    what = section.replace("_", " ")
    notes = [
        f"{letter} went on with other {what}"
        for letter, run in (("a", a), ("b", b))
        if any(part.get(section) not in (None, run.card.get(section)) for part in run.resumed)
    ]
    return _group([flat(run.section(section)) for run in (a, b)], what, notes)


def _environment(a: Run, b: Run) -> Group:
    told = [flat({"versions": r.section("versions"), "devices": r.card.get("devices")}) for r in (a, b)]
    return _group(told, "environment")


def _scores(a: Run, b: Run) -> Group:
    told = [{f"{kind}/{name}": v for kind in _KINDS for name, v in run.figures(kind).items()} for run in (a, b)]
    names = [name for name in {**told[0], **told[1]} if any(one.get(name) is not None for one in told)]
    notes = [
        f"{letter} has not been evaluated" for letter, run in (("a", a), ("b", b)) if run.evaluation is None
    ] + unlike_evaluations(a, b)
    return Group({name: (told[0].get(name), told[1].get(name)) for name in names}, tuple(notes))


def unlike_evaluations(a: Run, b: Run) -> list[str]:
    """Why scores of two runs must not be compared as they stand; empty if nothing speaks against it."""
    if a.evaluation is None or b.evaluation is None:
        return []
    reasons = []
    hashes = [_scored_data(run) for run in (a, b)]
    if None in hashes:
        reasons.append("whether the scores are of the same data is not known")
    elif hashes[0] != hashes[1]:
        reasons.append("they are of other data: scores must not be compared")
    for name, missing in (("images", None), ("only_with_keypoints", False), ("weights", None)):
        one, two = (run.evaluation.get(name, missing) for run in (a, b) if run.evaluation)
        if one != two:
            reasons.append(f"{name.replace('_', ' ')} of the evaluation: {one} and {two}")
    return reasons


def _scored_data(run: Run) -> Any:
    hashes = run.section("data_hash")
    return hashes.get("test" if run.command == "test" else "val")
