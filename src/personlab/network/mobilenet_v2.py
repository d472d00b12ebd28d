"""MobileNetV2 with torchvision's parameter names."""

from __future__ import annotations

from collections.abc import Iterator

from jaxtyping import Float
from torch import Tensor, nn

from personlab.errors import InputError
from personlab.network.backbone import Backbone, initialise
from personlab.network.normalization import Norm, make_norm

_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, blocks and stride of the first block, from the MobileNetV2 paper's table 2."""
_MID = 13
"""The last block before the stride-32 stage."""


def _round_channels(channels: float) -> int:
    """The nearest multiple of 8 that is at least 8 and not more than 10 % below."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _conv(in_channels: int, out_channels: int, kernel: int, stride: int, groups: int, norm: Norm) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False),
        make_norm(norm, out_channels),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    """Expand (1x1), filter each channel (3x3), project (1x1); a shortcut where shapes allow one."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int, norm: Norm) -> None:
        """Create the layers; a shortcut is there if the block changes no shape."""
        super().__init__()
        self.shortcut = stride == 1 and in_channels == out_channels
        hidden = in_channels * expansion
        expand = [_conv(in_channels, hidden, 1, 1, 1, norm)] if expansion != 1 else []
        self.conv = nn.Sequential(
            *expand,
            _conv(hidden, hidden, 3, stride, hidden, norm),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            make_norm(norm, out_channels),
        )

    def forward(
        self, x: Float[Tensor, "batch channel rows columns"]
    ) -> Float[Tensor, "batch out new_rows new_columns"]:
        """The block's output map."""
        return x + self.conv(x) if self.shortcut else self.conv(x)

    def spatial(self) -> nn.Conv2d:
        """The 3x3 convolution, which carries the stride."""
        return next(m for m in self.conv.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3))


class MobileNetV2(Backbone):
    """MobileNetV2; the mid map is the output of `features.13`, the last block at stride 16.

    Args:
        output_stride: Pixels a cell of the final map; changeable later, see `set_output_stride`.
        norm: `batch`, `frozen` (statistics never change: for ImageNet weights) or `group`.
        width_mult: Factor on all channels.
        last_layer: Whether `features.18`, a 1x1 convolution from 320 to 1280 channels made for classification, is part
            of the network. Off by default: the MobileNetV2 paper (section 6.3) found dense prediction on the map before
            it about as accurate and much cheaper.

    Raises:
        InputError: If `width_mult` is not positive or the stride is impossible.

    Source: Sandler et al., "MobileNetV2", CVPR 2018. Departure from PersonLab: a backbone the paper does not use.
    """

    min_stride = 2
    max_stride = 32
    max_mid_stride = 16

    def __init__(
        self, output_stride: int = 16, norm: Norm = "batch", width_mult: float = 1.0, last_layer: bool = False
    ) -> None:
        """Create the layers; see the class for the arguments."""
        super().__init__()
        if width_mult <= 0:
            raise InputError(f"MobileNetV2: width_mult {width_mult} must be positive")
        channels = _round_channels(32 * width_mult)
        layers: list[nn.Module] = [_conv(3, channels, 3, 2, 1, norm)]
        self.block_strides: list[int] = []
        for expansion, base, count, first_stride in _STAGES:
            out = _round_channels(base * width_mult)
            for i in range(count):
                stride = first_stride if i == 0 else 1
                layers.append(InvertedResidual(channels, out, stride, expansion, norm))
                self.block_strides.append(stride)
                channels = out
            if len(layers) == _MID + 1:
                self.mid_channels = channels
        if last_layer:
            out = _round_channels(1280 * max(1.0, width_mult))
            layers.append(_conv(channels, out, 1, 1, 1, norm))
            channels = out
        self.features = nn.Sequential(*layers)
        self.out_channels = channels
        initialise(self)
        self.set_output_stride(output_stride)

    def strided_steps(self) -> Iterator[tuple[int, list[nn.Conv2d]]]:
        """See `Backbone.strided_steps`."""
        blocks = [m for m in self.features if isinstance(m, InvertedResidual)]
        for stride, block in zip(self.block_strides, blocks, strict=True):
            yield stride, [block.spatial()]

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, "batch mid mid_rows mid_columns"], Float[Tensor, "batch final rows columns"]]:
        """See `Backbone.forward`."""
        mid = self.features[: _MID + 1](images)
        return mid, self.features[_MID + 1 :](mid)
