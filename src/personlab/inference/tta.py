"""Test-time augmentation: fields of the mirrored image and of other sizes, brought into one frame and averaged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from personlab.errors import InputError
from personlab.geometry.cells import cell_centres
from personlab.geometry.sampling import read_bilinear
from personlab.skeleton import Skeleton
from personlab.structures import Fields

_LOGIT_LIMIT = 16.0
"""Probabilities are averaged; this keeps the logit of the average finite where all are 0 or 1."""


def flip_fields(fields: Fields, skeleton: Skeleton) -> Fields:
    """Fields of a mirrored image as those of the image itself: left is right again, offsets point the other way.

    Args:
        fields: Fields of the mirrored network input, padding included.
        skeleton: Whose keypoints are left or right.

    Source: PersonLab, section 4 (flipped images at inference); the paper does not say how they are merged.
    """
    keypoints = torch.from_numpy(skeleton.flip_permutation).to(fields.heatmap_logits.device)
    edges = torch.from_numpy(skeleton.edge_flip_permutation).to(fields.heatmap_logits.device)
    mirror = torch.tensor([-1.0, 1.0], device=fields.heatmap_logits.device).view(2, 1, 1)
    return replace(
        fields,
        heatmap_logits=fields.heatmap_logits.flip(-1).index_select(1, keypoints),
        short_offsets=fields.short_offsets.flip(-1).index_select(1, keypoints) * mirror,
        mid_offsets=fields.mid_offsets.flip(-1).index_select(1, edges) * mirror,
        segmentation_logits=fields.segmentation_logits.flip(-1),
        long_offsets=fields.long_offsets.flip(-1).index_select(1, keypoints) * mirror,
    )


def merge_fields(views: Sequence[Fields], scales: Sequence[float]) -> Fields:
    """Average fields of one image at several sizes, in the frame and on the cells of the first.

    Probabilities and offsets are read bilinearly where a cell of the first view lies in the other; offsets are divided
    by the scale before they are averaged, so that they are pixels of the first view.

    Args:
        views: Fields of the same image, all of one stride.
        scales: How many times larger than in the first view the image is in each; the first is 1.

    Returns:
        Fields of the first view's size, with its stride and disk radius.

    Raises:
        InputError: If there is no view, or scales do not fit them.

    Source: PersonLab, section 4 (several scales at inference). Departure: how to merge is not documented there.
    """
    if not views or len(views) != len(scales) or scales[0] != 1 or min(scales) <= 0:
        raise InputError(f"merging {len(views)} views at scales {list(scales)}: give a scale each, the first 1")
    first = views[0]
    if len(views) == 1:
        return first
    height, width = first.heatmap_logits.shape[-2:]
    centres_xy = cell_centres(height, width, first.stride, first.heatmap_logits.device)

    def read(maps: Float[Tensor, "batch ..."], view: Fields, scale: float) -> Tensor:
        if view is first:
            return maps
        flat = maps.flatten(1, -3)
        place_xy = (centres_xy * scale).expand(len(flat), -1, -1, -1)
        return read_bilinear(flat, place_xy, view.stride).view(*maps.shape[:-2], height, width)

    def mean(name: str) -> Tensor:
        return torch.stack([read(getattr(v, name), v, s) for v, s in zip(views, scales, strict=True)]).mean(0)

    def mean_offsets(name: str) -> Tensor:
        return torch.stack([read(getattr(v, name), v, s) / s for v, s in zip(views, scales, strict=True)]).mean(0)

    return replace(
        first,
        heatmap_logits=torch.logit(mean("heatmaps")).clamp(-_LOGIT_LIMIT, _LOGIT_LIMIT),
        short_offsets=mean_offsets("short_offsets"),
        mid_offsets=mean_offsets("mid_offsets"),
        segmentation_logits=torch.logit(mean("segmentation")).clamp(-_LOGIT_LIMIT, _LOGIT_LIMIT),
        long_offsets=mean_offsets("long_offsets"),
    )
