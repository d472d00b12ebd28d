"""Polyak-Ruppert averaging of the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from personlab.errors import InputError


class PolyakAveraging(WeightAveraging):
    """Evaluates and saves an exponential moving average of the weights.

    The checkpoint's `state_dict` is the average; the raw weights are under `current_model_state`, and a resumed run
    goes on from both.

    Source: PersonLab, section 5: Polyak-Ruppert averaging of the parameters. Departure: an exponential average whose
    decay rises as (1 + n) / (10 + n), so that short runs are averaged over a part of themselves too.
    """

    def __init__(self, decay: float = 0.9999) -> None:
        """Set the length of the average.

        Args:
            decay: What the average keeps of itself at a step, once the warm-up is over.

        Raises:
            InputError: If `decay` is outside [0, 1).
        """

        if not 0 <= decay < 1:
            raise InputError(f"averaging.decay {decay}: must be 0 or more and below 1")

        @torch.no_grad()
        def average(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
            n = int(count)
            keep = min(decay, (1 + n) / (10 + n))
            if averaged[0].is_floating_point():  # tensors come grouped by device and type
                torch._foreach_lerp_(list(averaged), list(current), 1 - keep)
            else:
                torch._foreach_copy_(list(averaged), list(current))

        options: dict[str, Any] = {"multi_avg_fn": average}
        super().__init__(use_buffers=True, **options)

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Follow the module to its device: the average is made before the Trainer moves the module there.

        On another device every step would copy all weights between the two.
        """
        if self._average_model is not None:
            self._average_model.to(pl_module.device)
