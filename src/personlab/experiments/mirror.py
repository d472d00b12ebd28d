"""The ledger's mirror on W&B, which a run can do without."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import shutil
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from personlab.experiments.catalogue import read_run
from personlab.experiments.evaluation_views import Table, best_scores, views_of
from personlab.experiments.runs import RunDirectory

logger = logging.getLogger("personlab")
Checkpoints = Literal["none", "best", "all"]
AXES = ("trainer/global_step", "samples_seen", "epoch", "wall_s", "wall_hours")
"""What curves can be drawn over; the first by default."""
_ROWS_A_STEP = 4
"""Rows of W&B's own counter that a step has room for: one of training, one of evaluation, and what others log."""
_CARD = ("run_id", "argv", "git", "config_hash", "data_hash", "weights_hash", "batch", "seed", "versions", "devices")
_SETTINGS: dict[str, Any] = {
    "reinit": "create_new",  # never a run that is under way in this program
    "console": "off",  # what it captures it also logs, and on a full disk each of these errors makes another
    "finish_timeout": 300.0,  # seconds; a service that is gone at the end must not hold up what comes next
    "x_transaction_log_flush_interval": 1.0,  # seconds of an offline run that a kill may cost until the run goes on
}
"""Our own of W&B's settings, where this version has them and no variable says otherwise."""


