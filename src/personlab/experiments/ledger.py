"""The ledger: every logged step as one JSON line, the source of all reports."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only


class Ledger(Logger):
    """Appends to `metrics.jsonl`: `step`, `epoch`, `samples_seen`, `wall_s` and the metrics logged there.

    `wall_s` is seconds of training since the run began; a resumed run goes on counting where its ledger stopped. At the
    end of a run the ledger is written out as a table, `metrics.csv`, too.
    """

    def __init__(self, run_directory: str) -> None:
        """Open the ledger of a run.

        Args:
            run_directory: The run's folder; made if absent.
        """
        super().__init__()
        self._folder = Path(run_directory)
        self._start_clock()

    @property
    def path(self) -> Path:
        """The file."""
        return self._folder / "metrics.jsonl"

    def lines(self) -> list[dict[str, Any]]:
        """Its lines so far; one that a kill cut short is left out."""
        if not self.path.is_file():
            return []
        read = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                read.append(json.loads(line))
            except ValueError:
                continue
        return read

    @rank_zero_only
    def rewind(self, steps: int) -> None:
        """Drop what was logged after a checkpoint that a run goes on from, since those steps are done again.

        Args:
            steps: Optimisation steps done when the checkpoint was written. What is logged of the n-th step, and of the
                validation after it, has the `step` n - 1.
        """
        if self.path.is_file():
            kept = [line for line in self.lines() if line["step"] < steps]
            self._replace(self.path, "".join(json.dumps(line) + "\n" for line in kept))
        self._start_clock()

    @property
    def name(self) -> str:
        """Empty: the ledger lies in the run directory itself."""
        return ""

    @property
    def version(self) -> str:
        """Empty: a run has one ledger."""
        return ""

    @property
    def save_dir(self) -> str:
        """The run directory; Lightning takes it as the place of everything else."""
        return str(self._folder)

    @property
    def log_dir(self) -> str:
        """The run directory."""
        return str(self._folder)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Append one line; a value that is not finite is written as null, since JSON has no NaN."""
        line: dict[str, Any] = {"step": step, "wall_s": round(self._offset_s + time.monotonic() - self._started, 3)}
        for key, value in metrics.items():
            number = float(value)
            whole = key in ("epoch", "samples_seen")
            line[key] = (int(number) if whole else number) if math.isfinite(number) else None
        self._folder.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write the table: a row a line, a column a metric, in the order in which they first appeared."""
        lines = self.lines()
        columns = dict.fromkeys(["step", "epoch", "samples_seen", "wall_s"])
        for line in lines:
            columns |= dict.fromkeys(line)
        table = io.StringIO()
        writer = csv.DictWriter(table, list(columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
        if lines:
            self._replace(self.path.with_suffix(".csv"), table.getvalue())

    def _start_clock(self) -> None:
        self._started = time.monotonic()
        self._offset_s = max((float(line.get("wall_s", 0)) for line in self.lines()), default=0.0)

    @staticmethod
    def _replace(path: Path, text: str) -> None:
        """Put a whole file in the place of another, so that nobody reads half of it."""
        unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Nothing: the run's `config.yaml` holds them all."""


class LedgerKeeper(Callback):
    """Takes the ledger of a resumed run back to where it was when the checkpoint was written.

    Otherwise steps between the checkpoint and the end of the first part would stand in it twice.
    """

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Cut the ledger, once the checkpoint is read and before anything is added."""
        for logger in trainer.loggers:
            if isinstance(logger, Ledger):
                logger.rewind(trainer.global_step)
