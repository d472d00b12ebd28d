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
_WEIGHT_SCALE = 0.1


class Heads(nn.Module):
    """One 1x1 convolution for each field.

    Convolutions run in the caller's autocast precision; the fields leave in float32 at least, since offsets of hundreds
    of pixels do not fit half precision's 11 bits.

    Args:
        in_channels: Channels of the feature map.
        num_keypoints: K.
        num_directed_edges: 2(K-1).
        offset_unit_px: Pixels of network input that an offset convolution's output of 1 stands for.

    Source: PersonLab, section 3 (the five fields). Departure: the offset unit and the initial biases.
    """

    def __init__(self, in_channels: int, num_keypoints: int, num_directed_edges: int, offset_unit_px: float) -> None:
        """Create the convolutions; see the class for the arguments."""
        super().__init__()
        self.offset_unit_px = offset_unit_px
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
            Fields in float32, or float64 if the features are.
        """
        return Fields(
            heatmap_logits=_full_precision(self.heatmaps(features)),
            short_offsets=self._offsets(self.short_offsets(features)),
            mid_offsets=self._offsets(self.mid_offsets(features)),
            segmentation_logits=_full_precision(self.segmentation(features)),
            long_offsets=self._offsets(self.long_offsets(features)),
            stride=stride,
        )

    def _offsets(self, x: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch entry 2 height width"]:
        batch, channels, height, width = x.shape
        return _full_precision(x).view(batch, channels // 2, 2, height, width) * self.offset_unit_px


def _full_precision(x: Tensor) -> Tensor:
    # Also in the plain memory layout: targets, losses and decoders work channel by channel.
    return (x if x.dtype == torch.float64 else x.float()).contiguous()
