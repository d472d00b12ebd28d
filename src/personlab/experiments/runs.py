"""Run directories: `runs/<name>/<run_id>/`, what stands in them, and the run card."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import secrets
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from personlab.errors import InputError
from personlab.evaluation.results import write_json
from personlab.experiments.launch import shared_run_id
from personlab.experiments.provenance import git_state, now, versions

logger = logging.getLogger("personlab")


@dataclass(frozen=True)
class RunDirectory:
    """Where one run keeps everything; never shared with another run."""

    path: Path

    @property
    def name(self) -> str:
        """The name given by the user."""
        return self.path.parent.name

    @property
    def run_id(self) -> str:
        """Unique id: start time and a random part, or what names the tasks of a SLURM step."""
        return self.path.name

    @property
    def config(self) -> Path:
        """The resolved configuration, all of it."""
        return self.path / "config.yaml"

    @property
    def card(self) -> Path:
        """The run card."""
        return self.path / "run.json"

    @property
    def ledger(self) -> Path:
        """One line a logged step."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Checkpoints of the Trainer."""
        return self.path / "checkpoints"

    @property
    def predictions(self) -> Path:
        """COCO results of each evaluation."""
        return self.path / "predictions"

    @property
    def figures(self) -> Path:
        """Contact sheets."""
        return self.path / "figures"

    @classmethod
    def plan(cls, root: str | Path, name: str) -> RunDirectory:
        """A new run's place, the same in all processes of a launch; nothing is written.

        Raises:
            InputError: If the name is not that of one folder.
        """
        if name in ("", ".", "..") or Path(name).name != name:
            raise InputError(f"--run.name {name!r}: give the name of one folder, below --run.root")
        own = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        return cls(Path(root).resolve() / name / shared_run_id(own))

    def make(self) -> RunDirectory:
        """Make the directory of a new run, empty.

        Returns:
            Itself.

        Raises:
            InputError: If it cannot be written, or is another run's.
        """
        try:
            self.path.mkdir(parents=True)
            for folder in (self.checkpoints, self.predictions, self.figures):
                folder.mkdir()
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot make the run directory ({error.strerror}); set --run.root"
            ) from error
        return self

    @classmethod
    def of_checkpoint(cls, checkpoint: str | Path) -> RunDirectory | None:
        """The run that a checkpoint belongs to, or None if it lies outside any run directory."""
        folder = Path(checkpoint).resolve().parent
        run = cls(folder.parent)
        return run if folder.name == "checkpoints" and run.card.is_file() else None


def start_card(
    run: RunDirectory,
    seed: int | None,
    devices: str,
    data_hash: dict[str, str],
    batch: dict[str, int] | None = None,
    weights_hash: dict[str, str] | None = None,
) -> None:
    """Write the card of a run that begins, or note on an existing card that the run is resumed.

    Args:
        run: Its directory.
        seed: What order, views and initial weights follow from.
        devices: The hardware, in words.
        data_hash: Content hash of each part of the data; a resumed run notes its own beside the first one's.
        batch: Images of a training step, and how they are shared: `global`, `processes`, `accumulated`, `at_once`.
        weights_hash: SHA-256 of the weight files that it starts from, by the option that names them.
    """
    started = now()
    resumes = run.card.is_file()
    card = _read_card(run) if resumes else {}
    if not card:
        card = {
            "name": run.name,
            "run_id": run.run_id,
            "status": "running",
            "argv": sys.argv,
            "cwd": os.getcwd(),
            "git": git_state(),
            "config_hash": hashlib.sha256(run.config.read_bytes()).hexdigest()[:16],
            "data_hash": data_hash,
            "weights_hash": weights_hash or {},
            "batch": batch,
            "seed": seed,
            "versions": versions(),
            "devices": devices,
            "start": started,
        }
    if resumes:
        part = {"start": started, "argv": sys.argv, "data_hash": data_hash, "batch": batch}
        card.setdefault("resumed", []).append(part)
    write_json(run.card, card | {"status": "running", "end": None})


def finish_card(run: RunDirectory, status: str) -> None:
    """Note how a run ended: `finished`, `interrupted` or `failed`."""
    write_json(run.card, _read_card(run) | {"status": status, "end": now()})


def _read_card(run: RunDirectory) -> dict[str, Any]:
    """The card; empty, and told, if it is damaged: checkpoints and ledger are worth more than what it tells."""
    try:
        card = json.loads(run.card.read_text(encoding="utf-8"))
        if isinstance(card, dict):
            return card
        problem = "is no mapping"
    except ValueError as error:
        problem = str(error)
    logger.warning("%s: is damaged (%s); a new card takes its place, and how the run began is lost", run.card, problem)
    return {}


def describe_devices(accelerator: str) -> str:
    """The hardware a run uses, in words."""
    if accelerator == "cuda":
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    return f"{accelerator}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, {platform.machine()}"
