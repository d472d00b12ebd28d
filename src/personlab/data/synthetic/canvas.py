"""A small canvas for the synthetic people: smooth shapes with a second plane that knows which body part is on top."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from personlab.data.synthetic.look import Colour

Points = NDArray[np.float64]
_SHIFT = 4
_ARC = np.linspace(0.0, 1.0, 7)
# Angles around a limb, from its heading: the first circle goes the long way from tangent to tangent, the second closes.
_TURNS = np.concatenate([2 * np.pi * _ARC, 0 * _ARC])
_TANGENTS = np.concatenate([1 - 2 * _ARC, 2 * _ARC - 1])
_CIRCLE = np.linspace(0, 2 * np.pi, 18, endpoint=False)
_COS, _SIN = np.cos(_CIRCLE)[:, None], np.sin(_CIRCLE)[:, None]


def ellipse(centre: Points, axis_a: Points, axis_b: Points) -> Points:
    """Outline with two half axes given as vectors."""
    return centre + _COS * axis_a + _SIN * axis_b


def capsule(start: Points, end: Points, start_radius: float, end_radius: float) -> Points:
    """Outline of a tapered limb: two circles and their common tangents."""
    rays = capsule_rays(start, end, start_radius - end_radius)
    return place_capsule(rays, start, end, start_radius, end_radius)


def capsule_rays(start: Points, end: Points, taper: float) -> Points:
    """Unit vectors `(14, 2)` from the centres of the two circles of a limb to its outline, one half for each circle.

    Args:
        start: Centre of the first circle.
        end: Centre of the second circle.
        taper: Radius of the first circle less that of the second.
    """
    dx, dy = float(end[0] - start[0]), float(end[1] - start[1])
    length = math.hypot(dx, dy)
    # A circle inside the other has no tangents with it: the outline is the larger one, nearly.
    tangent = math.acos(min(max(taper / length, -0.999), 0.999)) if length > 1e-6 else math.pi / 2
    turn = math.atan2(dy, dx) + _TURNS + _TANGENTS * tangent
    rays = np.empty((turn.size, 2))
    np.cos(turn, out=rays[:, 0])
    np.sin(turn, out=rays[:, 1])
    return rays


def place_capsule(rays: Points, start: Points, end: Points, start_radius: float, end_radius: float) -> Points:
    """Outline from `capsule_rays`."""
    half = len(rays) // 2
    outline = np.empty_like(rays)
    outline[:half] = rays[:half] * start_radius + start
    outline[half:] = rays[half:] * end_radius + end
    return outline


def hull(*outlines: Points) -> Points:
    """Convex hull of several outlines."""
    points: Points = np.concatenate(outlines).astype(np.float32)
    return cv2.convexHull(points)[:, 0].astype(np.float64)


class Canvas:
    """Supersampled colours and body parts of one figure.

    Places are in canvas pixels: `(image_xy - origin_xy + 0.5) * samples - 0.5`, pixel centres at integers.
    """

    def __init__(self, height: int, width: int) -> None:
        """An empty canvas of this size."""
        self.colour = np.zeros((height, width, 3), np.uint8)
        self.part = np.zeros((height, width), np.uint8)

    def fill(self, outline: Points, colour: Colour, part: int) -> None:
        """Paint a convex outline; part 0 leaves the silhouette and the parts as they are."""
        points = (outline * (1 << _SHIFT)).astype(np.int32)
        cv2.fillConvexPoly(self.colour, points, colour, cv2.LINE_8, _SHIFT)
        if part:
            cv2.fillConvexPoly(self.part, points, (part,), cv2.LINE_8, _SHIFT)

    def line(self, points: Points, colour: Colour, thickness: float) -> None:
        """A line inside what is painted already."""
        fixed = (points * (1 << _SHIFT)).astype(np.int32)
        cv2.polylines(self.colour, [fixed], False, colour, max(1, round(thickness)), cv2.LINE_8, _SHIFT)

    def window(self, outline: Points) -> tuple[slice, slice] | None:
        """Rows and columns around an outline, None if it lies off the canvas."""
        low = np.maximum(np.floor(outline.min(0)).astype(int) - 1, 0)
        high = np.minimum(np.ceil(outline.max(0)).astype(int) + 2, self.part.shape[::-1])
        if (high <= low).any():
            return None
        return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))

    def reduce(self, samples: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Colours, multiplied by the coverage, and the coverage itself, at image resolution."""
        height, width = self.part.shape[0] // samples, self.part.shape[1] // samples
        cover = (self.part > 0).astype(np.uint8)
        colour = cv2.copyTo(self.colour, cover)
        small = cv2.resize(colour, (width, height), interpolation=cv2.INTER_AREA)
        alpha = cv2.resize(cover * 255, (width, height), interpolation=cv2.INTER_AREA)
        return small.astype(np.float32), alpha.astype(np.float32) / np.float32(255)
