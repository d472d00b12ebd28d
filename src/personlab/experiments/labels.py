"""What runs, and settings of several runs, are called where they stand side by side."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from personlab.experiments.catalogue import Run
from personlab.experiments.settings import differing, short_name, short_value

SEEDS = ("seed_everything", "data.seed")
"""Settings in which runs of the same setting may differ."""
_MOST_TOLD = 3
"""Settings that a label names at most."""


def labels_of(runs: Sequence[Run]) -> list[str]:
    """A short name for each run, all different: its name, with its id where several share it."""
    names = [run.name for run in runs]
    labels = [n if names.count(n) == 1 else f"{n}/{run.run_id}" for n, run in zip(names, runs, strict=True)]
    return [label if labels.count(label) == 1 else str(run.path) for label, run in zip(labels, runs, strict=True)]


def setting_labels(groups: Sequence[Sequence[Run]]) -> list[str]:
    """A name for each setting, all different: where runs of several have one name, with what the settings differ in.

    Args:
        groups: Runs of each setting.
    """
    names = [_common_name(runs) for runs in groups]
    called: dict[str, list[Mapping[str, Any]]] = {}
    for name, runs in zip(names, groups, strict=True):
        called.setdefault(name, []).append(runs[0].settings)
    varied = {name: [key for key in differing(alike) if key not in SEEDS] for name, alike in called.items()}
    told_by = {name: [(key, short_name(key, keys)) for key in keys[:_MOST_TOLD]] for name, keys in varied.items()}
    labels = []
    for name, runs in zip(names, groups, strict=True):
        mine = runs[0].settings
        told = ", ".join(f"{word} {short_value(key, mine.get(key))}" for key, word in told_by[name])
        labels.append(f"{name} ({told})" if told else name)
    with_ids = [  # what differs is the code or the data
        label if labels.count(label) == 1 else f"{label} ({runs[0].run_id})"
        for label, runs in zip(labels, groups, strict=True)
    ]
    return [
        label if with_ids.count(label) == 1 else f"{label} ({runs[0].path})"
        for label, runs in zip(with_ids, groups, strict=True)
    ]


def _common_name(runs: Sequence[Run]) -> str:
    """What runs of a setting are called: what their names have in common, without a number of the seed."""
    names = [run.name for run in runs]
    if len(set(names)) == 1:
        return names[0]
    length = next(n for n, letters in enumerate(zip_longest(*names)) if len(set(letters)) > 1)
    start = names[0][:length]
    if any(name[length : length + 1].isdigit() for name in names):
        start = start.rstrip("0123456789")  # seeds 10 and 11 have a digit in common
    return re.sub(r"[-_. =]+((seed|s)[-_. =]*)?$", "", start) or names[0]
