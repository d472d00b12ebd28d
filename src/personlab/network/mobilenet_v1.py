"""MobileNetV1, with batch norm or with biases in its place, as in the released PoseNet and BodyPix weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from personlab.errors import InputError
from personlab.network.backbone import Backbone, initialise
from personlab.network.normalization import Norm, make_norm

FoldedNorm = Norm | Literal["none"]
"""A normalisation layer after every convolution, or `none`: convolutions with biases instead, which is what is left
when batch norm is folded into the weights."""

_STEM = 32
_BODY = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5)
"""Channels and stride of blocks 1 to 11, from the MobileNet paper's table 1."""
_TAIL = {True: ((1024, 2), (1024, 1)), False: ((512, 1), (512, 2))}
"""The same of blocks 12 and 13, by `wide_tail`. The narrow tail was made to end at stride 16, without dilation. To run
at 32 too, from the same weights, its stride stands in the very last filter, so at 16 none is left to be dilated."""


def _conv(in_channels: int, out_channels: int, kernel: int, groups: int, norm: FoldedNorm) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, kernel, 1, kernel // 2, groups=groups, bias=norm == "none")
    return nn.Sequential(conv, *([] if norm == "none" else [make_norm(norm, out_channels)]), nn.ReLU6(inplace=True))


class SeparableBlock(nn.Module):
    """Filter each channel (3x3), then mix the channels (1x1)."""

    def __init__(self, in_channels: int, out_channels: int, norm: FoldedNorm) -> None:
        """Create the layers, without stride; see `Backbone.set_output_stride`."""
        super().__init__()
        self.depthwise = _conv(in_channels, in_channels, 3, in_channels, norm)
        self.pointwise = _conv(in_channels, out_channels, 1, 1, norm)

    def forward(
        self, x: Float[Tensor, "batch channel rows columns"]
    ) -> Float[Tensor, "batch out new_rows new_columns"]:
        """The block's output map."""
        return self.pointwise(self.depthwise(x))

    def spatial(self) -> nn.Conv2d:
        """The 3x3 convolution, which carries the stride."""
        conv = self.depthwise[0]
        assert isinstance(conv, nn.Conv2d)
        return conv


class MobileNetV1(Backbone):
    """MobileNetV1; the mid map is the output of block 11, the last one before the tail.

    With `norm="none"` it holds the released PoseNet and BodyPix networks. These are made for TensorFlow's SAME padding,
    which is uneven for some sizes: a 3x3 filter of stride 2 gets one row of zeros above and one below a map of odd
    height, but one below alone for an even height. On images of `n * output_stride + 1` pixels, the map before every
    strided filter is odd, and stride 1 is even with any dilation, so SAME is the symmetric padding of every `Backbone`.

    Args:
        depth_multiplier: Factor on all channels; those of the released networks are 0.5, 0.75 and 1.
        output_stride: Pixels a cell of the final map; changeable later, see `set_output_stride`.
        norm: `batch`, `frozen`, `group`, or `none` for convolutions with biases, as batch norm folded into the weights
            leaves them.
        wide_tail: Whether blocks 12 and 13 have twice the channels, 1024 times `depth_multiplier`, and block 12 a
            stride, as in the MobileNet paper and the released networks of multiplier 1; otherwise they are like those
            before, as in the released networks of multiplier 0.5 and 0.75.

    Raises:
        InputError: If `depth_multiplier` leaves no channels, or the stride or the norm is impossible.

    Source: Howard et al., "MobileNets", arXiv 1704.04861, table 1. Departure from PersonLab: a backbone the paper does
    not use, though its authors released networks with it.
    """

    min_stride = 2
    max_stride = 32
    max_mid_stride = 16

    def __init__(
        self,
        depth_multiplier: float = 1.0,
        output_stride: int = 16,
        norm: FoldedNorm = "batch",
        wide_tail: bool = True,
    ) -> None:
        """Create the layers; see the class for the arguments."""
        super().__init__()
        if int(_STEM * depth_multiplier) < 1:
            raise InputError(f"MobileNetV1: depth_multiplier {depth_multiplier} must be at least 1/{_STEM}")
        channels = int(_STEM * depth_multiplier)
        self.stem = _conv(3, channels, 3, 1, norm)
        stem = self.stem[0]
        assert isinstance(stem, nn.Conv2d)
        stem.stride = (2, 2)
        blocks: list[nn.Module] = []
        self.block_strides: list[int] = []
        for base, stride in (*_BODY, *_TAIL[wide_tail]):
            out = int(base * depth_multiplier)
            blocks.append(SeparableBlock(channels, out, norm))
            self.block_strides.append(stride)
            channels = out
            if len(blocks) == len(_BODY):
                self.mid_channels = channels
        self.blocks = nn.Sequential(*blocks)
        self.out_channels = channels
        initialise(self)
        if norm == "none":
            self._keep_scale()
        self.set_output_stride(output_stride)

    def _keep_scale(self) -> None:
        # He's rule by outputs counts all channels, though a depthwise filter writes one: with no norm to make up for
        # it, signals would shrink in each block by the square root of its channels.
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")

    def strided_steps(self) -> Iterator[tuple[int, list[nn.Conv2d]]]:
        """See `Backbone.strided_steps`."""
        blocks = [m for m in self.blocks if isinstance(m, SeparableBlock)]
        for stride, block in zip(self.block_strides, blocks, strict=True):
            yield stride, [block.spatial()]

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, "batch mid mid_rows mid_columns"], Float[Tensor, "batch final rows columns"]]:
        """See `Backbone.forward`."""
        mid = self.blocks[: len(_BODY)](self.stem(images))
        return mid, self.blocks[len(_BODY) :](mid)
