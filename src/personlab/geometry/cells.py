"""Pixels and cells: cell (i, j) of a map stands at pixel (x = j * stride, y = i * stride) of the network input."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def valid_size(size_px: int, stride: int) -> int:
    """Smallest size of the form `n * stride + 1` that holds `size_px` pixels: the last cell is at the last pixel."""
    return -(-(size_px - 1) // stride) * stride + 1


def cell_centres(
    height: int, width: int, stride: int, device: torch.device | None = None
) -> Float[Tensor, "2 height width"]:
    """Places of a map's cells.

    Args:
        height: Cells down.
        width: Cells across.
        stride: Output stride, pixels a cell.
        device: Where the result lives.

    Returns:
        x and y of every cell in `crop_xy` pixels.
    """
    y = torch.arange(height, device=device, dtype=torch.float32) * stride
    x = torch.arange(width, device=device, dtype=torch.float32) * stride
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)])
