"""Heads of the synthetic people: an ellipsoid with hair and a face, seen from whatever side the pose asks for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from personlab.data.synthetic.canvas import Canvas, Points, capsule, ellipse, hull
from personlab.data.synthetic.look import BALD, BUN, FULL, LONG, TAIL, Colour, Look, mix, shade
from personlab.data.synthetic.pose import FEATURES, HEAD_AXES, Figure

HEAD_PART, HAIR_PART = 1, 2
_LIPS: Colour = (165.0, 70.0, 72.0)
_WHITE: Colour = (238.0, 236.0, 232.0)
_DARK: Colour = (24.0, 20.0, 22.0)
# Hair grows above the plane `y = height + slope * z` (z to the back), in half axes of the head.
_HAIRLINES = {FULL: (0.12, 0.68), LONG: (0.42, 0.98)}
_HAIRLINE = (-0.06, 0.48)


def face_hidden(head: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of nose, eyes and ears look away from the camera, `(5,)`."""
    depth = (FEATURES / np.linalg.norm(FEATURES, axis=1, keepdims=True)) @ head[2]
    return depth > np.array([0.15, -0.2, -0.2, 0.4, 0.4])


class HeadPainter:
    """Paints the head of one figure.

    Args:
        canvas: Where to.
        figure: The posed person.
        look: Hair, skin and what else is worn.
        centre: Canvas place of the middle of the head.
        unit: Canvas pixels of one standing height.
        light: Unit vector on the screen, towards the light.
    """

    def __init__(self, canvas: Canvas, figure: Figure, look: Look, centre: Points, unit: float, light: Points) -> None:
        """Remember what to paint."""
        self.canvas, self.look, self.centre, self.light = canvas, look, centre, light
        self.turn = figure.head
        self.axes = HEAD_AXES * figure.head_scale * unit
        self.towards_camera = figure.head[2, 2] > 0

    def place(self, *local: float) -> Points:
        """Canvas place of a point given in half axes of the head."""
        return self.centre + (self.turn @ (np.array(local) * self.axes))[:2]

    def vector(self, *local: float) -> Points:
        """Canvas displacement of a vector given in half axes of the head."""
        return (self.turn @ (np.array(local) * self.axes))[:2]

    def behind(self) -> None:
        """Hair that hangs down; it is a part of its own, since it lies behind the neck or before the back."""
        look, size = self.look, float(self.axes[0])
        colour = shade(look.hair, 0.8)
        if look.hair_style == LONG:
            outline = hull(
                capsule(self.place(0, -0.1, 0.35), self.place(0, 1.45, 0.55), 0.95 * size, 0.8 * size),
                capsule(self.place(0.6, 0.2, 0.2), self.place(0.6, 1.5, 0.4), 0.4 * size, 0.35 * size),
                capsule(self.place(-0.6, 0.2, 0.2), self.place(-0.6, 1.5, 0.4), 0.4 * size, 0.35 * size),
            )
            self.canvas.fill(outline, colour, HAIR_PART)
            for x in (-0.5, 0.0, 0.5):
                strand = np.array([self.place(x, 0, 0.7), self.place(x * 1.2, 1.5, 0.7)])
                self.canvas.line(strand, shade(look.hair, 1.15), 0.09 * size)
        elif look.hair_style == TAIL:
            tail = capsule(self.place(0, -0.2, 1.1), self.place(0, 1.4, 1.35), 0.3 * size, 0.16 * size)
            self.canvas.fill(tail, colour, HAIR_PART)

    def paint(self) -> None:
        """The head itself."""
        look, size = self.look, float(self.axes[0])
        if look.hair_style == BUN:
            bun = ellipse(self.place(0, -0.75, 0.95), np.array([0.42 * size, 0]), np.array([0, 0.42 * size]))
            if self.towards_camera:
                self.canvas.fill(bun, shade(look.hair, 0.85), HAIR_PART)
        if look.cap and not self.towards_camera:
            self._brim(look.cap)
        ears = [(side, float(self.turn[2, 0] * side)) for side in (1, -1)]
        for side, depth in ears:
            if depth > 0:
                self._ear(side)
        self._skull()
        for side, depth in ears:
            if depth <= 0:
                self._ear(side)
        self._face()
        self._hair()
        if look.hair_style == BUN and not self.towards_camera:
            self.canvas.fill(bun, shade(look.hair, 0.85), HAIR_PART)
        if look.cap and self.towards_camera:
            self._brim(look.cap)

    def _sphere(self, scale: float) -> tuple[tuple[slice, slice], NDArray[np.bool_], NDArray[np.float32]] | None:
        """Window of the canvas, its pixels on the ellipsoid, and their surface points `(3, height, width)`."""
        axes = self.axes * scale
        reach = float(axes.max())
        window = self.canvas.window(np.stack([self.centre - reach, self.centre + reach]))
        if window is None:
            return None
        rows, columns = window
        dy = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - np.float32(self.centre[1])
        dx = np.arange(columns.start, columns.stop, dtype=np.float32)[None] - np.float32(self.centre[0])
        m = (self.turn @ np.diag(axes**-2.0) @ self.turn.T).astype(np.float32)
        b = m[0, 2] * dx + m[1, 2] * dy
        c = m[0, 0] * dx * dx + 2 * m[0, 1] * dx * dy + m[1, 1] * dy * dy - 1
        root = b * b - m[2, 2] * c
        inside = root >= 0
        z = (-b - np.sqrt(np.maximum(root, 0))) / m[2, 2]
        back = (np.diag(1 / axes) @ self.turn.T).astype(np.float32)
        surface = np.stack([back[i, 0] * dx + back[i, 1] * dy + back[i, 2] * z for i in range(3)])
        return window, inside, surface

    def _brightness(self, surface: NDArray[np.float32], low: float) -> NDArray[np.float32]:
        """Light from one side, darker at the rim."""
        normal = self.turn.astype(np.float32)
        towards = normal.T @ np.array([0.55 * self.light[0], 0.55 * self.light[1], -0.6], np.float32)
        return np.clip(low + 0.42 * np.tensordot(towards, surface, 1), 0.45, 1.2)

    def _skull(self) -> None:
        found = self._sphere(1.0)
        if found is None:
            return
        window, inside, surface = found
        x, y, z = surface
        colour = np.empty((*inside.shape, 3), np.float32)
        colour[:] = self.look.skin
        if self.look.beard:
            beard = (y > 0.3 + 0.25 * np.abs(x)) & (z < 0.1)
            colour[beard] = mix(self.look.skin, self.look.hair, 0.75)
        if self.look.hair_style == BALD:
            fringe = (y > -0.4) & (y < 0.5 * z) & (z > -0.35)
            colour[fringe] = self.look.hair
        colour *= self._brightness(surface, 0.74)[..., None]
        self.canvas.colour[window][inside] = np.minimum(colour[inside], 255).astype(np.uint8)
        self.canvas.part[window][inside] = HEAD_PART

    def _hair(self) -> None:
        """Hair and cap lie on a slightly larger ellipsoid, so that they have volume."""
        style = self.look.hair_style
        if style == BALD and self.look.cap is None:
            return
        found = self._sphere(1.12 if style in (FULL, LONG) or self.look.cap else 1.06)
        if found is None:
            return
        window, inside, surface = found
        x, y, z = surface
        height, slope = _HAIRLINES.get(style, _HAIRLINE)
        covered = y < height + slope * z if style != BALD else np.zeros_like(inside)
        colour = np.empty((*inside.shape, 3), np.float32)
        colour[:] = self.look.hair
        colour *= (1 + 0.07 * np.sin(24 * x + 3 * z))[..., None]
        if self.look.cap:
            cap = y < -0.3 + 0.1 * z
            colour[cap] = self.look.cap
            covered = covered | cap
        on = inside & covered
        colour *= self._brightness(surface, 0.72)[..., None]
        self.canvas.colour[window][on] = np.minimum(colour[on], 255).astype(np.uint8)
        self.canvas.part[window][on] = HAIR_PART

    def _brim(self, colour: Colour) -> None:
        outline = ellipse(self.place(0, -0.34, -1.1), self.vector(0.72, 0, 0), self.vector(0, 0.06, -0.62))
        self.canvas.fill(outline, shade(colour, 0.72), HAIR_PART)

    def _ear(self, side: int) -> None:
        inner = ellipse(self.place(0.9 * side, 0.06, 0.05), self.vector(0, 0.24, 0), self.vector(0, 0, 0.2))
        outer = ellipse(self.place(1.14 * side, 0.02, 0.1), self.vector(0, 0.28, 0), self.vector(0, 0, 0.24))
        self.canvas.fill(hull(inner, outer), shade(self.look.skin, 0.8), HEAD_PART)
        if self.turn[2, 0] * side < 0:
            core = ellipse(self.place(1.15 * side, 0.04, 0.08), self.vector(0, 0.13, 0), self.vector(0, 0, 0.11))
            self.canvas.fill(core, shade(self.look.skin, 0.58), 0)

    def _face(self) -> None:
        """Eyes, brows, nose and mouth, as far as they look at the camera."""
        hidden, skin, size = face_hidden(self.turn), self.look.skin, float(self.axes[0])
        mouth_depth = float(self.turn[2] @ np.array([0, 0.55, -0.84]))
        if mouth_depth < -0.15:
            mouth = ellipse(self.place(0, 0.56, -0.84), self.vector(0.3, 0, 0), self.vector(0, 0.075, 0))
            self.canvas.fill(mouth, mix(_LIPS, skin, 0.3), 0)
        for i, side in ((1, 1), (2, -1)):
            if hidden[i]:
                continue
            at = FEATURES[i]
            along = np.array([0.9, 0.0, 0.42 * side]) * 0.24
            white = ellipse(self.place(*at), self.vector(*along), self.vector(0, 0.13, 0))
            pupil = ellipse(self.place(*at), self.vector(*(along * 0.5)), self.vector(0, 0.13, 0))
            self.canvas.fill(white, _DARK if self.look.glasses == 2 else _WHITE, 0)
            self.canvas.fill(pupil, _DARK, 0)
            brow = np.array([self.place(*(at + along * k + [0, -0.24, 0])) for k in (-1.1, 1.1)])
            self.canvas.line(brow, mix(skin, shade(self.look.hair, 0.7), 0.8), 0.09 * size)
            if self.look.glasses:
                ring = ellipse(self.place(*at), self.vector(*(along * 1.3)), self.vector(0, 0.22, 0))
                if self.look.glasses == 2:
                    self.canvas.fill(ring, _DARK, 0)
                else:
                    self.canvas.line(np.concatenate([ring, ring[:1]]), _DARK, 0.07 * size)
        if not hidden[0]:
            nose = capsule(self.place(0, -0.02, -0.95), self.place(0, 0.2, -1.1), 0.07 * size, 0.14 * size)
            self.canvas.fill(nose, shade(skin, 0.76), HEAD_PART)
            ridge = capsule(self.place(0, 0, -1.02), self.place(0, 0.16, -1.16), 0.04 * size, 0.08 * size)
            self.canvas.fill(ridge, shade(skin, 1.0), 0)
