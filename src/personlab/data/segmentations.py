"""COCO segmentations of many annotations as a few flat arrays, rasterised one by one when asked for."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask


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
            ValueError: If a value is none of these, or a run-length code does not fit its image.
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
                    if len(ring) >= 6:
                        polygon_xy.extend(ring)
                        ring_start.append(len(polygon_xy))
            first_ring.append(len(ring_start) - 1)
            code_start.append(len(code))
        points = np.array(polygon_xy, dtype=np.float64)
        if not np.isfinite(points).all():
            raise ValueError("a polygon holds a number that is not finite")
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
    counts, size = segmentation.get("counts"), segmentation.get("size")
    if size != [height, width]:
        raise ValueError(f"the run-length code has size {size}, the image [{height}, {width}]")
    if isinstance(counts, list):
        if sum(counts) != height * width:
            raise ValueError(f"the run-length code covers {sum(counts)} pixels, the image has {height * width}")
        return coco_mask.frPyObjects({"size": size, "counts": counts}, height, width)["counts"]
    if not isinstance(counts, str | bytes):
        raise ValueError("the run-length code has no counts")
    return counts.encode("ascii") if isinstance(counts, str) else counts
