"""Masks as COCO stores them: polygons for people, run lengths for crowds."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

_TOLERANCE_PX = 0.45
"""How far a polygon may run from the true outline, so that files stay small."""
_MIN_PIECE_PX = 3.0
_MIN_HOLE_PX = 6


def to_polygons(mask: NDArray[np.bool_]) -> list[list[float]]:
    """Outline a mask by polygons in `[x, y, x, y, ...]`, coordinates at pixel edges as in COCO.

    Several pieces give several polygons. COCO's polygons cannot have holes, so a piece with a hole is cut in two there.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return []
    top, left = int(rows[0]), int(columns[0])
    window = mask[top : rows[-1] + 1, left : columns[-1] + 1].astype(np.uint8)
    polygons: list[list[float]] = []
    for least_px in (_MIN_PIECE_PX, 0.0):  # crumbs count only if there is nothing else
        _outline(window, left, top, polygons, least_px)
        if polygons:
            break
    return polygons


def _outline(window: NDArray[np.uint8], left: int, top: int, polygons: list[list[float]], least_px: float) -> None:
    # At double resolution the outline runs through the pixels instead of through their centres: nothing is lost.
    double = window.repeat(2, 0).repeat(2, 1)
    contours, tree = cv2.findContours(double, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    for index, contour in enumerate(contours):
        is_hole = tree[0, index, 3] >= 0
        if is_hole and cv2.contourArea(contour) >= 4 * _MIN_HOLE_PX:
            middle = int(contour[:, 0, 0].mean()) // 2
            if 0 < middle < window.shape[1]:
                _outline(np.ascontiguousarray(window[:, :middle]), left, top, polygons, least_px)
                _outline(np.ascontiguousarray(window[:, middle:]), left + middle, top, polygons, least_px)
                return
    for index, contour in enumerate(contours):
        if tree[0, index, 3] >= 0 or cv2.contourArea(contour) < 4 * least_px:
            continue
        short = cv2.approxPolyDP(contour, 2 * _TOLERANCE_PX, True)
        corners = (short if len(short) >= 3 else contour)[:, 0].astype(np.float64)
        polygons.append(np.round((corners + 0.5) / 2 + [left, top], 2).ravel().tolist())


def to_run_lengths(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Uncompressed run lengths in column order, starting with background, as COCO stores crowds."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    return {"counts": [0, *counts] if flat[0] else counts, "size": list(mask.shape)}


def measure(segmentation: list[list[float]] | dict[str, Any], height: int, width: int) -> tuple[float, list[float]]:
    """Area and box `[x, y, width, height]` of the pixels that a segmentation covers."""
    run_lengths = coco_mask.frPyObjects(segmentation, height, width)
    if isinstance(run_lengths, list):
        run_lengths = coco_mask.merge(run_lengths)
    return float(coco_mask.area(run_lengths)), [float(v) for v in coco_mask.toBbox(run_lengths)]
