"""Instance masks: each pixel of a person points to the person's keypoints by the long offsets."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64
from numba import njit
from numpy.typing import NDArray

from personlab.decoding.rle import encode_region
from personlab.geometry.affine import Affine, apply, compose, invert, scaling
from personlab.geometry.kernels import bilinear_at, bilinear_corner, clamp

FAR = 1e3
"""Distance of cells that are nobody's; larger than any threshold."""
NO, YES, MIXED = 0, 1, 2


class Embedding(NamedTuple):
    """Where the cells of any person point to.

    Attributes:
        segmentation: Probability that a cell belongs to any person, 0 where it is not a number.
        cells: Row and column of every cell with enough segmentation.
        targets_xy: For each keypoint, where these cells say that it is, in `crop_xy`.
    """

    segmentation: Float32[np.ndarray, "height width"]
    cells: Int64[np.ndarray, "cell 2"]
    targets_xy: Float32[np.ndarray, "keypoint 2 cell"]


@njit(cache=True, nogil=True)
def _cells_inside(segmentation: NDArray[np.float32], threshold: float, cells: NDArray[np.int64]) -> int:
    """Write the cells at or above `threshold` to `cells`; returns how many."""
    height, width = segmentation.shape
    count = 0
    for i in range(height):
        for j in range(width):
            if segmentation[i, j] >= threshold:
                cells[count, 0], cells[count, 1] = i, j
                count += 1
    return count


def embed(
    segmentation: Float32[np.ndarray, "height width"],
    long_offsets: Float32[np.ndarray, "keypoint 2 height width"],
    stride: int,
    threshold: float,
) -> Embedding:
    """Follow the long offsets of all cells with segmentation >= `threshold`.

    Source: PersonLab, section 3.2, eq. 5.
    """
    segmentation = np.where(np.isfinite(segmentation), segmentation, np.float32(0))
    cells = np.empty((segmentation.size, 2), dtype=np.int64)
    cells = cells[: _cells_inside(segmentation, threshold, cells)].copy()
    places = np.ascontiguousarray(cells.T[::-1] * stride, dtype=np.float32)
    return Embedding(segmentation, cells, long_offsets[:, :, cells[:, 0], cells[:, 1]] + places)


