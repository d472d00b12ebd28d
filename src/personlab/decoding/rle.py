"""COCO's run-length encoding of a mask, from and to the region that holds it: the whole image is never made."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def _run_lengths(
    region: NDArray[np.uint8], left: int, top: int, height: int, width: int, runs: NDArray[np.int64]
) -> int:
    """Write the lengths of runs of 0, 1, 0, ... down the columns of the whole image; returns how many."""
    count, start, value = 0, 0, 0
    for column in range(region.shape[0]):
        first = (left + column) * height + top
        stop = first + region.shape[1]
        if value == 1 and top > 0:  # back to 0 above the region, where a column was 1 to the image's last row
            runs[count], start, value, count = (left + column) * height - start, (left + column) * height, 0, count + 1
        for place in range(first, stop):
            if region[column, place - first] != value:
                runs[count], start, value, count = place - start, place, 1 - value, count + 1
        if value == 1 and top + region.shape[1] < height:
            runs[count], start, value, count = stop - start, stop, 0, count + 1
    stop = (left + region.shape[0] - 1) * height + top + region.shape[1]
    if value == 1 and stop < height * width:  # the last column was 1 to the image's last row
        runs[count], start, count = stop - start, stop, count + 1
    runs[count] = height * width - start
    return count + 1


@njit(cache=True, nogil=True)
def _compress(runs: NDArray[np.int64], text: NDArray[np.uint8]) -> int:
    """Write runs as COCO does: differences to the run before last, 5 bits a character; returns how many characters."""
    count = 0
    for n in range(len(runs)):
        rest = runs[n] - runs[n - 2] if n > 2 else runs[n]
        more = True
        while more:
            bits = rest & 31
            rest >>= 5
            more = rest != -1 if bits & 16 else rest != 0
            text[count] = (bits | 32 if more else bits) + 48
            count += 1
    return count


@njit(cache=True, nogil=True)
def _paint(text: NDArray[np.int64], left: int, top: int, height: int, region: NDArray[np.uint8]) -> None:
    """Write 1 where runs of 1 lie in a region, column by column (transposed)."""
    bottom, right = top + region.shape[1], left + region.shape[0]
    before_last, last, count, stop, place = 0, 0, 0, 0, 0
    while place < len(text):
        run, shift, more = 0, 0, True
        while more and place < len(text):
            bits: Any = text[place] - 48
            run |= (bits & 31) << shift
            more, shift, place = (bits & 32) != 0, shift + 5, place + 1
            if not more and bits & 16:
                run |= -1 << shift
        if count > 2:
            run += before_last
        before_last, last, count = last, run, count + 1
        start, stop = stop, stop + run
        if count % 2 == 0:  # runs of 0 and of 1 take turns
            for column in range(max(start // height, left), min((stop - 1) // height + 1, right)):
                first, end = max(start - column * height, top), min(stop - column * height, bottom)
                for row in range(first, end):
                    region[column - left, row - top] = 1


def decode_region(
    mask: dict[str, Any], left: int, top: int, size: tuple[int, int]
) -> UInt8[np.ndarray, "width height"]:
    """A region of a mask.

    Args:
        mask: COCO RLE with compressed counts.
        left: Column of the image at which the region starts.
        top: Row of the image at which it starts.
        size: (height, width) of the region.

    Returns:
        0 or 1, column by column (transposed), as `encode_region` takes it.
    """
    counts = mask["counts"]
    text = np.frombuffer(counts.encode() if isinstance(counts, str) else counts, np.uint8)
    region = np.zeros(size[::-1], dtype=np.uint8)
    _paint(text.astype(np.int64), left, top, mask["size"][0], region)
    return region


def encode_region(
    region: UInt8[np.ndarray, "width height"], left: int, top: int, size: tuple[int, int]
) -> dict[str, Any]:
    """COCO RLE of an image that is 0 outside a region.

    Args:
        region: 0 or 1, column by column (transposed).
        left: Column of the image at which the region starts.
        top: Row of the image at which it starts.
        size: (height, width) of the image.

    Returns:
        `{"size": [height, width], "counts": bytes}`, byte for byte what pycocotools makes of the whole image.
    """
    runs = np.empty(region.size + region.shape[0] + 3, dtype=np.int64)
    return _as_rle(runs[: _run_lengths(region, left, top, size[0], size[1], runs)], size)


def encode_runs(bounds: Int64[np.ndarray, "2 run"], size: tuple[int, int]) -> dict[str, Any]:
    """COCO RLE of an image that is 1 in given runs.

    Args:
        bounds: First place of each run, and the place after its last; places count down the columns. Runs are in order
            and do not touch.
        size: (height, width) of the image.

    Returns:
        What `encode_region` gives.
    """
    ends = np.concatenate([[0], bounds.T.ravel(), [size[0] * size[1]]])
    runs = np.diff(ends)
    if len(runs) > 1 and runs[-1] == 0:  # COCO writes no empty run after the last pixel
        runs = runs[:-1]
    return _as_rle(runs, size)


def _as_rle(runs: NDArray[np.int64], size: tuple[int, int]) -> dict[str, Any]:
    text = np.empty(len(runs) * 13, dtype=np.uint8)
    return {"size": [size[0], size[1]], "counts": text[: _compress(runs, text)].tobytes()}
