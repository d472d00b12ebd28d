"""A small network's stages merged from coarse to fine: cheap context for training from scratch."""

from __future__ import annotations

from collections.abc import Iterator

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from personlab.errors import InputError
from personlab.network.backbone import Backbone, initialise
from personlab.network.normalization import Norm, make_norm
from personlab.network.resnet import ResNet


class Pyramid(Backbone):
    """A feature pyramid over a ResNet: coarse stages see far, fine ones see exactly, their sum does both.

    A dilated network computes its last stages at the output stride; this one computes them at their own, far fewer
    cells, and upsamples. That buys several times the channels for the same time, but the output stride is built in: one
    checkpoint has one stride.

    Args:
        trunk: A ResNet without dilation; `output_stride` is set to its largest.
        channels: Channels of the merged map.
        output_stride: Pixels a cell of the merged map.
        norm: As in ResNet.

    Raises:
        InputError: If the trunk has no stage of that stride.

    Source: none in the paper: a departure for small networks. Corner-aligned maps make the upsampling exact.
    """

    def __init__(self, trunk: ResNet, channels: int = 64, output_stride: int = 8, norm: Norm = "batch") -> None:
        """Create the layers; see the class for the arguments."""
        super().__init__()
        trunk.set_output_stride(trunk.max_stride)
        self.trunk = trunk
        self.min_stride = self.max_stride = self.max_mid_stride = output_stride
        strides = [trunk.min_stride * 2**i for i in range(trunk.num_stages)]
        if output_stride not in strides[:-1]:
            raise InputError(f"Pyramid: output_stride {output_stride}, the trunk can be merged at {strides[:-1]}")
        self.first_level = strides.index(output_stride)
        self.laterals = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, channels, 1, bias=False), make_norm(norm, channels))
            for width in trunk.stage_channels[self.first_level :]
        )
        self.smooth = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), make_norm(norm, channels))
        self.out_channels = self.mid_channels = channels
        for part in (self.laterals, self.smooth):
            initialise(part)
        self.set_output_stride(output_stride)

    @property
    def size_multiple(self) -> int:
        """The trunk's largest stride."""
        return self.trunk.max_stride

    def strided_steps(self) -> Iterator[tuple[int, list[nn.Conv2d]]]:
        """None: the output stride is built in."""
        return iter(())

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, "batch mid mid_rows mid_columns"], Float[Tensor, "batch final rows columns"]]:
        """See `Backbone.forward`; the mid map is the merged one before its last convolution.

        Raises:
            InputError: If the images are not `n * s + 1` pixels high and wide for the trunk's largest stride s.
        """
        coarsest = self.size_multiple
        if any((size - 1) % coarsest for size in images.shape[-2:]):
            raise InputError(
                f"image of {images.shape[-2]}x{images.shape[-1]} pixels: height and width must be n * {coarsest} + 1 "
                "for this network; set data.size_multiple and the crop size accordingly"
            )
        features = self.trunk.forward_stages(images)[self.first_level :]
        merged = self.laterals[-1](features[-1])
        for lateral, feature in zip(reversed(self.laterals[:-1]), reversed(features[:-1]), strict=True):
            finer = F.interpolate(F.relu(merged), size=feature.shape[-2:], mode="bilinear", align_corners=True)
            merged = finer + lateral(feature)
        mid = F.relu(merged)
        return mid, F.relu(self.smooth(mid))
