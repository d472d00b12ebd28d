"""Trunks of the synthetic people: the shirt, and what tells the chest from the back."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from personlab.data.synthetic import look as looks
from personlab.data.synthetic.canvas import Canvas, Points, ellipse, hull
from personlab.data.synthetic.look import Look, mix, shade
from personlab.data.synthetic.pose import NECK, PELVIS, Figure

TORSO, SHIRT = 3, 4


class TorsoPainter:
    """Paints the trunk: its shape, the pattern of the shirt, and what tells the chest from the back."""

    def __init__(self, canvas: Canvas, figure: Figure, look: Look, xy: Points, unit: float, light: Points) -> None:
        """Remember what to paint."""
        self.canvas, self.figure, self.look, self.xy, self.unit, self.light = canvas, figure, look, xy, unit, light
        self.down = xy[PELVIS] - xy[NECK]

    def _on_surface(self, x: float, y: float, front: bool) -> Points:
        """Canvas place on the chest or back; y from the neck down, x to the person's left."""
        local = np.array([x, y, -0.055 if front else 0.055]) * self.unit
        return self.xy[NECK] + (self.figure.torso @ local)[:2]

    def _outlines(self, rim: float) -> tuple[Points, Points, Points]:
        """Chest, waist to hips, and hips; each convex."""
        xy, wide = self.xy, self.unit * self.look.width

        def disc(at: Points, radius: float) -> Points:
            return ellipse(at, np.array([radius + rim, 0.0]), np.array([0.0, radius + rim]))

        waist = [xy[s] + 0.62 * (xy[h] - xy[s]) for s, h in ((5, 11), (6, 12))]
        middle = (waist[0] + waist[1]) / 2
        waist = [disc(middle + 0.8 * (w - middle), 0.045 * wide) for w in waist]
        ribs = [disc(xy[s] + 0.25 * (xy[PELVIS] - xy[s]), 0.05 * wide) for s in (5, 6)]
        shoulders = [disc(xy[s], 0.036 * self.unit) for s in (5, 6)]
        hips = [disc(xy[h], 0.053 * wide) for h in (11, 12)]
        return hull(*shoulders, *ribs, *waist), hull(*waist, *hips), hull(*hips)

    def paint(self) -> None:
        """Shape, pattern, light, then collar, badge and belt."""
        shirt = self.look.shirt
        for outline in self._outlines(max(0.004 * self.unit, 0.7)):
            self.canvas.fill(outline, shade(shirt, 0.52), TORSO)
        chest, belly, hips = self._outlines(0.0)
        self.canvas.fill(hips, shade(self.look.legs, 0.9), 0)
        self.canvas.fill(belly, shirt, SHIRT)
        self.canvas.fill(chest, shirt, SHIRT)
        self._pattern(hull(chest, belly))
        towards = float(self.figure.torso[2, 2])
        if towards > 0.25:
            self._front()
        elif towards < -0.25 and self.look.badge == 2:
            self._badge(front=False)
        if self.look.belt:
            ends = np.array([self.xy[11], self.xy[12]]) - 0.06 * self.down
            spread = (ends[0] - ends[1]) * 0.4
            belt = np.array([ends[0] + spread, ends[1] - spread])
            self.canvas.line(belt, shade(self.look.legs, 0.4), 0.02 * self.unit)

    def _front(self) -> None:
        skin, depth = self.look.skin, self.look.collar
        collar = [self._on_surface(x, y, True) for x, y in ((0.04, -0.005), (-0.04, -0.005), (0.0, depth + 0.02))]
        self.canvas.fill(np.array(collar), shade(skin, 0.9), 0)
        if self.look.open_front:
            seam = np.array([self._on_surface(0, depth + 0.02, True), self._on_surface(0, 0.27, True)])
            self.canvas.line(seam, mix(self.look.shirt_second, (255.0, 255.0, 255.0), 0.3), 0.014 * self.unit)
        if self.look.badge:
            self._badge(front=True)

    def _badge(self, front: bool) -> None:
        x, size = (0.045, 0.022) if self.look.badge == 1 else (0.0, 0.05)
        corners = [(x - size, 0.08), (x + size, 0.08), (x + size, 0.08 + 2 * size), (x - size, 0.08 + 2 * size)]
        self.canvas.fill(np.array([self._on_surface(*c, front) for c in corners]), self.look.shirt_second, 0)

    def _pattern(self, outline: Points) -> None:
        window = self.canvas.window(outline)
        if window is None:
            return
        rows, columns = window
        paint = self.canvas.colour[window].copy()
        start = self.xy[NECK] - [columns.start, rows.start]
        down, length = self.down, max(float(np.hypot(*self.down)), 1.0)
        across = np.array([-down[1], down[0]]) / length * 0.3 * self.unit
        kind, count, second = self.look.shirt_pattern, self.look.pattern_count, self.look.shirt_second
        thick = max(1, round(0.42 * 0.3 * self.unit / count))

        def stroke(a: Points, b: Points, width: int) -> None:
            ends = [tuple(int(v) for v in np.round(p)) for p in (a, b)]
            cv2.line(paint, ends[0], ends[1], second, width)

        if kind in (looks.STRIPES_ACROSS, looks.CHECKS):
            for t in np.arange(0.5, count) / count:
                stroke(start + down * t - across, start + down * t + across, max(1, round(0.45 * length / count)))
        if kind in (looks.STRIPES_ALONG, looks.CHECKS):
            for t in np.linspace(-0.6, 0.6, 2 * count):
                stroke(start - down * 0.3 + across * t, start + down * 1.3 + across * t, max(1, thick // 2))
        if kind == looks.HALVES:
            stroke(start + down * 0.8 - across, start + down * 0.8 + across, max(1, round(0.5 * length)))
        if kind == looks.DOTS:
            for i, t in enumerate(np.arange(0.5, count + 1) / count):
                for u in np.arange(-0.6, 0.7, 0.3) + 0.15 * (i % 2):
                    spot = start + down * t + across * u
                    cv2.circle(paint, (int(spot[0]), int(spot[1])), max(1, thick // 3), second, -1)
        cloth = self.canvas.part[window] == SHIRT
        self._light(paint, columns.start, rows.start)
        self.canvas.colour[window][cloth] = paint[cloth]

    def _light(self, paint: NDArray[np.uint8], left: int, top: int) -> None:
        """Brighter on the side of the light, in place."""
        middle = (self.xy[NECK] + self.xy[PELVIS]) / 2 - [left, top]
        y, x = np.ogrid[: paint.shape[0], : paint.shape[1]]
        ramp = ((x - middle[0]) * self.light[0] + (y - middle[1]) * self.light[1]) / (0.14 * self.unit)
        factor = (0.95 + 0.14 * np.clip(ramp, -1.6, 1.1)).astype(np.float32)
        paint[:] = np.minimum(paint * factor[..., None], 255).astype(np.uint8)
