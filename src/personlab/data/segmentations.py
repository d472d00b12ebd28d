"""COCO segmentations of many annotations as a few flat arrays, rasterised one by one when asked for."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

_FARTHEST_PX = 1e6
"""No point of a polygon is as far from the image's corner."""


@dataclass(frozen=True, eq=False)
class Segmentations:
    """Polygons and run-length codes of annotations, in the order of the annotations.

    Two numbers an annotation find its part of the flat arrays, so that hundreds of thousands of annotations are seven
    arrays that worker processes share, and not millions of Python objects that each of them copies.

    Attributes:
        first_ring: `(annotation + 1,)`: rings of annotation a are `first_ring[a]:first_ring[a + 1]`.
        ring_start: `(ring + 1,)`: numbers of ring r are `polygon_xy[ring_start[r]:ring_start[r + 1]]`.
        polygon_xy: x, y, x, y, ... of all rings. float64, since COCO's rounding to pixels turns on the last bit.
        code_start: `(annotation + 1,)`: bytes of annotation a's compressed run-length code; empty for polygons.
        code: All run-length codes.
    """

    first_ring: NDArray[np.int64]
    ring_start: NDArray[np.int64]
    polygon_xy: NDArray[np.float64]
    code_start: NDArray[np.int64]
    code: NDArray[np.uint8]

    @classmethod
    def pack(cls, raw: Iterable[tuple[Any, tuple[int, int]]]) -> Self:
        """Pack COCO's `segmentation` values.

        Args:
            raw: The value (list of rings, run-length code with a list, str or bytes as `counts`, or None) and the
                (height, width) of the image, for each annotation. Rings of fewer than three points cover nothing and
                are left out.

        Raises:
            TypeError: If a polygon holds something else than numbers.
            ValueError: If a value is none of these, or a run-length code is corrupt or does not fit its image.
        """
        first_ring, ring_start, code_start = array("q", [0]), array("q", [0]), array("q", [0])
        polygon_xy, code = array("d"), bytearray()
        for segmentation, (height, width) in raw:
            if isinstance(segmentation, dict):
                code += _compress(segmentation, height, width)
            elif segmentation is not None and not isinstance(segmentation, list):
                raise ValueError(f"segmentation is a {type(segmentation).__name__}, not a list or a run-length code")
            else:
                for ring in segmentation or []:
                    if not isinstance(ring, list) or len(ring) % 2:
                        raise ValueError("a polygon is not a list of x, y, x, y, ...")
                    # Also false for NaN. COCO's rasteriser walks along every edge, however far it leads.
                    if ring and not (
                        abs(sum(ring)) < math.inf and -_FARTHEST_PX < min(ring) <= max(ring) < _FARTHEST_PX
                    ):
                        raise ValueError("a polygon holds a number that is not finite, or beyond all images")
                    if len(ring) >= 6:
                        polygon_xy.extend(ring)
                        ring_start.append(len(polygon_xy))
            first_ring.append(len(ring_start) - 1)
            code_start.append(len(code))
        points = np.array(polygon_xy, dtype=np.float64)
        return cls(
            np.array(first_ring),
            np.array(ring_start),
            points,
            np.array(code_start),
            np.frombuffer(bytes(code), dtype=np.uint8),
        )

    def rle(self, annotation: int, height: int, width: int) -> dict[str, Any] | None:
        """COCO's compressed run-length code of one annotation, its rings merged; None if it has no segmentation."""
        begin, end = self.code_start[annotation : annotation + 2]
        if end > begin:
            return {"size": [height, width], "counts": self.code[begin:end].tobytes()}
        rings = range(self.first_ring[annotation], self.first_ring[annotation + 1])
        if not rings:
            return None
        points = [self.polygon_xy[self.ring_start[r] : self.ring_start[r + 1]].tolist() for r in rings]
        return coco_mask.merge(coco_mask.frPyObjects(points, height, width))


def _compress(segmentation: dict[str, Any], height: int, width: int) -> bytes:
    """COCO's compressed code of a run-length code, after checking that it covers the image once.

    pycocotools checks nothing: other codes make it write beyond the mask, or never end.
    """
    counts, size = segmentation.get("counts"), segmentation.get("size")
    if size != [height, width]:
        raise ValueError(f"the run-length code has size {size}, the image [{height}, {width}]")
    if isinstance(counts, list):
        _check_runs(counts, height * width)
        return coco_mask.frPyObjects({"size": size, "counts": counts}, height, width)["counts"]
    if not isinstance(counts, str | bytes):
        raise ValueError("the run-length code has no counts")
    code = counts.encode() if isinstance(counts, str) else counts
    _check_runs(_runs(code), height * width)
    return code


def _check_runs(runs: list[Any], pixels: int) -> None:
    if any(not isinstance(run, int) or isinstance(run, bool) or run < 0 for run in runs):
        raise ValueError("the counts of the run-length code must be whole numbers of at least 0")
    if sum(runs) != pixels:
        raise ValueError(f"the run-length code covers {sum(runs)} pixels, the image has {pixels}")


def _runs(code: bytes) -> list[int]:
    """Lengths of runs in COCO's compressed code.

    A character holds five bits, the lowest first, and whether more follow; the fifth bit of the last one is the sign.
    From the fourth number on, what is stored is the difference to the number before the last.
    """
    runs: list[int] = []
    value = shift = 0
    for character in code:
        bits = character - 48
        if not 0 <= bits < 64:
            raise ValueError(f"the run-length code is corrupt: {chr(character)!r} is not one of its characters")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("the run-length code is corrupt: it ends within a number")
    return runs
