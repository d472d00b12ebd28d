"""Run directories as rows of results: what a run was told, how it differs from another, what it scored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.commands import DATA, short, told
from personlab.experiments.catalogue import find_runs
from personlab.experiments.settings import flat

NO_RECIPE = ("run", "base", "verbose", "ckpt_path", "contact_sheet", "data.workers", "data.loader_timeout_s")
"""Options that change where a run is kept or how fast it is, and not what comes of it."""


@dataclass(frozen=True)
class Run:
    """A run directory.

    Attributes:
        path: Where it lies.
        card: Its `run.json`.
        options: Its `config.yaml`, with dotted names and lists whole.
        ledger: Its lines.
        evaluation: Its `evaluation.json`, None if it was not evaluated.
    """

    path: Path
    card: dict[str, Any]
    options: dict[str, Any]
    ledger: list[dict[str, Any]]
    evaluation: dict[str, Any] | None

    @classmethod
    def read(cls, path: Path) -> Run:
        """A run directory, or the folder of a name with a single run in it.

        Raises:
            ValueError: If it is neither.
        """
        found = [run for run in find_runs(path) if run.card] if path.is_dir() else []
        if len(found) != 1:
            raise ValueError(f"{path}: has {len(found)} runs; give the directory of one, with its run.json")
        run = found[0]
        if run.faults:
            raise ValueError(f"{run.path}: {run.faults[0]}; leave this run out")
        return cls(run.path, run.card, flat(run.config, nulls=True), run.lines(), run.evaluation)

    @property
    def shown(self) -> str:
        """The run as others would find it: `runs/NAME/ID`."""
        return f"runs/{self.card['name']}/{self.card['run_id']}"

    @property
    def command(self) -> str:
        """What was typed."""
        return told(self.card["argv"])

    def differs_from(self, other: Run) -> dict[str, Any]:
        """Options that have other values than in another run, without those that change no result."""
        names = sorted(self.options.keys() | other.options.keys())
        changed = {name: self.options.get(name) for name in names if self.options.get(name) != other.options.get(name)}
        return {name: _shown(name, value) for name, value in changed.items() if not _is_in(name, NO_RECIPE)}

    def predictions(self, step: int) -> Path:
        """COCO results of the validation after a step."""
        return self.path / "predictions" / f"val-step{step}.json"

    def scores(self, step: int) -> dict[str, float]:
        """What the ledger says of the validation after a step.

        Raises:
            ValueError: If there was none.
        """
        for line in self.ledger:
            if line["step"] == max(step - 1, 0) and "val/keypoints/AP" in line:  # steps count from 0
                return line
        raise ValueError(f"{self.path}: was not validated after step {step}; its ledger tells when it was")

    def origin(self) -> dict[str, Any]:
        """Which run, by what command, code and data."""
        return {
            "run": self.shown, "command": self.command, "commit": self.card["git"].get("commit"),
            "dirty": self.card["git"].get("dirty"),
            **{name: self.card.get(name) for name in ("config_hash", "data_hash", "seed", "devices", "start", "end")},
        }  # fmt: skip


def _is_in(name: str, sections: tuple[str, ...]) -> bool:
    return any(name == section or name.startswith(f"{section}.") for section in sections)


def _shown(name: str, value: Any) -> Any:
    if name == "data.root":
        return DATA
    return short(value) if isinstance(value, str) and "/" in value else value
