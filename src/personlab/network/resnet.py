"""Residual networks: the standard depths with torchvision's parameter names, and small free forms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from personlab.errors import InputError
from personlab.network.backbone import Backbone, initialise
from personlab.network.normalization import Norm, make_norm

Depth = Literal[18, 34, 50, 101, 152]
_BLOCKS: dict[int, tuple[int, ...]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int, norm: Norm) -> None:
        """Create the layers; `width` is the number of channels of the 3x3 convolutions."""
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, 1, bias=False)
        self.bn1 = make_norm(norm, width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = make_norm(norm, width)
        self.downsample = _shortcut(in_channels, width, stride, norm)

    def forward(
        self, x: Float[Tensor, "batch channel rows columns"]
    ) -> Float[Tensor, "batch out new_rows new_columns"]:
        """The block's output map."""
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)), inplace=True)

    def main_path(self) -> list[nn.Conv2d]:
        """The convolutions in the order they run; the first of them carries the stride."""
        return [self.conv1, self.conv2]

    @property
    def last_norm(self) -> nn.Module:
        """The norm before the sum."""
        return self.bn2


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut; the stride is on the 3x3 (torchvision's v1.5)."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int, norm: Norm) -> None:
        """Create the layers; `width` is the number of channels of the 3x3 convolutions."""
        super().__init__()
        out = width * self.expansion
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = make_norm(norm, width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = make_norm(norm, width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = make_norm(norm, out)
        self.downsample = _shortcut(in_channels, out, stride, norm)

    def forward(
        self, x: Float[Tensor, "batch channel rows columns"]
    ) -> Float[Tensor, "batch out new_rows new_columns"]:
        """The block's output map."""
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)), inplace=True)

    def main_path(self) -> list[nn.Conv2d]:
        """The spatial convolution, which carries the stride."""
        return [self.conv2]

    @property
    def last_norm(self) -> nn.Module:
        """The norm before the sum."""
        return self.bn3


def _shortcut(in_channels: int, out_channels: int, stride: int, norm: Norm) -> nn.Sequential | None:
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), make_norm(norm, out_channels))


def _blocks(stage: nn.Sequential) -> list[BasicBlock | Bottleneck]:
    return [m for m in stage if isinstance(m, BasicBlock | Bottleneck)]


