"""Hough score maps and seeds of a batch, as in `hough` and `seeds`."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from personlab.decoding.hough import MIN_VOTE_PROBABILITY
from personlab.decoding.seeds import CENTROID_RADIUS_PX, MAX_SEEDS


class BatchSeeds(NamedTuple):
    """Starting points of people in all images of a batch: image by image, best first."""

    images: Int64[Tensor, " seed"]
    scores: Float[Tensor, " seed"]
    keypoints: Int64[Tensor, " seed"]
    xy: Float[Tensor, "seed 2"]


def hough_maps(
    heatmaps: Float[Tensor, "image keypoint height width"],
    short_offsets: Float[Tensor, "image keypoint 2 height width"],
    stride: int,
    grid_px: float,
    disk_radius_px: float,
) -> Float[Tensor, "image keypoint rows columns"]:
    """`hough.hough_maps` of a batch, by scattered additions."""
    images, keypoints, height, width = heatmaps.shape
    rows, columns = (int((n - 1) * stride / grid_px) + 1 for n in (height, width))
    image, keypoint, i, j = (heatmaps > MIN_VOTE_PROBABILITY).nonzero(as_tuple=True)
    # In single precision, as the other engine: what lies within rounding of a tie falls the same way there.
    offsets = short_offsets[image, keypoint, :, i, j]
    x, y = (j * stride + offsets[:, 0]) * (1.0 / grid_px), (i * stride + offsets[:, 1]) * (1.0 / grid_px)
    voting = (x > -1) & (y > -1) & (x < columns) & (y < rows)  # false for what is not a number, too
    x, y, plane = x[voting], y[voting], (image * keypoints + keypoint)[voting]
    votes = heatmaps[image, keypoint, i, j][voting] * (stride**2 / (math.pi * disk_radius_px**2))
    left, top = x.floor(), y.floor()
    below = votes * (y - top)
    above = votes - below
    u = x - left
    total = torch.zeros(images * keypoints * rows * columns, dtype=torch.float32, device=heatmaps.device)
    for row, of_row in ((top.long(), above), (top.long() + 1, below)):
        of_right = of_row * u
        for column, share in ((left.long(), of_row - of_right), (left.long() + 1, of_right)):
            inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
            cell = (plane * rows + row) * columns + column
            total.index_add_(0, torch.where(inside, cell, 0), torch.where(inside, share, 0.0))
    return total.view(images, keypoints, rows, columns)


def find_seeds(votes: Float[Tensor, "image keypoint rows columns"], threshold: float, grid_px: float) -> BatchSeeds:
    """`seeds.find_seeds` of a batch: peaks by comparison with a pooled map."""
    images, _, rows, columns = votes.shape
    pooled = F.max_pool2d(votes, 3, stride=1, padding=1)
    candidate = (votes >= pooled) & (votes > threshold)
    # Of equal cells the first in reading order wins: none of those before it in the window may be equal.
    padded = F.pad(votes, (1, 1, 1, 1), value=-math.inf)
    for row, column in ((0, 0), (0, 1), (0, 2), (1, 0)):
        candidate &= padded[..., row : row + rows, column : column + columns] != votes
    image, keypoint, i, j = candidate.nonzero(as_tuple=True)
    scores = votes[image, keypoint, i, j]
    order = torch.sort(scores, descending=True, stable=True).indices
    order = order[torch.sort(image[order], stable=True).indices]
    image, keypoint, i, j, scores = image[order], keypoint[order], i[order], j[order], scores[order]
    first = torch.searchsorted(image, torch.arange(images, device=image.device))
    kept = torch.arange(len(image), device=image.device) - first[image] < MAX_SEEDS
    image, keypoint, i, j, scores = image[kept], keypoint[kept], i[kept], j[kept], scores[kept]
    radius = max(round(CENTROID_RADIUS_PX / grid_px), 1)
    reach = torch.arange(-radius, radius + 1, device=image.device)
    a, b = i[:, None, None] + reach[None, :, None], j[:, None, None] + reach[None, None, :]
    inside = (a >= 0) & (a < rows) & (b >= 0) & (b < columns)
    window = votes[image[:, None, None], keypoint[:, None, None], a.clamp(0, rows - 1), b.clamp(0, columns - 1)]
    weight = torch.where(inside, window, 0.0).double()
    total = weight.sum(dim=(1, 2))
    xy = torch.stack([(weight * b).sum(dim=(1, 2)) / total, (weight * a).sum(dim=(1, 2)) / total], dim=-1) * grid_px
    return BatchSeeds(image, scores, keypoint, xy)