class WandbMirror(WandbLogger):
    """Sends what the run directory holds to W&B: lines of the ledger, contact sheets, tables, checkpoints.

    What it is given to log only tells it to look: it reads the ledger, so W&B has the same values at the same steps. A
    run that goes on begins with all that W&B does not have yet. So nothing is lost that a kill took from W&B's buffers,
    and steps done again stand there once.

    Where the service cannot be reached, the mirror is an offline one. Where W&B fails altogether, it is told once and
    the training goes on. Under `wandb agent` the run is the one that the agent has named: by another id the sweep would
    wait for it.
    """

    def __init__(self, run_directory: str, checkpoints: Checkpoints = "none", **options: Any) -> None:
        """Mirror a run.

        Args:
            run_directory: The run's folder.
            checkpoints: Which are sent as artifacts: `best`, and the last, when the run ends; `all` as they are saved.
            options: Those of WandbLogger, and through it of `wandb.init`.
        """
        if os.environ.get("WANDB_SWEEP_ID") and os.environ.get("WANDB_RUN_ID"):
            options |= {"id": os.environ["WANDB_RUN_ID"], "project": os.environ.get("WANDB_PROJECT")}
        super().__init__(save_dir=run_directory, **options)
        self._run = RunDirectory(Path(run_directory))
        self._checkpoints = checkpoints
        self._sent_checkpoints: dict[str, int] = {}
        self._saved: dict[str, str] = {}
        self._kept: list[str] = []
        self._failed = False
        self._read_bytes = 0  # of the ledger
        self._row, self._first_row = -1, 0  # of W&B's own counter: the last, and the first that it does not have yet
        self._older: list[Path] = []

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run on W&B, begun when it is first asked for; one that takes nothing, where W&B has failed."""
        import wandb  # takes a second, and runs without a mirror do not need it

        if self._experiment is None and not self._failed:
            try:
                self._experiment = self._begin()
            except Exception as error:  # each layer of its client has errors of its own
                self._give_up(error)
        if self._experiment is None:
            self._experiment = wandb.init(mode="disabled", settings=wandb.Settings(reinit="create_new"))
        return self._experiment

    @rank_zero_only
    def describe(self) -> None:
        """Send the run's resolved config, as in `config.yaml`, and its card, for filters and groups."""

        def send() -> None:
            run = read_run(self._run.path)
            card = {name: run.card[name] for name in _CARD if run.card.get(name) is not None}
            self.experiment.config.update({**run.config, "card": card}, allow_val_change=True)

        self._try(send)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        """Nothing: `describe` sends them all."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Send what is new in the ledger, which has these metrics by now."""
        self._try(self._catch_up)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Nothing: how the run ended is known to `close`."""

    @rank_zero_only
    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        """Remember which are the best and the last, and send them if all are wanted."""
        self._saved = {
            "best": checkpoint_callback.best_model_path,
            "last": checkpoint_callback.last_model_path,
        }
        self._kept = list(checkpoint_callback.best_k_models)
        if self._checkpoints == "all":
            self._try(lambda: self._send_checkpoints([*self._kept, *self._saved.values()]))

    @rank_zero_only
    def close(self) -> None:
        """Send what is left, the summary and the checkpoints, and end the run on W&B as its card says it ended."""

        def end() -> None:
            run, mirrored = read_run(self._run.path), self.experiment
            self._catch_up()
            if self._checkpoints != "none":
                kept = self._kept if self._checkpoints == "all" else []
                self._send_checkpoints([*kept, *self._saved.values()], last=True)
            told = {name: value for name, value in run.summary().items() if name not in ("path", "faults")}
            rate = run.images_seen / run.seconds if run.seconds and run.command == "fit" else None
            mirrored.summary.update({**told, "images_per_second": rate, **best_scores(run)})
            if run.status == "preempted":
                mirrored.mark_preempting()
            mirrored.finish(exit_code=0 if run.status == "finished" else 1)

        if self._experiment is not None:
            self._try(end)
            self._experiment = None

    def _begin(self) -> Any:
        """Begin the run, or go on with it."""
        import wandb

        known = wandb.Settings.model_fields
        own = {name: value for name, value in _SETTINGS.items() if name in known and _variable(name) not in os.environ}
        given = {name: value for name, value in self._wandb_init.items() if value is not None}
        options = {**given, "settings": wandb.Settings(**own)}
        offline = {**options, "mode": "offline"}
        parts = (self._run.path / "wandb").glob("offline-run-*")
        older = [part for part in parts if not any(part.glob("*.synced"))]
        os.environ.pop("WANDB_SERVICE", None)  # that of a parent's program would hold our id after a kill
        try:
            begun = wandb.init(**(offline if self._offline else options))
        except wandb.errors.Error as error:
            if self._offline:
                raise
            logger.warning(
                "W&B cannot be reached (%s): this run is mirrored offline; send it later by `wandb sync`", _told(error)
            )
            self._offline = True
            wandb.teardown()  # or it holds the run's id to be in use
            begun = wandb.init(**offline)
        for axis in AXES:
            begun.define_metric(axis)
        begun.define_metric("*", step_metric=AXES[0], step_sync=True)
        self._first_row = begun.step  # a run that goes on: W&B has the rows before
        self._older = older if begun.offline else []
        return begun

    def _catch_up(self) -> None:
        """Send the lines of the ledger that were not sent, each as one row with what belongs to it."""
        import wandb

        run = self.experiment
        for line in self._new_lines():
            evaluated = any(name.startswith(("val/", "test/")) for name in line)
            # By the step and not by count: a step that is done again has the row that it had, however often is logged.
            self._row = max(_ROWS_A_STEP * line["step"] + 2 * evaluated, self._row + 1)
            if self._row < self._first_row:
                continue
            values = {name: math.nan if value is None else value for name, value in line.items() if name != "step"}
            values |= {AXES[0]: line["step"], "wall_hours": line["wall_s"] / 3600}
            for name, view in views_of(self._run, line).items():
                if isinstance(view, Table):
                    values[name] = wandb.Table(columns=[*view.columns], data=view.rows)
                else:
                    values[name] = wandb.Image(str(view))
            run.log(values, step=self._row, commit=True)
        self._retire_older()

    def _new_lines(self) -> Iterator[dict[str, Any]]:
        """Whole lines of the ledger that were not read; all of them if it was taken back to a checkpoint meanwhile."""
        ledger = self._run.ledger
        size = ledger.stat().st_size if ledger.is_file() else 0
        if size < self._read_bytes:
            self._first_row = max(self._first_row, self._row + 1)
            self._read_bytes, self._row = 0, -1
        if size == self._read_bytes:
            return
        with ledger.open("rb") as file:
            file.seek(self._read_bytes)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._read_bytes += len(line)
                yield json.loads(line)

    def _retire_older(self) -> None:
        """Put offline parts of the run aside that this one replaces: sent as well, they would draw all of it twice."""
        for part in self._older:
            aside = part.parent / "superseded" / part.name
            aside.parent.mkdir(exist_ok=True)
            part.rename(aside)
            shutil.rmtree(aside / "files" / "media", ignore_errors=True)  # this part has the same pictures
        self._older = []

    def _send_checkpoints(self, paths: Iterable[str], last: bool = False) -> None:
        """Send checkpoints that were not sent as they are now, as versions of one artifact of this run.

        Args:
            paths: Their files.
            last: Whether nothing is saved any more, so that none needs to be copied.
        """
        import wandb

        for path in dict.fromkeys(path for path in paths if path and Path(path).is_file()):
            changed, names = Path(path).stat().st_mtime_ns, [n for n, saved in self._saved.items() if saved == path]
            if self._sent_checkpoints.get(path) == changed and not last:
                continue
            artifact = wandb.Artifact(f"checkpoint-{self.version}", "model", metadata={"file": Path(path).name})
            artifact.add_file(path, "checkpoint.ckpt", policy="immutable" if last else "mutable")
            self.experiment.log_artifact(artifact, aliases=["latest", *names])
            self._sent_checkpoints[path] = changed

    def _try(self, action: Callable[[], None]) -> None:
        """Do something with W&B; where it fails, that is told once, and W&B is left alone from then on."""
        if self._failed:
            return
        try:
            action()
        except Exception as error:  # each layer of its client has errors of its own
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        import wandb

        self._failed, self._experiment = True, None
        logger.warning("W&B has failed (%s): no mirror from here on; the run directory has everything", _told(error))
        with contextlib.suppress(Exception):
            wandb.teardown(exit_code=1)  # or it tries again when the program ends, and fails again


def _variable(setting: str) -> str:
    """The environment variable of one of W&B's settings; its internal ones have a second underscore."""
    return f"WANDB_{setting.removeprefix('x').upper()}"


def _told(error: Exception) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    return str(reason).strip().split("\n", 1)[0] or type(error).__name__
