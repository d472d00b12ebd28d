"""The steps of the paper's rules on tensors: a whole batch at once, on any device.

Each function does what its namesake for one image does (`hough`, `seeds`, `grouping`, `scoring`), where its rule is
told. Places are float64, maps float32, as there; people of all images stand in one list, each with its image.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from personlab.decoding.hough import MIN_VOTE_PROBABILITY
from personlab.decoding.masks import FAR
from personlab.decoding.reads import MAX_PLACE_PX, MIN_WEIGHT, SAME_KEYPOINT_PX, CellRead
from personlab.decoding.rle import encode_runs
from personlab.decoding.scoring import MIN_SCALE_PX, RIM
from personlab.decoding.seeds import CENTROID_RADIUS_PX, MAX_SEEDS
from personlab.geometry.affine import Affine, compose, scaling
from personlab.skeleton import Skeleton

CHUNK = 2**23
"""Numbers that one step may hold per seed, keypoint and cell at a time: it bounds the memory for Expected-OKS."""


class BatchSeeds(NamedTuple):
    """Starting points of people in all images of a batch: image by image, best first."""

    images: Int64[Tensor, " seed"]
    scores: Float[Tensor, " seed"]
    keypoints: Int64[Tensor, " seed"]
    xy: Float[Tensor, "seed 2"]


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
    offsets = short_offsets[image, keypoint, :, i, j].double()
    x, y = (j * stride + offsets[:, 0]) / grid_px, (i * stride + offsets[:, 1]) / grid_px
    voting = (x > -1) & (y > -1) & (x < columns) & (y < rows)  # false for what is not a number, too
    x, y, plane = x[voting], y[voting], (image * keypoints + keypoint)[voting]
    votes = heatmaps[image, keypoint, i, j][voting].double() * (stride**2 / (math.pi * disk_radius_px**2))
    left, top = x.floor(), y.floor()
    u, v = x - left, y - top
    total = torch.zeros(images * keypoints * rows * columns, dtype=torch.float32, device=heatmaps.device)
    for row, row_share in ((top.long(), 1 - v), (top.long() + 1, v)):
        for column, column_share in ((left.long(), 1 - u), (left.long() + 1, u)):
            inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
            cell = (plane * rows + row) * columns + column
            share = (votes * row_share * column_share).float()
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


class Maps:
    """Maps of a batch that can be read at places of their own for each entry of a list."""

    def __init__(self, maps: Float[Tensor, "image entry *channels height width"]) -> None:
        """Take the maps; `channels` is 2 for vectors and nothing for scalars."""
        self.height, self.width = maps.shape[-2:]
        self.entries = maps.shape[1]
        self.flat = maps.reshape(-1, maps.shape[2] if maps.dim() == 5 else 1, self.height * self.width)

    def at(self, plane: Tensor, i: Tensor, j: Tensor) -> Tensor:
        """Values `(*list, channels)` of cells (i, j) of maps `image * entries + entry`."""
        return self.flat[plane, :, i * self.width + j].double()

    def bilinear(self, plane: Tensor, cell_xy: Tensor) -> Tensor:
        """Values `(*list, channels)` between cells; places outside are clamped to the map."""
        total: Tensor | float = 0.0
        for i, j, weight in self.corners(cell_xy):
            total = total + weight[..., None] * self.at(plane, i, j)
        assert isinstance(total, Tensor)
        return total

    def corners(self, cell_xy: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Row, column and bilinear weight of the four cells around each place."""
        x = cell_xy[..., 0].nan_to_num(0.0).clamp(0, self.width - 1)
        y = cell_xy[..., 1].nan_to_num(0.0).clamp(0, self.height - 1)
        left, top = x.floor().long(), y.floor().long()
        u, v = x - left, y - top
        right, below = (left + 1).clamp(max=self.width - 1), (top + 1).clamp(max=self.height - 1)
        return [
            (top, left, (1 - v) * (1 - u)),
            (top, right, (1 - v) * u),
            (below, left, v * (1 - u)),
            (below, right, v * u),
        ]

    def nearest(self, cell_xy: Tensor) -> tuple[Tensor, Tensor]:
        """Row and column of the cell nearest to each place, ties upwards."""
        x = cell_xy[..., 0].nan_to_num(0.0).clamp(0, self.width - 1)
        y = cell_xy[..., 1].nan_to_num(0.0).clamp(0, self.height - 1)
        return (y + 0.5).long(), (x + 0.5).long()


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
