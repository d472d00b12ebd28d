"""Recurrent offset refinement: far offsets corrected by what is read where they point."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from personlab.geometry.cells import cell_centres
from personlab.geometry.sampling import read_bilinear
from personlab.structures import Fields


def refine_mid_offsets(
    mid_offsets: Float[Tensor, "batch edge 2 height width"],
    short_offsets: Float[Tensor, "batch keypoint 2 height width"],
    edge_targets: Int64[Tensor, " edge"],
    stride: int,
    steps: int,
) -> Float[Tensor, "batch edge 2 height width"]:
    """Move the end of each mid offset by the short offset found there, `steps` times: m <- m + S_l(x + m).

    Args:
        mid_offsets: Pixels of the network input, for the directed edges k -> l.
        short_offsets: Pixels of the network input.
        edge_targets: Keypoint l of each directed edge.
        stride: Output stride.
        steps: How often; 0 leaves the offsets as they are.

    Returns:
        The refined offsets. Gradients flow into both arguments, by the values read and by the places of reading.

    Source: PersonLab, section 3.1, eq. 2.
    """
    if steps == 0:
        return mid_offsets
    return _refine(mid_offsets, [short_offsets.index_select(1, edge_targets)] * steps, stride)


def refine_long_offsets(
    long_offsets: Float[Tensor, "batch keypoint 2 height width"],
    short_offsets: Float[Tensor, "batch keypoint 2 height width"],
    stride: int,
    steps: int,
    short_steps: int,
) -> Float[Tensor, "batch keypoint 2 height width"]:
    """Refine long offsets by themselves, L <- L + L(x + L), then by the short offsets, L <- L + S(x + L).

    Args:
        long_offsets: Pixels of the network input.
        short_offsets: Pixels of the network input.
        stride: Output stride.
        steps: How often by themselves; each step reads the field that the step before left.
        short_steps: How often by the short offsets, afterwards.

    Returns:
        The refined offsets. Gradients flow into both arguments, by the values read and by the places of reading.

    Source: PersonLab, section 3.2, eq. 5.
    """
    for _ in range(steps):
        long_offsets = _refine(long_offsets, [long_offsets], stride)
    return _refine(long_offsets, [short_offsets] * short_steps, stride)


def refine(
    fields: Fields,
    edge_targets: Int64[Tensor, " edge"],
    mid_refinements: int,
    long_refinements: int,
    long_short_refinements: int,
) -> Fields:
    """Fields with refined mid and long offsets, in full precision whatever the autocast mode.

    Args:
        fields: What the heads put out.
        edge_targets: Keypoint l of each directed edge k -> l.
        mid_refinements: Steps for the mid offsets.
        long_refinements: Steps of the long offsets by themselves.
        long_short_refinements: Steps of the long offsets by the short offsets.

    Source: PersonLab, sections 3.1 and 3.2. Departure: the number of steps can be chosen, 0 to n.
    """
    with torch.autocast(fields.short_offsets.device.type, enabled=False):
        return replace(
            fields,
            mid_offsets=refine_mid_offsets(
                fields.mid_offsets, fields.short_offsets, edge_targets, fields.stride, mid_refinements
            ),
            long_offsets=refine_long_offsets(
                fields.long_offsets, fields.short_offsets, fields.stride, long_refinements, long_short_refinements
            ),
        )


def _refine(
    offsets: Float[Tensor, "batch entry 2 height width"],
    corrections: list[Tensor],
    stride: int,
) -> Float[Tensor, "batch entry 2 height width"]:
    """Add each correction field in turn, read at the place the offset points to by then."""
    height, width = offsets.shape[-2:]
    centres_xy = cell_centres(height, width, stride, offsets.device)
    # One map for each (image, entry): they are read at places of their own.
    flat = offsets.flatten(0, 1)
    for correction in corrections:
        flat = flat + read_bilinear(correction.flatten(0, 1), centres_xy + flat, stride)
    return flat.view(offsets.shape)
