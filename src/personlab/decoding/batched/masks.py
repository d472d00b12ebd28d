"""Masks of the people of one image, as in `masks`."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from personlab.decoding.batched.maps import CHUNK, Maps
from personlab.decoding.batched.scores import person_scales
from personlab.decoding.masks import FAR
from personlab.decoding.rle import encode_runs
from personlab.geometry.affine import Affine, compose, scaling


def person_masks(
    segmentation: Float[Tensor, "height width"],
    long_offsets: Float[Tensor, "keypoint 2 height width"],
    stride: int,
    people: Float[Tensor, "person keypoint 2"],
    probabilities: Float[Tensor, "person keypoint"],
    image_to_crop: Affine,
    image_size: tuple[int, int],
    segmentation_threshold: float,
    distance_threshold: float,
) -> list[dict[str, Any]]:
    """`masks.person_mask` of all people of one image, as COCO RLE.

    Only the ends of the runs leave the device; no array has an axis for people, one for keypoints and one for pixels.
    """
    width = segmentation.shape[1]
    segmentation = segmentation.nan_to_num(0.0, 0.0, 0.0)
    pixels, cell_xy = _likely_pixels(segmentation, stride, image_to_crop, image_size, segmentation_threshold)
    distances = _cell_distances(segmentation, long_offsets, stride, people, probabilities, segmentation_threshold)
    corners = [
        (i * width + j, torch.where(segmentation[i, j] >= segmentation_threshold, weight, 0.0))
        for i, j, weight in Maps(segmentation[None, None]).corners(cell_xy)
    ]
    total = torch.stack([weight for _, weight in corners]).sum(dim=0)
    masks: list[dict[str, Any]] = []
    step = max(CHUNK // max(len(pixels), 1), 1)
    for part in torch.split(distances.flatten(1), step):
        # Interpolated in the precision of the other engine, so that both decide alike.
        near = torch.zeros(len(part), len(pixels), dtype=torch.float64, device=pixels.device)
        for cell, weight in corners:
            near += weight * part[:, cell]
        near /= total
        person, place = (near <= distance_threshold).nonzero(as_tuple=True)
        place = pixels[place]
        broken = (person[1:] != person[:-1]) | (place[1:] != place[:-1] + 1)
        edge = broken.new_ones(min(len(place), 1))
        first, last = torch.cat([edge, broken]), torch.cat([broken, edge])
        runs = torch.stack([person[first], place[first], place[last] + 1]).cpu().numpy()
        masks += [encode_runs(runs[1:, runs[0] == n], image_size) for n in range(len(part))]
    return masks


def _likely_pixels(
    segmentation: Float[Tensor, "height width"],
    stride: int,
    image_to_crop: Affine,
    image_size: tuple[int, int],
    threshold: float,
) -> tuple[Int64[Tensor, " pixel"], Float[Tensor, "pixel 2"]]:
    """Pixels of the original image that are somebody's: places in the order of COCO's runs, and where in the map."""
    height, width = segmentation.shape
    matrix = torch.from_numpy(compose(image_to_crop, scaling(1 / stride))).to(segmentation.device)
    column = torch.arange(image_size[1], device=segmentation.device, dtype=torch.float64)[:, None]
    row = torch.arange(image_size[0], device=segmentation.device, dtype=torch.float64)
    x, y = (matrix[n, 0] * column + matrix[n, 1] * row + matrix[n, 2] for n in (0, 1))
    shown = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    pixels = shown.flatten().nonzero()[:, 0]
    cell_xy = torch.stack([x.flatten()[pixels], y.flatten()[pixels]], dim=-1)
    reader = Maps(segmentation[None, None])
    likely = reader.bilinear(torch.zeros_like(pixels), cell_xy)[:, 0] >= threshold
    return pixels[likely], cell_xy[likely]


def _cell_distances(
    segmentation: Float[Tensor, "height width"],
    long_offsets: Float[Tensor, "keypoint 2 height width"],
    stride: int,
    people: Float[Tensor, "person keypoint 2"],
    probabilities: Float[Tensor, "person keypoint"],
    threshold: float,
) -> Float[Tensor, "person height width"]:
    """`masks.person_distances` of all people, keypoint after keypoint."""
    height, width = segmentation.shape
    i, j = (segmentation >= threshold).nonzero(as_tuple=True)
    total = probabilities.sum(dim=1) * person_scales(people)
    weights = torch.where(total[:, None] > 0, probabilities / total[:, None], 0.0).float()
    summed = torch.zeros(len(people), len(i), device=people.device)
    for k in range(people.shape[1]):
        target = torch.stack([j, i]) * float(stride) + long_offsets[k, :, i, j]
        away = target - people[:, k, :, None].float()
        # A keypoint without weight does not count, even where the long offsets are undefined.
        distance = away.square().sum(dim=1).sqrt()
        summed += torch.where(weights[:, k, None] > 0, weights[:, k, None] * distance, 0.0)
    summed = torch.where((summed < FAR) & (total[:, None] > 0), summed, FAR)
    distances = torch.full((len(people), height, width), FAR, device=people.device)
    distances[:, i, j] = summed
    return distances
