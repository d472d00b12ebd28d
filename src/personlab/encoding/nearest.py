"""Disks around keypoints, cell by cell, and which person's keypoint is nearest where disks overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor

_FAR = torch.iinfo(torch.int64).max


@dataclass
class Disks:
    """The cells in a small square window around each of many keypoints, in the order of (batch, person, keypoint).

    Attributes:
        batch: Sample each keypoint belongs to.
        person: Person each keypoint belongs to.
        keypoint: Type of each keypoint.
        cell: Index `row * width + column` of the cells of the window; 0 where `inside` is False.
        cell_xy_px: Places of these cells in `crop_xy` pixels.
        squared_px: Squared distance from cell to keypoint.
        inside: True for cells of the map that lie within the radius of the keypoint.
    """

    batch: Int64[Tensor, " disk"]
    person: Int64[Tensor, " disk"]
    keypoint: Int64[Tensor, " disk"]
    cell: Int64[Tensor, "disk window"]
    cell_xy_px: Float[Tensor, "disk window 2"]
    squared_px: Float[Tensor, "disk window"]
    inside: Bool[Tensor, "disk window"]


def make_disks(
    place_xy: Float[Tensor, "batch person keypoint 2"],
    chosen: Bool[Tensor, "batch person keypoint"],
    radius_px: float,
    stride: int,
    height: int,
    width: int,
) -> Disks:
    """Cells within `radius_px` of the chosen keypoints.

    Work and memory grow with the number of chosen keypoints times the cells of a disk, not with the size of the map.

    Args:
        place_xy: Places of keypoints in `crop_xy` pixels.
        chosen: Keypoints that get a disk.
        radius_px: Radius of the disks in pixels of the network input.
        stride: Pixels a cell.
        height: Cells down.
        width: Cells across.

    Returns:
        One row a chosen keypoint.
    """
    batch, person, keypoint = chosen.nonzero(as_tuple=True)
    centre_xy = place_xy[batch, person, keypoint]
    reach = math.ceil(radius_px / stride)
    steps = torch.arange(-reach, reach + 1, device=place_xy.device)
    window = torch.stack([steps.repeat(len(steps)), steps.repeat_interleave(len(steps))], -1)
    cell_xy = (centre_xy / stride).round().long()[:, None] + window
    cell_xy_px = (cell_xy * stride).float()
    column, row = cell_xy.unbind(-1)
    dx, dy = (cell_xy_px - centre_xy[:, None]).unbind(-1)
    squared_px = dx * dx + dy * dy
    inside = (squared_px <= radius_px * radius_px) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    cell = torch.where(inside, row * width + column, 0)
    return Disks(batch, person, keypoint, cell, cell_xy_px, squared_px, inside)


def nearest_wins(
    disks: Disks, competes: Bool[Tensor, " disk"], batch_size: int, num_keypoints: int, num_cells: int
) -> Bool[Tensor, "disk window"]:
    """Where each disk's keypoint is the nearest one of its type; on equal distance the lower person index wins.

    The squared distance (whose float32 bits sort like the number, as it is never negative) and the person share one
    64-bit key, so one minimum over all disks that cover a cell decides, whatever order they are written in.

    Args:
        disks: Disks of all samples.
        competes: Which of them take part.
        batch_size: Number of samples.
        num_keypoints: Number of keypoint types.
        num_cells: Cells of one map.

    Returns:
        True for the cells a disk wins: for each sample, type and cell at most one disk.

    Source: PersonLab, section 3.1: where disks overlap, offsets point to the closest keypoint.
    """
    key = (disks.squared_px.view(torch.int32).long() << 32) | disks.person[:, None]
    inside = disks.inside & competes[:, None]
    total = batch_size * num_keypoints * num_cells
    place = (disks.batch * num_keypoints + disks.keypoint)[:, None] * num_cells + disks.cell
    place = torch.where(inside, place, total)  # everything else writes into one spare place at the end
    best = torch.full((total + 1,), _FAR, dtype=torch.int64, device=key.device)
    best.scatter_reduce_(0, place.flatten(), key.flatten(), "amin")
    return inside & (best[place] == key)


def write(
    values: Sequence[Shaped[Tensor, "entry window"]],
    where: Bool[Tensor, "entry window"],
    map_index: Int64[Tensor, " entry"],
    cell: Int64[Tensor, "entry window"],
    num_maps: int,
    num_cells: int,
) -> Shaped[Tensor, "map channel cell"]:
    """Write values into otherwise empty maps.

    Args:
        values: One tensor a channel.
        where: Which of the values are written. Those that share a map and a cell must be equal.
        map_index: Map that each row of values goes to.
        cell: Cell that each value goes to.
        num_maps: Number of maps.
        num_cells: Cells of one map.

    Returns:
        The maps, 0 (or False) where nothing was written.
    """
    channels = len(values)
    total = num_maps * channels * num_cells
    maps = torch.zeros(total + 1, dtype=values[0].dtype, device=cell.device)
    first = map_index[:, None] * (channels * num_cells) + cell
    for channel, value in enumerate(values):
        maps[torch.where(where, first + channel * num_cells, total)] = value
    return maps[:total].view(num_maps, channels, num_cells)
