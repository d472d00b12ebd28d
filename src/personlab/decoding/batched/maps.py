"""Maps of a batch, read at places of their own for each entry of a list."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

CHUNK = 2**23
"""Numbers that one step may hold at a time for all seeds, or all people, together: it bounds the memory."""


class Maps:
    """Maps of a batch that can be read at places of their own for each entry of a list."""

    def __init__(self, maps: Float[Tensor, "image entry *channels height width"]) -> None:
        """Take the maps; `channels` is 2 for vectors and nothing for scalars."""
        self.height, self.width = maps.shape[-2:]
        self.entries = maps.shape[1]
        self.flat = maps.reshape(-1, maps.shape[2] if maps.dim() == 5 else 1, self.height * self.width)

    def at(self, plane: Tensor, i: Tensor, j: Tensor) -> Tensor:
        """Values `(*list, channels)` of cells (i, j) of maps `image * entries + entry`."""
        return self.flat[plane, :, i * self.width + j].double()

    def bilinear(self, plane: Tensor, cell_xy: Tensor) -> Tensor:
        """Values `(*list, channels)` between cells; places outside are clamped to the map."""
        total: Tensor | float = 0.0
        for i, j, weight in self.corners(cell_xy):
            total = total + weight[..., None] * self.at(plane, i, j)
        assert isinstance(total, Tensor)
        return total

    def corners(self, cell_xy: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Row, column and bilinear weight of the four cells around each place."""
        x = cell_xy[..., 0].nan_to_num(0.0).clamp(0, self.width - 1)
        y = cell_xy[..., 1].nan_to_num(0.0).clamp(0, self.height - 1)
        left, top = x.floor().long(), y.floor().long()
        u, v = x - left, y - top
        right, below = (left + 1).clamp(max=self.width - 1), (top + 1).clamp(max=self.height - 1)
        return [
            (top, left, (1 - v) * (1 - u)),
            (top, right, (1 - v) * u),
            (below, left, v * (1 - u)),
            (below, right, v * u),
        ]

    def nearest(self, cell_xy: Tensor) -> tuple[Tensor, Tensor]:
        """Row and column of the cell nearest to each place, ties upwards."""
        x = cell_xy[..., 0].nan_to_num(0.0).clamp(0, self.width - 1)
        y = cell_xy[..., 1].nan_to_num(0.0).clamp(0, self.height - 1)
        return (y + 0.5).long(), (x + 0.5).long()
