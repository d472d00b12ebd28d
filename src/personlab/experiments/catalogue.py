"""Runs as they lie on disk, read again: the only place that knows what stands in a run directory."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from personlab.errors import InputError
from personlab.evaluation.coco_ap import Kind
from personlab.experiments.ledger import Ledger
from personlab.experiments.lock import is_held

_NO_SETTINGS = (
    "run.", "samples.", "contact_sheet.", "checkpoint.", "ckpt_path", "data.root", "data.workers",
    "data.loader_timeout_s", "trainer.default_root_dir", "trainer.enable_", "trainer.log_every_n_steps",
    "trainer.logger", "verbose", "weights_only",
)  # fmt: skip
"""Starts of the names of options that decide no result: where things lie, and what is shown or kept."""


@dataclass(frozen=True, eq=False)
class Run:
    """One run directory.

    Attributes:
        path: The directory.
        card: The run card, `run.json`.
        config: The resolved config, empty if it was never written.
        evaluation: The last evaluation, None if there was none.
    """

    path: Path
    card: dict[str, Any]
    config: dict[str, Any]
    evaluation: dict[str, Any] | None

    @property
    def name(self) -> str:
        """The name given by the user."""
        return str(self.card.get("name", self.path.parent.name))

    @property
    def run_id(self) -> str:
        """The unique id."""
        return str(self.card.get("run_id", self.path.name))

    @cached_property
    def status(self) -> str:
        """As on its card, or `dead` if that says `running` and no process of this machine trains there."""
        told = str(self.card.get("status", "unknown"))
        return "dead" if told == "running" and not is_held(self.path) else told

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The options that decide a result, by dotted names."""
        return {key: value for key, value in _flat(self.config).items() if not key.startswith(_NO_SETTINGS)}

    def ap(self, kind: Kind) -> float | None:
        """Average precision of its last evaluation."""
        value = (self.evaluation or {}).get(kind, {}).get("AP")
        return None if value is None else float(value)

    def lines(self) -> list[dict[str, Any]]:
        """Lines of its ledger."""
        return self._lines

    @cached_property
    def _lines(self) -> list[dict[str, Any]]:
        return Ledger(str(self.path)).lines()

    @cached_property
    def steps(self) -> int:
        """Steps of the optimiser: the n-th is logged as n - 1, but an evaluation before the first one as 0, too."""
        trained = [line["step"] + 1 for line in self._lines if any(key.startswith("train/") for key in line)]
        told = (self.evaluation or {}).get("step") or 0
        return int(max([told, *trained]))

    @cached_property
    def images_seen(self) -> int:
        """Training images, over all processes."""
        return int(max((line.get("samples_seen") or 0 for line in self._lines), default=0))

    @cached_property
    def seconds(self) -> float | None:
        """Seconds of training."""
        told = [float(line["wall_s"]) for line in self._lines if line.get("wall_s") is not None]
        return max(told, default=None)

    @property
    def device_hours(self) -> float | None:
        """Hours of training times devices."""
        devices = (self.card.get("batch") or {}).get("processes", 1)
        return None if self.seconds is None else self.seconds / 3600 * devices


def read_run(path: str | Path) -> Run:
    """Read a run directory.

    Raises:
        InputError: If it is none, or a file in it is damaged.
    """
    path = Path(path)
    if not (path / "run.json").is_file():
        raise InputError(f"{path}: is no run directory (no run.json); name one, as runs/NAME/ID")
    card, config, evaluation = _json(path / "run.json"), path / "config.yaml", path / "evaluation.json"
    content: Any = {}
    if config.is_file():
        try:
            content = OmegaConf.to_container(OmegaConf.load(config), resolve=False)
        except Exception as error:  # every YAML library error has its own class
            raise InputError(f"{config}: cannot be read: {error}; leave this run out") from error
    return Run(path, card, content, _json(evaluation) if evaluation.is_file() else None)


def find_runs(root: str | Path) -> list[Run]:
    """All runs below a folder, sorted by path.

    Raises:
        InputError: If a run in it is damaged.
    """
    return [read_run(card.parent) for card in sorted(Path(root).rglob("run.json"))]


def _flat(content: Any, name: str = "") -> dict[str, Any]:
    """Nested mappings as one, by dotted names."""
    if not isinstance(content, dict) or not content:
        return {name: content}
    parts = [_flat(value, f"{name}.{key}" if name else str(key)) for key, value in content.items()]
    return {key: value for part in parts for key, value in part.items()}


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}; leave this run out") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no object; leave this run out")
    return content
