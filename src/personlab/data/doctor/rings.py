"""Polygons of a file, each fault told, and the sound ones measured all at once."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from personlab.data.doctor.findings import Findings
from personlab.data.doctor.tables import Tables

_FARTHEST_PX = 1e6


@dataclass(frozen=True, eq=False)
class Outlines:
    """Sound polygons.

    Attributes:
        owner: `(ring,)`: the annotation of each.
        measures: `(ring, 6)`: left, top, right, bottom, area, and the pixels that the outline may touch beside it.
    """

    owner: NDArray[np.int64]
    measures: NDArray[np.float64]


def pack_rings(tables: Tables, findings: Findings) -> Outlines:
    """Check all polygons and measure the sound ones."""
    owner, start, flat = array("q"), array("q", [0]), array("d")
    for i, row in enumerate(tables.people):
        segmentation = row.get("segmentation")
        if segmentation is None or isinstance(segmentation, dict):
            continue
        if not isinstance(segmentation, list):
            what = f"segmentation is a {type(segmentation).__name__}"
            findings.add("segmentation-wrong", what, **tables.place(i))
            continue
        for ring in segmentation:
            fault = _append(ring, flat)
            if fault is not None:
                findings.add(fault[0], fault[1], **tables.place(i))
            else:
                owner.append(i)
                start.append(len(flat))
    return _measure(np.array(owner), np.array(start), np.array(flat), tables, findings)


def _append(ring: Any, flat: array[float]) -> tuple[str, str] | None:
    """Append the numbers of a polygon, or tell what is wrong with it and append nothing."""
    if not isinstance(ring, list):
        return "segmentation-wrong", f"a polygon is a {type(ring).__name__}"
    if len(ring) % 2:
        return "segmentation-wrong", f"a polygon has an odd number ({len(ring)}) of coordinates"
    if len(ring) < 6:
        return "polygon-degenerate", f"{len(ring) // 2} points"
    before = len(flat)
    try:
        flat.extend(ring)
    except (TypeError, OverflowError):
        del flat[before:]
        return "segmentation-wrong", "a polygon holds something else than numbers"
    return None


def _measure(
    owner: NDArray[np.int64], start: NDArray[np.int64], flat: NDArray[np.float64], tables: Tables, findings: Findings
) -> Outlines:
    if not len(owner):
        return Outlines(np.zeros(0, np.int64), np.zeros((0, 6)))
    with np.errstate(invalid="ignore"):
        far = ~(np.maximum.reduceat(np.abs(flat), start[:-1]) < _FARTHEST_PX)  # also NaN
    for r in np.flatnonzero(far):
        findings.add("number-not-finite", "a polygon", **tables.place(owner[r]))
    flat[np.repeat(far, np.diff(start))] = 0.0
    x, y = flat[0::2], flat[1::2]
    first = start[:-1] // 2
    # The point after each, where the last of a ring is followed by its first.
    after = np.arange(1, len(x) + 1)
    after[np.r_[first[1:], len(x)] - 1] = first
    dx, dy = x[after] - x, y[after] - y
    twice = np.add.reduceat(x * y[after] - x[after] * y, first)
    touched = np.add.reduceat(np.maximum(np.abs(dx), np.abs(dy)), first) + 1
    bounds = [f.reduceat(v, first) for f, v in ((np.minimum, x), (np.minimum, y), (np.maximum, x), (np.maximum, y))]
    measures = np.stack([*bounds, np.abs(twice) / 2, touched], axis=1)
    return Outlines(owner[~far], measures[~far])
