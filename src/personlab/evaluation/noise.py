"""Errors of a chosen size on true fields, as a network makes them: alike at cells near each other."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from personlab.structures import Fields

OFFSETS = ("short_offsets", "mid_offsets", "long_offsets")
LOGITS = {"heatmaps": "heatmap_logits", "segmentation": "segmentation_logits"}
_CERTAIN = 4.0
"""Logits of true maps are infinite; noise is added to these, a probability of .98."""


def add_noise(fields: Fields, name: str, size: float, correlation_px: float, generator: torch.Generator) -> Fields:
    """Fields with normally distributed errors on one of the five.

    Args:
        fields: True fields.
        name: `heatmaps`, `short_offsets`, `mid_offsets`, `segmentation` or `long_offsets`.
        size: Standard deviation: of each of x and y in pixels for offsets, of the logit for maps of probabilities,
            whose infinite logits become 4 and -4 first.
        correlation_px: Distance over which errors change; at or below the stride each cell errs on its own, and the
            votes of a disk average most of it out.
        generator: Where the chance comes from.

    Returns:
        New fields, those that are not named the same tensors.
    """
    if name in LOGITS:
        attribute = LOGITS[name]
        logits = getattr(fields, attribute).clamp(-_CERTAIN, _CERTAIN)
        return replace(fields, **{attribute: logits + size * _smooth(logits, fields.stride, correlation_px, generator)})
    offsets = getattr(fields, name)
    errors = size * _smooth(offsets.flatten(1, 2), fields.stride, correlation_px, generator)
    return replace(fields, **{name: offsets + errors.view_as(offsets)})


def _smooth(
    like: Float[Tensor, "batch channel height width"], stride: int, correlation_px: float, generator: torch.Generator
) -> Float[Tensor, "batch channel height width"]:
    """Noise of variance 1 everywhere: independent at knots so far apart, interpolated between."""
    height, width = like.shape[-2:]
    # Knots farther apart than the map is large would only cost memory.
    pitch = max(min(round(correlation_px / stride), max(height, width)), 1)
    rows, columns = ((n - 1) // pitch + 2 for n in (height, width))
    knots = torch.randn(*like.shape[:2], rows, columns, generator=generator)
    size = ((rows - 1) * pitch + 1, (columns - 1) * pitch + 1)
    noise = interpolate(knots, size=size, mode="bilinear", align_corners=True)[..., :height, :width]

    def spread(n: int) -> Tensor:
        """Standard deviation that interpolation between two knots leaves along one axis."""
        fraction = (torch.arange(n) % pitch) / pitch
        return (fraction.square() + (1 - fraction).square()).sqrt()

    return noise / (spread(height)[:, None] * spread(width))
