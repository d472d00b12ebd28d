"""The walks from all seeds of a batch, as in `grouping`."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from personlab.decoding.batched.maps import Maps
from personlab.decoding.batched.votes import BatchSeeds
from personlab.decoding.reads import MAX_PLACE_PX, MIN_WEIGHT, SAME_KEYPOINT_PX, CellRead
from personlab.skeleton import Skeleton


class Level(NamedTuple):
    """Steps of the walk that can be taken together: those at one distance from the seed, one row a kind of seed.

    Rows are padded with copies of their first step, or with a step from the seed to itself along edge -1.
    """

    edges: Int64[Tensor, "keypoint steps"]
    sources: Int64[Tensor, "keypoint steps"]
    targets: Int64[Tensor, "keypoint steps"]


def walk_levels(skeleton: Skeleton) -> list[Level]:
    """The walks from all keypoints, level by level."""
    rows: list[list[list[tuple[int, int, int]]]] = []
    for start in range(skeleton.num_keypoints):
        depth = {start: 0}
        levels: list[list[tuple[int, int, int]]] = []
        for edge, source, target in skeleton.walk(start).tolist():
            depth[target] = depth[source] + 1
            if depth[target] > len(levels):
                levels.append([])
            levels[depth[target] - 1].append((edge, source, target))
        rows.append(levels)
    result = []
    for d in range(max(len(levels) for levels in rows)):
        width = max(len(levels[d]) for levels in rows if len(levels) > d)
        table = np.empty((len(rows), width, 3), dtype=np.int64)
        for start, levels in enumerate(rows):
            steps = levels[d] if len(levels) > d else [(-1, start, start)]
            table[start] = (steps + [steps[0]] * width)[:width]
        result.append(Level(*(torch.from_numpy(table[..., n].copy()) for n in range(3))))
    return result


class Walker:
    """Walks the tree from all seeds of a batch at once."""

    def __init__(
        self,
        heatmaps: Float[Tensor, "image keypoint height width"],
        short_offsets: Float[Tensor, "image keypoint 2 height width"],
        mid_offsets: Float[Tensor, "image edge 2 height width"],
        stride: int,
        levels: list[Level],
        short_refinements: int,
        cell_read: CellRead,
    ) -> None:
        """Take the fields and the options of `grouping.group_keypoints`."""
        self.heatmaps, self.short, self.mid = Maps(heatmaps), Maps(short_offsets), Maps(mid_offsets)
        self.stride = stride
        self.levels = [Level(*(t.to(heatmaps.device) for t in level)) for level in levels]
        self.short_refinements = short_refinements
        self.cell_read = cell_read

    def __call__(self, seeds: BatchSeeds) -> Float[Tensor, "seed keypoint 2"]:
        """Places of all keypoints of the person that each seed would become."""
        people = seeds.xy.new_zeros(len(seeds.images), self.short.entries, 2)
        row = torch.arange(len(people), device=people.device)[:, None]
        people[row[:, 0], seeds.keypoints] = seeds.xy
        image = seeds.images[:, None]
        for level in self.levels:
            edges, sources, targets = (t[seeds.keypoints] for t in level)
            start = people[row, sources]
            mid = image * self.mid.entries + edges.clamp(min=0)
            place = self._follow(self.mid, mid, image * self.short.entries + sources, start)
            short = image * self.short.entries + targets
            for _ in range(self.short_refinements):
                place = self._follow(self.short, short, short, place)
            people[row, targets] = torch.where(edges[..., None] < 0, start, place)
        return people

    def _follow(self, offsets: Maps, plane: Tensor, standing: Tensor, place: Tensor) -> Tensor:
        """`reads.follow` for places `(seed, step, 2)`; `standing` is the plane of the keypoint that stands there."""
        cell = place / self.stride
        if self.cell_read == "nearest":
            i, j = offsets.nearest(cell)
            target = self._landing(offsets, plane, i, j)
        else:
            limit = place.new_tensor([offsets.width - 1.0, offsets.height - 1.0]) * self.stride
            inside = torch.minimum(place.nan_to_num(0.0).clamp(min=0), limit)
            target = inside + offsets.bilinear(plane, cell)
            if self.cell_read == "consistent":
                target = self._consistent(offsets, plane, standing, place, target)
        return torch.where((target.abs() < MAX_PLACE_PX).all(-1, keepdim=True), target, place)

    def _landing(self, offsets: Maps, plane: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return torch.stack([j, i], dim=-1) * self.stride + offsets.at(plane, i, j)

    def _consistent(self, offsets: Maps, plane: Tensor, standing: Tensor, place: Tensor, otherwise: Tensor) -> Tensor:
        """`reads._follow_consistent`; `otherwise` where no cell near the place lies in a disk."""
        cell = place / self.stride
        row, column = offsets.nearest(cell)
        reach = torch.arange(-1, 2, device=place.device)
        a = (row[..., None, None] + reach[:, None]).expand(*row.shape, 3, 3).flatten(-2)
        b = (column[..., None, None] + reach).expand(*row.shape, 3, 3).flatten(-2)
        there = (a >= 0) & (a < offsets.height) & (b >= 0) & (b < offsets.width)
        a, b = a.clamp(0, offsets.height - 1), b.clamp(0, offsets.width - 1)
        near = standing[..., None].expand_as(a)
        there &= self.heatmaps.at(near, a, b)[..., 0] >= 0.5
        distance = (self._landing(self.short, near, a, b) - place[..., None, :]).square().sum(-1)
        distance = torch.where(there & ~distance.isnan(), distance, math.inf)
        best = distance.argmin(dim=-1, keepdim=True)  # of equal cells the first, as the other engine has it
        best_i, best_j = a.gather(-1, best)[..., 0], b.gather(-1, best)[..., 0]
        best_xy = self._landing(self.short, standing, best_i, best_j)
        total = torch.zeros_like(place[..., :1])
        summed = torch.zeros_like(place)
        for i, j, weight in offsets.corners(cell):
            same = (self._landing(self.short, standing, i, j) - best_xy).square().sum(-1) <= SAME_KEYPOINT_PX**2
            share = torch.where(same, weight, 0.0)[..., None]
            total += share
            summed += torch.where(share > 0, share * self._landing(offsets, plane, i, j), 0.0)
        alone = self._landing(offsets, plane, best_i, best_j)
        there = ~distance.gather(-1, best).isinf()
        return torch.where(there, torch.where(total > MIN_WEIGHT, summed / total, alone), otherwise)
