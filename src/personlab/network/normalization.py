"""Normalisation layers: batch statistics that learn, that never change, or none at all."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from personlab.errors import InputError

Norm = Literal["frozen", "batch", "group"]
"""`frozen`: batch norm whose statistics never change (fine-tuning ImageNet weights, as in the paper); `batch`: ordinary
batch norm; `group`: group norm, for training from scratch with few images a device."""

_CHANNELS_A_GROUP = 8


class FrozenBatchNorm2d(nn.Module):
    """Batch norm with frozen statistics and a trainable scale and shift.

    The running mean and variance are used in `train()` and `eval()` alike and nothing ever writes to them, so no mode
    switch can thaw them. Names are those of `nn.BatchNorm2d`; its `num_batches_tracked` is dropped on loading.

    Args:
        channels: Channels of the map.
        eps: Added to the variance.

    Source: PersonLab, section 4 (batch norm statistics fixed to their ImageNet values).
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        """Start with statistics, scale and shift that change nothing."""
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch channel height width"]:
        """Normalise with the stored statistics."""
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
        )

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        state_dict.pop(prefix + "num_batches_tracked", None)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def extra_repr(self) -> str:
        """Channels and epsilon, for printing."""
        return f"{self.weight.shape[0]}, eps={self.eps}"


def make_norm(norm: Norm, channels: int) -> nn.Module:
    """A normalisation layer for `channels` channels.

    Raises:
        InputError: If `norm` is none of `frozen`, `batch`, `group`.
    """
    if norm == "frozen":
        return FrozenBatchNorm2d(channels)
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "group":
        # Groups of about 8 channels; the divisor keeps any width (also 20 or 36) legal.
        return nn.GroupNorm(math.gcd(channels, max(channels // _CHANNELS_A_GROUP, 1)), channels)
    raise InputError(f"norm {norm!r}: choose frozen, batch or group")
