"""What the released decoders share: seeds at the cells of the heatmaps, and masks that share out the pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float32, Int32, Int64
from numba import njit
from numpy.typing import NDArray

from personlab.decoding.rle import encode_region
from personlab.decoding.seeds import Seeds
from personlab.geometry.affine import Affine

LOGIT_LIMIT = 50.0
"""Logits are clipped to this before they are interpolated: true fields have infinite ones."""


@njit(cache=True, nogil=True)
def _tied_peaks(heatmaps: NDArray[np.float32], threshold: float, found: NDArray[np.int64]) -> int:
    """Write the flat indices of cells at or above `threshold` that no cell of their 3x3 window exceeds."""
    keypoints, height, width = heatmaps.shape
    count = 0
    for k in range(keypoints):
        plane = heatmaps[k]
        for i in range(height):
            for j in range(width):
                value = plane[i, j]
                if value >= threshold:
                    peak = True
                    for a in range(max(i - 1, 0), min(i + 2, height)):
                        for b in range(max(j - 1, 0), min(j + 2, width)):
                            peak = peak and not plane[a, b] > value
                    if peak:
                        found[count] = (k * height + i) * width + j
                        count += 1
    return count


@njit(cache=True, nogil=True)
def _sink(scores: NDArray[np.float32], queue: NDArray[np.int64], last: int) -> None:
    """Move what lies at the head of a queue that ends at place `last` down to where it belongs."""
    place = 0
    while 2 * place <= last:
        below = 2 * place
        if below < last and scores[queue[below]] < scores[queue[below + 1]]:
            below += 1
        if not scores[queue[place]] < scores[queue[below]]:
            break
        queue[place], queue[below] = queue[below], queue[place]
        place = below


@njit(cache=True, nogil=True)
def _drain(scores: NDArray[np.float32], queue: NDArray[np.int64], order: NDArray[np.int64]) -> None:
    """Fill an empty queue with everything there is, in turn, then write to `order` how it comes out."""
    for n in range(len(scores)):
        queue[n] = n
        place = n
        while place > 0 and scores[queue[place // 2]] < scores[queue[place]]:
            queue[place], queue[place // 2] = queue[place // 2], queue[place]
            place //= 2
    for n in range(len(scores)):
        last = len(scores) - 1 - n
        order[n] = queue[0]
        queue[0] = queue[last]
        _sink(scores, queue, last - 1)


def queue_order(scores: Float32[np.ndarray, " seed"]) -> Int64[np.ndarray, " seed"]:
    """The order in which scores leave the released decoders' queue, best first, when they enter it as they stand.

    Equal scores leave as the queue's shape has it: a binary heap whose place n lies below place n // 2, so that place 0
    has place 1 alone below it. Whoever wants the same people where maxima are tied needs the same order.

    Source: released decoders in the browser.
    """
    order = np.empty(len(scores), dtype=np.int64)
    _drain(np.ascontiguousarray(scores), np.empty_like(order), order)
    return order


def cell_seeds(
    heatmaps: Float32[np.ndarray, "keypoint height width"],
    short_offsets: Float32[np.ndarray, "keypoint 2 height width"],
    stride: int,
    threshold: float,
) -> Seeds:
    """Cells of the heatmaps that are local maxima, each moved by its short offset; tied maxima all count.

    Args:
        heatmaps: Probability of the disks.
        short_offsets: From a cell to the keypoint of its disk, in pixels.
        stride: Output stride of both.
        threshold: Smallest probability of a seed.

    Returns:
        Seeds, best first, tied ones as `queue_order` has them; their places are finite, since a cell with an undefined
        offset is no seed.

    Source: released decoders in the browser and for edge devices.
    """
    found = np.empty(heatmaps.size, dtype=np.int64)
    peaks = found[: _tied_peaks(heatmaps, threshold, found)]
    # They enter the queue cell by cell, at each cell keypoint by keypoint.
    peaks = peaks[np.argsort(peaks % heatmaps[0].size, kind="stable")]
    peaks = peaks[queue_order(heatmaps.ravel()[peaks])]
    k, i, j = np.unravel_index(peaks, heatmaps.shape)
    xy = np.stack([j, i], axis=-1) * float(stride) + short_offsets[k, :, i, j]
    finite = np.isfinite(xy).all(axis=-1)
    return Seeds(heatmaps.ravel()[peaks][finite], k[finite], xy[finite])


@njit(cache=True, nogil=True)
def _lookup(
    labels: NDArray[np.int32], image_to_crop: NDArray[np.float64], wanted: int, region: NDArray[np.uint8]
) -> None:
    """Fill a `(width, height)` region of the image with whether the nearest pixel of the crop has the wanted label."""
    height, width = labels.shape
    for column in range(region.shape[0]):
        for row in range(region.shape[1]):
            x = image_to_crop[0, 0] * column + image_to_crop[0, 1] * row + image_to_crop[0, 2]
            y = image_to_crop[1, 0] * column + image_to_crop[1, 1] * row + image_to_crop[1, 2]
            inside = -0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5
            region[column, row] = inside and labels[int(y + 0.5), int(x + 0.5)] == wanted


def label_rles(
    labels: Int32[np.ndarray, "height width"], image_to_crop: Affine, image_size: tuple[int, int], people: int
) -> list[dict[str, Any]]:
    """The mask of each person in the original image.

    Args:
        labels: Which person each pixel of the network input belongs to, counted from 0; -1 for nobody.
        image_to_crop: `image_xy` -> `crop_xy`.
        image_size: (height, width) of the original image.
        people: Number of people.

    Returns:
        COCO RLE of the whole image, one a person; a pixel of the image takes the label of the nearest pixel of the
        input.
    """
    region = np.empty(image_size[::-1], dtype=np.uint8)
    masks = []
    for n in range(people):
        _lookup(labels, image_to_crop, n, region)
        masks.append(encode_region(region, 0, 0, image_size))
    return masks
