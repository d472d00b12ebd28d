"""Scores of all candidates of a batch, as in `scoring`."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from personlab.decoding.batched.maps import CHUNK, Maps
from personlab.decoding.scoring import MIN_SCALE_PX, RIM


def person_scales(people: Float[Tensor, "person keypoint 2"]) -> Float[Tensor, " person"]:
    """`scoring.person_scale` of each."""
    side = people.amax(dim=1) - people.amin(dim=1)
    return side.prod(dim=1).sqrt().clamp(min=MIN_SCALE_PX)


def score_keypoints(
    people: Float[Tensor, "person keypoint 2"],
    images: Int64[Tensor, " person"],
    heatmaps: Float[Tensor, "image keypoint height width"],
    stride: int,
    votes: Float[Tensor, "image keypoint rows columns"],
    grid_px: float,
    disk_radius_px: float,
    kappas: Float[Tensor, " keypoint"],
    expected_oks: bool,
) -> tuple[Float[Tensor, "person keypoint"], Float[Tensor, "person keypoint"]]:
    """`scoring.score_keypoints` of people of all images: probability at each keypoint, and its score."""
    keypoints = people.shape[1]
    plane = images[:, None] * keypoints + torch.arange(keypoints, device=people.device)
    probabilities = Maps(heatmaps).bilinear(plane, people / stride)[..., 0]
    probabilities = torch.where(probabilities > 0, probabilities, 0.0)
    if not expected_oks:
        return probabilities, probabilities
    reader = Maps(votes)
    radius = disk_radius_px / grid_px
    variance = (person_scales(people)[:, None] / grid_px * kappas).square()
    reach = torch.arange(2 * math.floor(radius) + 2, device=people.device)
    expected = torch.empty_like(probabilities)
    step = max(CHUNK // (keypoints * len(reach) ** 2), 1)
    for n in range(0, len(people), step):
        part = slice(n, n + step)
        centre = people[part] / grid_px
        first = (centre - radius).ceil()
        columns, rows = ((first[..., axis, None] + reach) for axis in (0, 1))
        x, y = centre[..., :1], centre[..., 1:]
        dx2, dy2 = (columns - x).square(), (rows - y).square()
        counted = dy2[..., :, None] + dx2[..., None, :] <= radius**2 * RIM
        counted &= ((rows >= 0) & (rows < reader.height))[..., :, None]
        counted &= ((columns >= 0) & (columns < reader.width))[..., None, :]
        i = rows.clamp(0, reader.height - 1).long()[..., :, None]
        j = columns.clamp(0, reader.width - 1).long()[..., None, :]
        values = reader.at(plane[part][..., None, None], i, j)[..., 0]
        values = torch.where(counted, values, 0.0)
        spread = 2.0 * variance[part][..., None]
        falloff = torch.exp(-dy2 / spread)[..., :, None] * torch.exp(-dx2 / spread)[..., None, :]
        total = values.sum(dim=(-2, -1))
        expected[part] = torch.where(total > 0, (values * falloff).sum(dim=(-2, -1)) / total.clamp(min=1e-300), 0.0)
    return probabilities, probabilities * expected
