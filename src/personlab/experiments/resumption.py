"""What a run did otherwise when it went on."""

from __future__ import annotations

from personlab.experiments.catalogue import Run, read_mapping
from personlab.experiments.inputs import CHECKPOINT
from personlab.experiments.settings import settings_of


def other_settings(run: Run) -> list[str]:
    """Settings that were others when a run was resumed, in words: its config tells nothing of them.

    Empty if it went on as it had begun, but for the checkpoint, or never stopped.
    """
    told = []
    for number in range(1, len(run.resumed) + 1):
        path = run.path / f"config-resumed-{number}.yaml"
        theirs = settings_of(read_mapping(path, []))
        mine = run.settings | {CHECKPOINT: theirs.get(CHECKPOINT)}
        names = [name for name in sorted(mine.keys() | theirs.keys()) if mine.get(name) != theirs.get(name)]
        if theirs:
            told += [f"when resumed ({path.name}) {n} was {theirs.get(n)}, not {mine.get(n)}" for n in names]
    return told


def resumed_otherwise(run: Run) -> list[str]:
    """Settings and data that were others when a run was resumed, in words; see `other_settings`."""
    changed = any(part.get("data_hash") not in (None, run.card.get("data_hash")) for part in run.resumed)
    return [*other_settings(run), *["its data changed before it was resumed"] * changed]
