"""What a training run tells while it goes: samples seen, broken samples, plain progress lines."""

from __future__ import annotations

import logging
import math
import time
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from personlab.errors import InputError
from personlab.structures import Batch

logger = logging.getLogger("personlab")


class SampleCounter(Callback):
    """Counts samples seen and samples that could not be read, over all processes, and logs both.

    A run in which too large a share of the images is broken stops with one clear line rather than train on stand-ins.
    Broken samples are added up over the processes every few steps only, since that waits for the device; all processes
    then judge the same sum, so that they stop together.
    """

    def __init__(
        self, max_broken_share: float = 0.05, patience_samples: int = 200, check_every_steps: int = 20
    ) -> None:
        """Set what is too much.

        Args:
            max_broken_share: Share of unreadable images above which training stops.
            patience_samples: Samples to see before the share is judged.
            check_every_steps: Batches between two sums over the processes. Before a validation, and so before a
                checkpoint of ours, it is always summed.

        Raises:
            InputError: If `check_every_steps` is below 1.
        """
        if check_every_steps < 1:
            raise InputError(f"samples.check_every_steps is {check_every_steps}: must be 1 or more")
        self.max_broken_share = max_broken_share
        self.patience_samples = patience_samples
        self.samples_seen = 0
        self.samples_broken = 0
        self.check_every_steps = check_every_steps
        self._unsummed: list[Tensor] = []

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Count this batch, and log before the step's other metrics so that they share a line."""
        self.samples_seen += len(batch) * trainer.world_size
        self._unsummed.append((~batch.sample_valid).sum())  # on the device, which nothing waits for here
        if len(self._unsummed) >= self.check_every_steps:
            self._sum(trainer)
        values = {"samples_seen": float(self.samples_seen), "train/samples_broken": float(self.samples_broken)}
        pl_module.log_dict(values, batch_size=len(batch), rank_zero_only=True)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Sum, so that the count in a checkpoint is that of its step."""
        self._sum(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Sum what is left, and tell of stand-ins in a training too short to be judged."""
        self._sum(trainer)
        if trainer.is_global_zero and self._too_many():
            logger.warning(
                "%d of %d training images could not be read: what was learnt is of the others alone",
                self.samples_broken, self.samples_seen,
            )  # fmt: skip

    def _sum(self, trainer: L.Trainer) -> None:
        """Add the broken samples since the last time, of all processes, and judge; every process must call this.

        Raises:
            InputError: If too many are broken.
        """
        if not self._unsummed:
            return
        broken = int(trainer.strategy.reduce(torch.stack(self._unsummed).sum(), reduce_op="sum"))
        self._unsummed = []
        self.samples_broken += broken
        if self.samples_seen >= self.patience_samples and self._too_many():
            raise InputError(
                f"{self.samples_broken} of {self.samples_seen} training images could not be read; check the image "
                "folder, or raise SampleCounter's max_broken_share"
            )

    def _too_many(self) -> bool:
        return self.samples_broken > self.max_broken_share * self.samples_seen

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the count beside the scores."""
        pl_module.log("samples_seen", float(self.samples_seen), rank_zero_only=True)

    def state_dict(self) -> dict[str, Any]:
        """Counts, for the checkpoint."""
        return {"samples_seen": self.samples_seen, "samples_broken": self.samples_broken}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Counts, from the checkpoint."""
        self.samples_seen = int(state_dict["samples_seen"])
        self.samples_broken = int(state_dict["samples_broken"])


class PlainProgress(Callback):
    """One line of progress every few seconds, for logs and for screens that are not terminals."""

    def __init__(self, every_s: float = 15.0) -> None:
        """Set the pace.

        Args:
            every_s: Seconds between lines.
        """
        self.every_s = every_s
        self._told = self._started = 0.0
        self._first_step = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self._told = self._started = time.monotonic()
        self._first_step = trainer.global_step
        steps = trainer.estimated_stepping_batches
        logger.info("training: %s", "until its time is over" if math.isinf(steps) else f"{steps} steps planned")

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Tell the step, the loss and the pace, now and then."""
        now = time.monotonic()
        if now - self._told < self.every_s:
            return
        self._told = now
        done = trainer.global_step - self._first_step
        pace = (now - self._started) / max(done, 1)
        total = trainer.estimated_stepping_batches
        loss = float(outputs["loss"]) if isinstance(outputs, dict) else float("nan")
        left = "" if math.isinf(total) else f", {pace * max(total - trainer.global_step, 0) / 60:.1f} min left"
        of = "" if math.isinf(total) else f" of {total}"
        logger.info("step %d%s, loss %.3f, %.3f s a step%s", trainer.global_step, of, loss, pace, left)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say that evaluation begins."""
        logger.info("evaluating at step %d", trainer.global_step)