@njit(cache=True, nogil=True)
def _distances(
    targets_xy: NDArray[np.float32], person: NDArray[np.float32], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Weighted sum over keypoints of the distances between `targets_xy` and the person's keypoints."""
    total = np.zeros(targets_xy.shape[2], dtype=np.float32)
    for k in range(len(person)):
        if weights[k] > 0.0:
            x, y = person[k]
            for c in range(len(total)):
                dx, dy = targets_xy[k, 0, c] - x, targets_xy[k, 1, c] - y
                total[c] += weights[k] * math.sqrt(dx * dx + dy * dy)
    return total


def person_distances(
    embedding: Embedding,
    person: Float64[np.ndarray, "keypoint 2"],
    probabilities: Float64[np.ndarray, " keypoint"],
    scale_px: float,
) -> Float32[np.ndarray, "height width"]:
    """How far each cell is from a person in the space of keypoints, relative to the person's scale.

    Args:
        embedding: What the long offsets say.
        person: Places of the person's keypoints in `crop_xy`.
        probabilities: Heatmap probability at each.
        scale_px: Scale of the person, lambda.

    Returns:
        Distances; `FAR` for cells that do not matter or point nowhere, and everywhere if no keypoint is probable.

    Source: PersonLab, section 3.2, eq. 6.
    """
    distances = np.full(embedding.segmentation.shape, FAR, dtype=np.float32)
    total = probabilities.sum() * scale_px
    if total > 0:
        weights = (probabilities / total).astype(np.float32)
        near = _distances(embedding.targets_xy, person.astype(np.float32), weights)
        distances[embedding.cells[:, 0], embedding.cells[:, 1]] = np.where(near < FAR, near, np.float32(FAR))
    return distances


@njit(cache=True, nogil=True)
def _decide_blocks(
    segmentation: NDArray[np.float32],
    distances: NDArray[np.float32],
    segmentation_threshold: float,
    distance_threshold: float,
    blocks: NDArray[np.uint8],
) -> tuple[int, int, int, int]:
    """For each 2x2 block of cells, whether all of its pixels are inside, none, or it must be interpolated.

    Returns:
        First and last row, first and last column of the blocks that are not all outside.
    """
    height, width = distances.shape
    top, bottom, left, right = height, -1, width, -1
    for i in range(height):
        below = min(i + 1, height - 1)
        for j in range(width):
            near = high = 0
            for a in (i, below):
                for b in (j, min(j + 1, width - 1)):
                    if segmentation[a, b] >= segmentation_threshold:
                        high += 1
                        near += distances[a, b] <= distance_threshold
            blocks[i, j] = NO if near == 0 else YES if near == 4 else MIXED
            if blocks[i, j] != NO:
                top, bottom, left, right = min(top, i), max(bottom, i), min(left, j), max(right, j)
    return top, bottom, left, right


@njit(cache=True, nogil=True)
def _distance_at(
    distances: NDArray[np.float32], segmentation: NDArray[np.float32], x: float, y: float, threshold: float
) -> float:
    """Bilinear distance at cell (x, y) over those cells whose segmentation is at least `threshold`; there is one."""
    x0, x1, u = bilinear_corner(x, distances.shape[1])
    y0, y1, v = bilinear_corner(y, distances.shape[0])
    weight = total = 0.0
    for i, row_weight in ((y0, 1.0 - v), (y1, v)):
        for j, column_weight in ((x0, 1.0 - u), (x1, u)):
            if segmentation[i, j] >= threshold:
                weight += row_weight * column_weight
                total += row_weight * column_weight * distances[i, j]
    return total / weight if weight > 0.0 else FAR


@njit(cache=True, nogil=True)
def _fill(
    segmentation: NDArray[np.float32],
    distances: NDArray[np.float32],
    blocks: NDArray[np.uint8],
    image_to_cell: NDArray[np.float64],
    left: int,
    top: int,
    segmentation_threshold: float,
    distance_threshold: float,
    region: NDArray[np.uint8],
) -> None:
    """Decide the pixels of a `(width, height)` region of the image, column by column as COCO's RLE runs."""
    height, width = distances.shape
    for column in range(region.shape[0]):
        for row in range(region.shape[1]):
            image_x, image_y = left + column, top + row
            x = image_to_cell[0, 0] * image_x + image_to_cell[0, 1] * image_y + image_to_cell[0, 2]
            y = image_to_cell[1, 0] * image_x + image_to_cell[1, 1] * image_y + image_to_cell[1, 2]
            inside = False
            if -0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5:
                state = blocks[int(clamp(y, height)), int(clamp(x, width))]
                inside = state == YES or (
                    state == MIXED
                    and bilinear_at(segmentation, x, y) >= segmentation_threshold
                    and _distance_at(distances, segmentation, x, y, segmentation_threshold) <= distance_threshold
                )
            region[column, row] = inside


def person_mask(
    segmentation: Float32[np.ndarray, "height width"],
    distances: Float32[np.ndarray, "height width"],
    stride: int,
    image_to_crop: Affine,
    image_size: tuple[int, int],
    segmentation_threshold: float = 0.5,
    distance_threshold: float = 0.25,
) -> dict[str, Any]:
    """The pixels of the original image that are somebody's and near this person.

    Args:
        segmentation: Probability that a cell belongs to any person.
        distances: What `person_distances` gives for this person.
        stride: Output stride of both.
        image_to_crop: `image_xy` -> `crop_xy`.
        image_size: (height, width) of the original image.
        segmentation_threshold: Smallest interpolated probability of a person's pixel.
        distance_threshold: Largest interpolated distance of a person's pixel.

    Returns:
        COCO RLE of the whole image. A pixel may be in the masks of several people; pixels that the crop does not show
        are in none.

    Source: PersonLab, section 3.2: probability and distances are interpolated, not the decision. Departure: distances
    are interpolated over the cells of persons alone. Long offsets mean nothing outside, so that a mask would lose up to
    a cell at its rim, where the segmentation says by itself how far it goes.
    """
    blocks = np.empty(distances.shape, dtype=np.uint8)
    first_i, last_i, first_j, last_j = _decide_blocks(
        segmentation, distances, segmentation_threshold, distance_threshold, blocks
    )
    if last_i < 0:
        return encode_region(np.zeros((0, 0), dtype=np.uint8), 0, 0, image_size)
    image_to_cell = compose(image_to_crop, scaling(1 / stride))
    # Half a cell around the map still counts as the map's border.
    corners = [(x, y) for x in (first_j - 0.5, last_j + 1.5) for y in (first_i - 0.5, last_i + 1.5)]
    corners_xy = apply(invert(image_to_cell), np.array(corners))
    height, width = image_size
    left, top = (int(v) for v in np.clip(np.floor(corners_xy.min(axis=0)), 0, (width, height)))
    right, bottom = (int(v) for v in np.clip(np.ceil(corners_xy.max(axis=0)) + 1, (left, top), (width, height)))
    region = np.empty((right - left, bottom - top), dtype=np.uint8)
    _fill(
        segmentation, distances, blocks, image_to_cell, left, top, segmentation_threshold, distance_threshold, region
    )  # fmt: skip
    return encode_region(region, left, top, image_size)
