"""Checks of boxes, areas and segmentations, against each other and against the image.

COCO computes box and area from the polygons, so they are held against the polygons' own bounds and areas, which cost
nothing; no mask is drawn, except of run-length codes, where pycocotools counts without drawing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from personlab.data.doctor.findings import Findings
from personlab.data.doctor.numbers import numbers
from personlab.data.doctor.rings import Outlines, pack_rings
from personlab.data.doctor.tables import Tables
from personlab.data.imputed import Row
from personlab.data.segmentations import Segmentations

_FACTOR, _CROWD_FACTOR = 2.0, 10.0
"""How much an area may differ from the mask's. COCO's areas of crowds count people who overlap more than once."""
_FEWEST = 20


@dataclass(frozen=True, eq=False)
class Extents:
    """What the masks of a file take up.

    Attributes:
        boxes: `(annotation, 4)`: left, top, right, bottom, in pixels; NaN without a usable mask.
        least: `(annotation,)`: the area is at least this, in pixels: the largest polygon.
        most: `(annotation,)`: and at most this: the sum of all polygons, with the pixels that their outlines touch.
    """

    boxes: NDArray[np.float64]
    least: NDArray[np.float64]
    most: NDArray[np.float64]


def check_masks(tables: Tables, findings: Findings) -> NDArray[np.float64]:
    """Check segmentations, boxes and areas.

    Returns:
        `(annotation, 4)`: left, top, right, bottom of each person, by the mask or else the box; NaN where unknown.
    """
    n = len(tables.people)
    extents = Extents(np.full((n, 4), np.nan), np.zeros(n), np.zeros(n))
    outlines = pack_rings(tables, findings)
    _fill_from_rings(extents, outlines)
    for i, row in enumerate(tables.people):
        segmentation = row.get("segmentation")
        if isinstance(segmentation, dict):
            _check_code(tables, i, segmentation, extents, findings)
        _check_kind(tables, i, row, findings)
    _check_bounds(tables, outlines, findings)
    boxes = _check_boxes(tables, extents, findings)
    _check_areas(tables, extents, findings)
    _check_twins(tables, findings)
    masked = known(extents.boxes)
    return np.where(masked[:, None], extents.boxes, boxes)


def _fill_from_rings(extents: Extents, outlines: Outlines) -> None:
    if not len(outlines.owner):
        return
    owners, first = np.unique(outlines.owner, return_index=True)  # the rings of an annotation follow each other
    left, top, right, bottom, area, touched = outlines.measures.T
    bounds = [
        *(np.minimum.reduceat(side, first) for side in (left, top)),
        *(np.maximum.reduceat(side, first) for side in (right, bottom)),
    ]
    extents.boxes[owners] = np.stack(bounds, axis=1)
    extents.least[owners] = np.maximum.reduceat(area, first)
    extents.most[owners] = np.add.reduceat(area + touched, first)


def _check_kind(tables: Tables, i: int, row: Row, findings: Findings) -> None:
    segmentation, crowd = row.get("segmentation"), row.get("iscrowd")
    if segmentation is None:
        findings.add("segmentation-missing", "no segmentation", **tables.place(i))
    elif segmentation == []:
        findings.add("segmentation-empty", "no polygon", **tables.place(i))
    elif crowd and isinstance(segmentation, list):
        findings.add("crowd-polygons", f"{len(segmentation)} polygons", **tables.place(i))
    elif not crowd and isinstance(segmentation, dict):
        findings.add("person-rle", "a run-length code", **tables.place(i))


def _check_code(tables: Tables, i: int, code: dict[str, Any], extents: Extents, findings: Findings) -> None:
    """One run-length code, by the very check of the reader."""
    height, width = (int(v) for v in tables.sizes[tables.owner[i]])
    if code.get("size") != [height, width]:
        what = f"size {code.get('size')!r:.40}, the image has [{height}, {width}]"
        findings.add("rle-size", what, **tables.place(i))
        return
    try:
        rle = Segmentations.pack([(code, (height, width))]).rle(0, height, width)
    except (OverflowError, TypeError, ValueError) as error:
        findings.add("rle-sum" if "covers" in str(error) else "rle-corrupt", str(error), **tables.place(i))
        return
    area = float(coco_mask.area(rle))
    if not area:
        findings.add("mask-nothing", "the run-length code has no pixel", **tables.place(i))
        return
    x, y, w, h = coco_mask.toBbox(rle)
    extents.boxes[i] = x, y, x + w, y + h
    extents.least[i] = extents.most[i] = area


def _check_bounds(tables: Tables, outlines: Outlines, findings: Findings) -> None:
    """Polygons that leave the image, and masks that are outside altogether."""
    if not len(outlines.owner):
        return
    sizes = tables.sizes[tables.owner[outlines.owner]]
    left, top, right, bottom = outlines.measures[:, :4].T
    height, width = sizes.T
    beyond = np.maximum.reduce([-left, -top, right - width, bottom - height])
    gone = (right <= 0) | (bottom <= 0) | (left >= width) | (top >= height)
    inside = np.bincount(outlines.owner, weights=~gone, minlength=len(tables.people))
    for r in np.flatnonzero(beyond > 2):
        i = int(outlines.owner[r])
        if inside[i]:
            findings.add("polygon-outside", f"by {beyond[r]:.0f} pixels", **tables.place(i))
    for i in np.unique(outlines.owner[gone & (inside[outlines.owner] == 0)]):
        findings.add("mask-nothing", "all polygons lie outside the image", **tables.place(i))


def _check_boxes(tables: Tables, extents: Extents, findings: Findings) -> NDArray[np.float64]:
    """Boxes by themselves and against the masks; returns them as left, top, right, bottom."""

    def tell(row: int, fault: str, what: str) -> None:
        findings.add("bbox-wrong" if fault == "length" else "number-not-finite", what, **tables.place(row))

    boxes, given = numbers(tables.people, "bbox", 4, tell)
    for n, row in enumerate(tables.people):
        if not row.get("bbox"):
            findings.add("bbox-missing", "no bbox", **tables.place(n))
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    corners[~given] = np.nan
    empty = given & (boxes[:, 2:] <= 0).any(axis=1)
    for i in np.flatnonzero(empty):
        findings.add("bbox-empty", f"width {boxes[i, 2]:g}, height {boxes[i, 3]:g}", **tables.place(i))
    masked = given & ~empty & known(extents.boxes)
    overlap, as_corners = iou(corners, extents.boxes), iou(boxes, extents.boxes)
    usable = masked & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    better = (as_corners > 0.8) & (overlap < as_corners)
    if usable.sum() >= _FEWEST and better.sum() > 0.5 * masked.sum():
        findings.add("boxes-are-corners", f"{better.sum()} of {masked.sum()} boxes")
        corners[given] = boxes[given]
        return corners
    _check_box_places(tables, corners, extents.boxes, masked, given & ~empty, findings)
    return corners


def _check_box_places(
    tables: Tables, corners: NDArray[np.float64], bounds: NDArray[np.float64], masked: NDArray[np.bool_],
    given: NDArray[np.bool_], findings: Findings,
) -> None:  # fmt: skip
    height, width = tables.sizes[tables.owner].T if len(tables.people) else np.zeros((2, 0))
    beyond = np.maximum.reduce([-corners[:, 0], -corners[:, 1], corners[:, 2] - width, corners[:, 3] - height])
    for i in np.flatnonzero(given & (beyond > 1)):
        findings.add("bbox-outside", f"by {beyond[i]:.0f} pixels", **tables.place(i))
    overlap = iou(corners, bounds)
    off = np.abs(corners - bounds).max(axis=1)
    side = np.maximum(corners[:, 2:] - corners[:, :2], bounds[:, 2:] - bounds[:, :2]).max(axis=1, initial=1)
    far = masked & (overlap < 0.2) & (off > 4)
    unlike = masked & ~far & (off > 4 + 0.25 * side)
    for code, chosen in (("bbox-elsewhere", far), ("bbox-unlike-mask", unlike)):
        for i in np.flatnonzero(chosen):
            what = f"box {_shown(corners[i])}, mask {_shown(bounds[i])} (left, top, right, bottom)"
            findings.add(code, what, **tables.place(i))


def _check_areas(tables: Tables, extents: Extents, findings: Findings) -> None:
    masked = known(extents.boxes)
    for i, row in enumerate(tables.people):
        area = row.get("area")
        factor = _CROWD_FACTOR if row.get("iscrowd") else _FACTOR
        if area is None:
            findings.add("area-missing", "no area", **tables.place(i))
        elif type(area) not in (int, float):
            findings.add("field-wrong", f"area must be a number, got {area!r:.40}", **tables.place(i))
        elif not abs(area) < 1e12:
            findings.add("number-not-finite", f"area {area}", **tables.place(i))
        elif area <= 0:
            findings.add("area-zero", f"area {area:g}", **tables.place(i))
        elif masked[i] and not extents.least[i] / factor - 1 <= area <= extents.most[i] * factor + 1:
            what = f"area {area:.6g}, of the mask about {extents.least[i]:.6g}"
            findings.add("area-unlike-mask", what, **tables.place(i))


def _check_twins(tables: Tables, findings: Findings) -> None:
    """People who are in the file twice."""
    seen: dict[Any, list[Row]] = {}
    for n, row in enumerate(tables.people):
        box = row.get("bbox")
        # Who is the same has the same box and area; what is compared in full is little.
        key = (row["image_id"], row.get("area"), tuple(box) if isinstance(box, list) else box)
        try:
            before = seen.setdefault(key, [])
        except TypeError:  # lists or objects in place of numbers, which is told elsewhere
            continue
        for field, code in (("keypoints", "annotation-duplicate"), ("segmentation", "mask-duplicate")):
            value = row.get(field)
            stands = isinstance(value, list | dict) and any(value)
            if stands and any(value == other.get(field) for other in before):
                findings.add(code, f"the same {field} again", **tables.place(n))
                break
        before.append(row)


def iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of boxes `(n, 4)`: left, top, right, bottom; 0 where one is unknown or empty."""
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    both = np.clip(sides, 0, None).prod(axis=1)
    sizes = [np.clip(box[:, 2:] - box[:, :2], 0, None).prod(axis=1) for box in (a, b)]
    union = sizes[0] + sizes[1] - both
    return np.where(union > 0, both / np.where(union > 0, union, 1), 0.0)


def known(boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """`(n,)`: boxes without any NaN."""
    return np.asarray(np.isfinite(boxes).all(axis=1))


def _shown(box: NDArray[np.float64]) -> str:
    return ", ".join(f"{v:.0f}" for v in box)
