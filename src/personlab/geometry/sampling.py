"""Bilinear reading of maps at places given in pixels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def read_bilinear(
    field: Float[Tensor, "batch channel height width"], place_xy: Float[Tensor, "batch 2 rows columns"], stride: int
) -> Float[Tensor, "batch channel rows columns"]:
    """Read a map at arbitrary places, bilinearly; places outside are clamped to the border.

    Args:
        field: The map to read, in cells of `stride`.
        place_xy: Places in `crop_xy` pixels.
        stride: Output stride of the map.

    Returns:
        The channels at each place. Gradients flow into the map and into the places.

    Source: PersonLab, section 3.1: offsets are resampled bilinearly.
    """
    height, width = field.shape[-2:]
    span = torch.tensor([max(width - 1, 1), max(height - 1, 1)], device=field.device, dtype=place_xy.dtype)
    grid = torch.addcmul(-torch.ones_like(span), place_xy.permute(0, 2, 3, 1), 2.0 / (stride * span))
    return F.grid_sample(field, grid.to(field.dtype), mode="bilinear", padding_mode="border", align_corners=True)
