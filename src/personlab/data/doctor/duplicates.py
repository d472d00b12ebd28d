"""Images that are there twice, within a split or in two of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from personlab.data.doctor.findings import Findings
from personlab.data.doctor.pictures import Picture

_BITS = 3
"""Of the 64 bits of a hash, so many may differ."""
_GREY = 4.0
"""Thumbnails look the same if they differ by less, in grey levels of 255, on average."""
_CONTRAST = 8.0
"""Images flatter than this all look the same."""
_CROWD = 200
"""A part of the hash that more images share tells nothing."""


def check_duplicates(pictures: Sequence[Picture], findings: Findings) -> None:
    """Tell images with the same bytes, and images that look the same.

    Looks are compared by a hash of 64 bits (whether each pixel of a 9 x 8 image is darker than the next) and then by
    thumbnails; other compression or size changes neither much, mirroring and cropping do.

    Args:
        pictures: Images of all splits.
        findings: Gets what is found.
    """
    read = [p for p in pictures if p.size is not None]
    first: dict[bytes, Picture] = {}
    for picture in read:
        same = first.setdefault(picture.digest, picture)
        if same is not picture:
            _tell("image-duplicate", same, picture, findings)
    unlike = [p for p in first.values() if p.thumbnail is not None and p.thumbnail.std() > _CONTRAST]
    for a, b in similar([p.thumbnail for p in unlike if p.thumbnail is not None]):
        _tell("image-similar", unlike[a], unlike[b], findings)


def _tell(code: str, first: Picture, second: Picture, findings: Findings) -> None:
    findings.split = second.split
    code += "-split" if first.split != second.split else ""
    what = f"{second.row['file_name']} and {first.split}/{first.row['file_name']}"
    findings.add(code, what, image=second.row["id"], file=str(second.path))
    findings.split = None


def similar(thumbnails: Sequence[NDArray[np.uint8]]) -> Iterator[tuple[int, int]]:
    """Pairs of images that look the same, the first one first; each image once at most as the second."""
    if len(thumbnails) < 2:
        return
    grey = np.stack(thumbnails).astype(np.float32)
    hashes = np.stack([_hash(t) for t in thumbnails])
    told: set[int] = set()
    for a, b in sorted(set(_candidates(hashes))):
        differ = int(np.unpackbits(hashes[a] ^ hashes[b]).sum())
        if differ <= _BITS and b not in told and np.abs(grey[a] - grey[b]).mean() < _GREY:
            told.add(b)
            yield a, b


def _hash(thumbnail: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`(8,)` bytes: whether each pixel of a 9 x 8 image is darker than the next."""
    small = cv2.resize(thumbnail, (9, 8), interpolation=cv2.INTER_AREA)
    return np.packbits(small[:, :-1] < small[:, 1:])


def _candidates(hashes: NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    """Pairs with an equal quarter: of four quarters, three wrong bits leave one alone."""
    for quarter in np.split(hashes, 4, axis=1):
        groups: dict[bytes, list[int]] = defaultdict(list)
        for i, part in enumerate(quarter):
            groups[part.tobytes()].append(i)
        for group in groups.values():
            if len(group) <= _CROWD:
                yield from ((a, b) for n, b in enumerate(group) for a in group[:n])
