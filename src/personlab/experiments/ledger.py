"""The ledger: every logged step as one JSON line, the source of all reports."""

from __future__ import annotations

import json
import math
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only


class Ledger(Logger):
    """Appends to `metrics.jsonl`: `step`, `epoch`, `samples_seen`, `wall_s` and the metrics logged there.

    `wall_s` is seconds of training since the run began; a resumed run goes on counting where its ledger stopped.
    """

    def __init__(self, run_directory: str) -> None:
        """Open the ledger of a run.

        Args:
            run_directory: The run's folder; made if absent.
        """
        super().__init__()
        self._folder = Path(run_directory)
        self._started = time.monotonic()
        self._offset_s = 0.0
        if self.path.is_file():
            lines = self.path.read_text(encoding="utf-8").splitlines()
            self._offset_s = max((float(json.loads(line).get("wall_s", 0)) for line in lines if line), default=0.0)

    @property
    def path(self) -> Path:
        """The file."""
        return self._folder / "metrics.jsonl"

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
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Nothing: the run's `config.yaml` holds them all."""
