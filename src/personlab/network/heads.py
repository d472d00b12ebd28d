"""The five 1x1 convolutions that read PersonLab's fields off a feature map."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from personlab.structures import Fields

HEATMAP_PRIOR, SEGMENTATION_PRIOR = 0.05, 0.2
"""Probabilities an untrained network puts out: about the share of positive cells, so that the first steps of training
are not spent on learning that most cells are background."""
HEAD_NAMES = ("heatmaps", "short_offsets", "mid_offsets", "segmentation", "long_offsets")
"""The heads, as in `Heads` and in weight files."""
_WEIGHT_SCALE = 0.1


class Heads(nn.Module):
    """One 1x1 convolution for each field.

    They run in the precision of their weights, whatever the caller's autocast mode: bfloat16's 8 bits would round an
    offset of hundreds of pixels by more than a pixel.

    Args:
        in_channels: Channels of the feature map.
        num_keypoints: K.
        num_directed_edges: 2(K-1).
        disk_radius_px: R, the radius of the disks that the heads are trained with, in pixels of the network input; also
            what an offset convolution's output of 1 stands for.

    Source: PersonLab, section 3 (the five fields). Departure: the offset unit and the initial biases.
    """

    def __init__(self, in_channels: int, num_keypoints: int, num_directed_edges: int, disk_radius_px: float) -> None:
        """Create the convolutions; see the class for the arguments."""
        super().__init__()
        self.disk_radius_px = disk_radius_px
        self.heatmaps = nn.Conv2d(in_channels, num_keypoints, 1)
        self.short_offsets = nn.Conv2d(in_channels, 2 * num_keypoints, 1)
        self.mid_offsets = nn.Conv2d(in_channels, 2 * num_directed_edges, 1)
        self.segmentation = nn.Conv2d(in_channels, 1, 1)
        self.long_offsets = nn.Conv2d(in_channels, 2 * num_keypoints, 1)
        for conv in self.children():
            assert isinstance(conv, nn.Conv2d)
            assert conv.bias is not None
            nn.init.normal_(conv.weight, std=_WEIGHT_SCALE / math.sqrt(in_channels))
            nn.init.zeros_(conv.bias)
        for head, prior in ((self.heatmaps, HEATMAP_PRIOR), (self.segmentation, SEGMENTATION_PRIOR)):
            nn.init.constant_(head.bias, math.log(prior / (1 - prior)))  # type: ignore[arg-type]

    def forward(self, features: Float[Tensor, "batch channel height width"], stride: int) -> Fields:
        """The fields of a feature map, before any refinement.

        Args:
            features: A backbone's map.
            stride: Its output stride, pixels a cell.

        Returns:
            Fields in the precision of the heads' weights.
        """
        with torch.autocast(features.device.type, enabled=False):
            features = features.to(self.heatmaps.weight.dtype)
            return Fields(
                # In the plain memory layout: targets, losses and decoders work channel by channel.
                heatmap_logits=self.heatmaps(features).contiguous(),
                short_offsets=self._offsets(self.short_offsets(features)),
                mid_offsets=self._offsets(self.mid_offsets(features)),
                segmentation_logits=self.segmentation(features).contiguous(),
                long_offsets=self._offsets(self.long_offsets(features)),
                stride=stride,
                disk_radius_px=self.disk_radius_px,
            )

    def _offsets(self, x: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch entry 2 height width"]:
        batch, channels, height, width = x.shape
        return x.contiguous().view(batch, channels // 2, 2, height, width) * self.disk_radius_px