class ResNet(Backbone):
    """A residual network; the mid map is the output of the last stage but one (`layer3` of the standard depths).

    The standard depths have torchvision's layout and parameter names, so its ImageNet files load unchanged.

    Args:
        depth: 18 and 34 are built of basic blocks, 50, 101 and 152 of bottlenecks. 50 unless `blocks` is given.
        output_stride: Pixels a cell of the final map; changeable later, see `set_output_stride`.
        norm: `batch`, `frozen` (statistics never change: for ImageNet weights, as in the paper) or `group`.
        blocks: Instead of `depth`: basic blocks a stage, at least two stages, for small networks trained from scratch.
            The first stage has the stem's stride, each later one halves the resolution.
        width: Channels of the first stage, doubled by each later one; or the channels of every stage. A bottleneck puts
            out four times as many.
        stem: `imagenet`: 7x7 convolution and max pooling; `small`: two 3x3 convolutions, cheaper on a CPU. Both have
            stride 4.

    Raises:
        InputError: If `depth` and `blocks` are both given, or sizes or the output stride are impossible.

    Source: PersonLab, section 4 (ResNet-101 and ResNet-152). Departure: the other sizes.
    """

    min_stride = 4

    def __init__(
        self,
        depth: Depth | None = None,
        output_stride: int = 16,
        norm: Norm = "batch",
        blocks: tuple[int, ...] | None = None,
        width: int | tuple[int, ...] = 64,
        stem: Literal["imagenet", "small"] = "imagenet",
    ) -> None:
        """Create the layers; see the class for the arguments."""
        super().__init__()
        if depth is not None and blocks is not None:
            raise InputError(f"ResNet: depth {depth} and blocks {tuple(blocks)} exclude each other, give one")
        if depth is not None and depth not in _BLOCKS:
            raise InputError(f"ResNet: depth {depth}, choose one of {list(_BLOCKS)}, or give blocks")
        counts = tuple(blocks) if blocks is not None else _BLOCKS[depth or 50]
        widths = tuple(width * 2**i for i in range(len(counts))) if isinstance(width, int) else tuple(width)
        if len(counts) < 2 or len(widths) != len(counts) or min(*counts, *widths) < 1:
            raise InputError(
                f"ResNet: blocks {counts} and width {widths} need one positive number a stage, 2 stages or more"
            )
        block = BasicBlock if blocks is not None or depth in (18, 34) else Bottleneck

        channels = self._make_stem(stem, widths[0], norm)
        self.num_stages = len(counts)
        for i, (count, stage_width) in enumerate(zip(counts, widths, strict=True)):
            stage = nn.Sequential()
            for j in range(count):
                stage.append(block(channels, stage_width, 2 if i > 0 and j == 0 else 1, norm))
                channels = stage_width * block.expansion
            self.add_module(f"layer{i + 1}", stage)
        self.stage_channels = tuple(stage_width * block.expansion for stage_width in widths)
        self.out_channels = channels
        self.mid_channels = widths[-2] * block.expansion
        self.max_stride = self.min_stride * 2 ** (self.num_stages - 1)
        self.max_mid_stride = self.max_stride // 2

        initialise(self)
        for stage in self.stages():
            for part in _blocks(stage):
                # Every block starts as the identity, which makes the first steps from scratch stable.
                nn.init.zeros_(part.last_norm.get_parameter("weight"))
        self.set_output_stride(output_stride)

    def _make_stem(self, stem: str, width: int, norm: Norm) -> int:
        # The standard stem's width follows the network's; the small one doubles on the way.
        if stem == "imagenet":
            self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
            self.bn1 = make_norm(norm, width)
            self.maxpool = nn.MaxPool2d(3, 2, 1)
        elif stem == "small":
            first = max(width // 2, 1)
            self.conv1 = nn.Conv2d(3, first, 3, 2, 1, bias=False)
            self.bn1 = make_norm(norm, first)
            self.conv2 = nn.Conv2d(first, width, 3, 2, 1, bias=False)
            self.bn2 = make_norm(norm, width)
        else:
            raise InputError(f"ResNet: stem {stem!r}, choose imagenet or small")
        self.stem = stem
        return width

    def stages(self) -> list[nn.Sequential]:
        """`layer1`, `layer2`, ... in order."""
        return [self.get_submodule(f"layer{i + 1}") for i in range(self.num_stages)]  # type: ignore[misc]

    def strided_steps(self) -> Iterator[tuple[int, list[nn.Conv2d]]]:
        """See `Backbone.strided_steps`."""
        for i, stage in enumerate(self.stages()):
            for j, block in enumerate(_blocks(stage)):
                first, *rest = block.main_path()
                shortcut = [m for m in (block.downsample or ()) if isinstance(m, nn.Conv2d)]
                yield (2 if i > 0 and j == 0 else 1), [first, *shortcut]
                for conv in rest:
                    yield 1, [conv]

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, "batch mid mid_rows mid_columns"], Float[Tensor, "batch final rows columns"]]:
        """See `Backbone.forward`."""
        *_, mid, final = self.forward_stages(images)
        return mid, final

    def forward_stages(self, images: Float[Tensor, "batch 3 height width"]) -> list[Tensor]:
        """The output map of every stage, in order."""
        x = F.relu(self.bn1(self.conv1(images)), inplace=True)
        x = self.maxpool(x) if self.stem == "imagenet" else F.relu(self.bn2(self.conv2(x)), inplace=True)
        maps = []
        for stage in self.stages():
            x = stage(x)
            maps.append(x)
        return maps
