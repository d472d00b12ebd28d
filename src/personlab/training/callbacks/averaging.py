"""Polyak-Ruppert averaging of the weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from personlab.errors import InputError

Average = Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]
"""Moves averages towards present values, in place; the third is how often that was done before."""


def rising_average(decay: float) -> Average:
    """An exponential average whose decay rises as (1 + n) / (10 + n), as `AveragedModel` takes it.

    Args:
        decay: The most that it rises to.
    """

    @torch.no_grad()
    def average(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        n = int(count)
        keep = min(decay, (1 + n) / (10 + n))
        if averaged[0].is_floating_point():  # tensors come grouped by device and type
            torch._foreach_lerp_(list(averaged), list(current), 1 - keep)
        else:
            torch._foreach_copy_(list(averaged), list(current))

    return average


class PolyakAveraging(WeightAveraging):
    """Evaluates and saves an exponential moving average of the weights.

    The checkpoint's `state_dict` is the average; the raw weights are under `current_model_state`, and a resumed run
    goes on from both.

    Source: PersonLab, section 5: Polyak-Ruppert averaging of the parameters. Departure: an exponential average whose
    decay rises as (1 + n) / (10 + n), so that short runs are averaged over a part of themselves too.
    """

    def __init__(self, decay: float = 0.9999, weights: Literal["ema", "raw"] = "ema") -> None:
        """Set the length of the average.

        Args:
            decay: What the average keeps of itself at a step, once the warm-up is over.
            weights: What evaluations score: `ema`, the average, or `raw`, what the optimiser steps on. Checkpoints have
                both all the same.

        Raises:
            InputError: If `decay` is outside [0, 1).
        """

        if not 0 <= decay < 1:
            raise InputError(f"averaging.decay {decay}: must be 0 or more and below 1")

        options: dict[str, Any] = {"multi_avg_fn": rising_average(decay)}
        super().__init__(use_buffers=True, **options)
        self.weights = weights

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Follow the module to its device: the average is made before the Trainer moves the module there.

        On another device every step would copy all weights between the two.
        """
        if self._average_model is not None:
            self._average_model.to(pl_module.device)

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Put the average in, in a training that scores it."""
        if self.weights == "ema":
            super().on_validation_epoch_start(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Put the raw weights back."""
        if self.weights == "ema":
            super().on_validation_epoch_end(trainer, pl_module)

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Take both in a training; else those that are to be scored.

        Raises:
            InputError: If the raw weights are to be scored and the checkpoint has none.
        """
        if self._average_model is not None:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)
        elif self.weights == "raw":
            if "current_model_state" not in checkpoint:
                raise InputError(f"{trainer.ckpt_path}: has no raw weights; leave out --weights raw")
            pl_module.load_state_dict(checkpoint["current_model_state"])
