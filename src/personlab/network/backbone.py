"""What every backbone has in common: two feature maps, and an output stride that can be changed at any time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from jaxtyping import Float
from torch import Tensor, nn

from personlab.errors import InputError


class Backbone(nn.Module, ABC):
    """A fully convolutional feature extractor.

    Maps are corner-aligned: an input of `n * stride + 1` pixels gives `n + 1` cells, and cell i stands at pixel
    `i * stride`. This holds because every strided layer has an odd kernel k, stride 2 and symmetric padding k // 2.

    Attributes:
        out_channels: Channels of the final map.
        mid_channels: Channels of the map for supervision in the middle of the network.
        output_stride: Pixels a cell of the final map.
        min_stride: Smallest output stride: that of the first layers, which are never dilated.
        max_stride: Largest output stride: that of the network without any dilation.
        max_mid_stride: The same for the mid map.

    Source: PersonLab, section 4. Departure: none; the mid map for an extra set of heads is the paper's training aid.
    """

    out_channels: int
    mid_channels: int
    output_stride: int
    min_stride: int
    max_stride: int
    max_mid_stride: int

    @abstractmethod
    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, "batch mid mid_rows mid_columns"], Float[Tensor, "batch final rows columns"]]:
        """Feature maps of normalised images.

        Args:
            images: RGB, mean and standard deviation removed, `n * output_stride + 1` pixels high and wide.

        Returns:
            The mid map at `mid_stride` and the final map at `output_stride`.
        """

    @abstractmethod
    def strided_steps(self) -> Iterator[tuple[int, list[nn.Conv2d]]]:
        """The convolutions behind the stem in the order they run, as (stride without dilation, convolutions).

        Convolutions that run side by side (a block's strided one and the one on its shortcut) come as one step.
        """

    @property
    def mid_stride(self) -> int:
        """Pixels a cell of the mid map."""
        return min(self.output_stride, self.max_mid_stride)

    @property
    def output_strides(self) -> list[int]:
        """The output strides it can run at, by the same weights: powers of 2, ascending."""
        return [2**i for i in range(10) if self.min_stride <= 2**i <= self.max_stride]

    @property
    def size_multiple(self) -> int:
        """Images must be `n * size_multiple + 1` pixels high and wide."""
        return self.output_stride

    def set_output_stride(self, stride: int) -> None:
        """Trade strides for dilations, in place and with the same weights.

        From the layer on where the map would become coarser than `stride`, a stride of 2 becomes 1, and every later
        convolution doubles its dilation. The strided layer itself keeps the dilation it had. So the cells that two
        strides share get the same values at both, apart from rounding: one checkpoint trains at 16, evaluates at 8.

        Args:
            stride: Output stride: a power of 2 from `min_stride` to `max_stride`.

        Raises:
            InputError: If the network has no such stride.

        Source: PersonLab, section 4 (atrous convolution to train at stride 16 and evaluate at stride 8).
        """
        if stride not in self.output_strides:
            raise InputError(f"output_stride {stride}: this {type(self).__name__} can run at {self.output_strides}")
        current, dilation = self.min_stride, 1
        for native, convolutions in self.strided_steps():
            keep = current * native <= stride
            for conv in convolutions:
                conv.stride = (native, native) if keep else (1, 1)
                conv.dilation = (dilation, dilation)
                conv.padding = tuple(dilation * (k // 2) for k in conv.kernel_size)
            if keep:
                current *= native
            else:
                dilation *= native
        self.output_stride = stride


def initialise(module: nn.Module) -> None:
    """He initialisation of every convolution, for training from scratch; norms keep scale 1 and shift 0."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
