"""A run as its directory tells of it."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from personlab.experiments.lock import is_held
from personlab.experiments.runs import RunDirectory
from personlab.experiments.settings import settings_of

COMMANDS = ("fit", "validate", "test")
"""What a run can be a run of."""
Axis = Literal["step", "samples_seen", "wall_s"]
ENDS = ("finished", "interrupted", "failed", "preempted")
"""What a card says of a run that has ended."""
STATUSES = (*ENDS, "running", "dead", "broken")
"""`dead`: the card says running, but no process does; `broken`: no card that could be read."""
_TAIL_BYTES = 65536


@dataclass(frozen=True, eq=False)
class Run:
    """What a run directory held when it was read; ledgers are read when they are first asked for.

    Attributes:
        directory: Where it lies.
        card: Of `run.json`; empty if that cannot be read.
        config: As in `config.yaml`; empty if that cannot be read.
        evaluation: Scores of the last evaluation, None before the first.
        faults: What is wrong with the directory, in words; a whole one has none.
    """

    directory: RunDirectory
    card: dict[str, Any]
    config: dict[str, Any]
    evaluation: dict[str, Any] | None
    faults: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.directory.path

    @property
    def name(self) -> str:
        """Name of the experiment."""
        return self._told("name") or self.directory.name

    @property
    def run_id(self) -> str:
        """Id of the run."""
        return self._told("run_id") or self.directory.run_id

    @property
    def status(self) -> str:
        """One of `STATUSES`; asks the run's lock whether it still runs."""
        told = self._told("status")
        if told == "running":
            return "running" if is_held(self.path) else "dead"
        return told if told in ENDS else "broken"

    @property
    def command(self) -> str:
        """What it was a run of, one of `COMMANDS`: by the data that it read, or by its command line."""
        read = self.section("data_hash").keys()
        if read:
            return "fit" if "train" in read else "validate" if "val" in read else "test"
        return next((word for word in self.argv if word in COMMANDS), "fit")

    @property
    def argv(self) -> list[str]:
        """The command line that began it; empty if it is not known."""
        words = self.card.get("argv")
        return [str(word) for word in words] if isinstance(words, list) else []

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Options that decide the result, by dotted name; those that are null are left out."""
        return settings_of(self.config)

    def section(self, name: str) -> dict[str, Any]:
        """A part of the card, such as `git`; empty if it is not there."""
        part = self.card.get(name)
        return part if isinstance(part, dict) else {}

    @property
    def resumed(self) -> list[dict[str, Any]]:
        """What the card says of each time that the run went on."""
        parts = self.card.get("resumed")
        return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []

    def place(self, path: str) -> Path:
        """A path that its config names, which is relative to where the run was started."""
        cwd = self.card.get("cwd")
        return Path(cwd) / path if isinstance(cwd, str) else Path(path)

    @property
    def commit(self) -> str | None:
        """Commit of the code, None if it is not known."""
        commit = self.section("git").get("commit")
        return commit if isinstance(commit, str) else None

    @property
    def dirty(self) -> bool | None:
        """Whether the code had changes that were not committed; None if it is not known."""
        dirty = self.section("git").get("dirty")
        return dirty if isinstance(dirty, bool) else None

    @property
    def start(self) -> datetime | None:
        """When it began."""
        try:
            return datetime.strptime(str(self.card.get("start")), "%Y-%m-%dT%H:%M:%S%z")
        except ValueError:
            return None

    def figures(self, kind: str) -> dict[str, Any]:
        """Scores of the last evaluation for `keypoints` or `segmentation`; empty before the first."""
        scores = (self.evaluation or {}).get(kind)
        return scores if isinstance(scores, dict) else {}

    def ap(self, kind: str) -> float | None:
        """Average precision of the last evaluation for `keypoints` or `segmentation`, None if there is none."""
        return _number(self.figures(kind).get("AP"))

    @property
    def seconds(self) -> float | None:
        """Wall time of training, that of all parts of a resumed run; None without a ledger."""
        return self._last.get("wall_s")

    @property
    def steps(self) -> int:
        """Optimisation steps done, as far as they were logged; none for runs that only evaluate."""
        return int(self._last.get("step", -1)) + 1 if self.command == "fit" else 0

    @property
    def images_seen(self) -> int:
        """Training images seen by all processes, as far as they were logged."""
        return int(self._last.get("samples_seen", 0))

    @property
    def processes(self) -> int:
        """Processes that trained side by side; the most, if the run went on with another number."""
        batches = [self.card.get("batch"), *(part.get("batch") for part in self.resumed)]
        counts = [b["processes"] for b in batches if isinstance(b, dict) and isinstance(b.get("processes"), int)]
        return max([1, *counts])

    @property
    def device_hours(self) -> float | None:
        """Hours of training times processes; None without a ledger."""
        return None if self.seconds is None else self.seconds * self.processes / 3600

    def lines(self) -> list[dict[str, Any]]:
        """The ledger, line by line; those that a kill cut short are left out."""
        return self._lines

    def curve(self, metric: str, axis: Axis = "step") -> list[tuple[float, float]]:
        """A metric over time, where it was logged and finite.

        Args:
            metric: As `val/keypoints/AP`.
            axis: `step` (from 0 on), `samples_seen` or `wall_s`.

        Returns:
            (place on the axis, value), in the order of the ledger.
        """
        points = ((_number(line.get(axis)), _number(line.get(metric))) for line in self.lines())
        return [(place, value) for place, value in points if place is not None and value is not None]

    def summary(self) -> dict[str, Any]:
        """The run in a few plain values, for lists."""
        return {
            "path": str(self.path), "name": self.name, "run_id": self.run_id, "command": self.command,
            "status": self.status, "keypoints_AP": self.ap("keypoints"), "segmentation_AP": self.ap("segmentation"),
            "steps": self.steps, "images_seen": self.images_seen, "seconds": self.seconds,
            "device_hours": self.device_hours, "commit": self.commit, "dirty": self.dirty,
            "start": self._told("start"), "end": self._told("end"), "faults": list(self.faults),
        }  # fmt: skip

    def _told(self, name: str) -> str | None:
        value = self.card.get(name)
        return value if isinstance(value, str) and value else None

    @cached_property
    def _lines(self) -> list[dict[str, Any]]:
        try:
            return _parsed(self.directory.ledger.read_bytes())
        except OSError:
            return []

    @cached_property
    def _last(self) -> dict[str, float]:
        """The last numbers of the ledger's axes, from its end: a list of runs must not read all of every ledger."""
        axes = ("step", "samples_seen", "wall_s")
        try:
            with self.directory.ledger.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(size - _TAIL_BYTES, 0))
                lines = _parsed(file.read())
        except OSError:
            return {}
        found = _last_of(lines, axes)
        return found if len(found) == len(axes) or size <= _TAIL_BYTES else _last_of(self.lines(), axes)


def _parsed(content: bytes) -> list[dict[str, Any]]:
    lines = []
    for line in content.decode("utf-8", errors="replace").split("\n"):
        try:
            read = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(read, dict):
            lines.append(read)
    return lines


def _last_of(lines: list[dict[str, Any]], axes: tuple[str, ...]) -> dict[str, float]:
    found: dict[str, float] = {}
    for line in reversed(lines):
        for axis in axes:
            value = _number(line.get(axis))
            if axis not in found and value is not None:
                found[axis] = value
        if len(found) == len(axes):
            break
    return found


def _number(value: Any) -> float | None:
    """A finite number, or None: a line that somebody else wrote may hold anything."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:  # a whole number that is larger than any float
        return None
