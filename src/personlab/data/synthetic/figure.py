"""The synthetic people, painted part by part from the farthest to the nearest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from personlab.data.synthetic import look as looks
from personlab.data.synthetic.canvas import Canvas, Points, capsule, capsule_rays, hull, place_capsule
from personlab.data.synthetic.head import HAIR_PART, HEAD_PART, HeadPainter, face_hidden
from personlab.data.synthetic.look import Colour, Look, shade
from personlab.data.synthetic.pose import HEAD, LEFT, LEFT_HAND, LEFT_TOE, NECK, RIGHT, Figure
from personlab.data.synthetic.torso import SHIRT, TORSO, TorsoPainter

NECK_PART, SKIRT = 5, 6
UPPER_ARM, FOREARM, THIGH, SHANK = 10, 12, 14, 16  # + side


@dataclass
class Layer:
    """A painted thing, ready to be put into an image.

    Attributes:
        corner: `(x, y)` of its upper left pixel in the image.
        colour: `(height, width, 3)` RGB multiplied by `alpha`.
        alpha: `(height, width)` coverage, 0 to 1.
        keypoints: `(17, 2)` places in `image_xy`.
        hidden: `(17,)` bool, keypoints covered by the person's own body.
    """

    corner: tuple[int, int]
    colour: NDArray[np.float32]
    alpha: NDArray[np.float32]
    keypoints: NDArray[np.float64]
    hidden: NDArray[np.bool_]

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the image."""
        (x, y), (height, width) = self.corner, self.alpha.shape
        return slice(y, y + height), slice(x, x + width)


class FigurePainter:
    """Paints one posed person on a canvas; see `draw_figure`."""

    def __init__(self, canvas: Canvas, figure: Figure, look: Look, xy: Points, unit: float, light: Points) -> None:
        """Remember what to paint; `xy` are the canvas places of the figure's points."""
        self.canvas, self.figure, self.look, self.xy, self.unit, self.light = canvas, figure, look, xy, unit, light
        self.z = figure.points[:, 2]
        self.torso_z = float(self.z[[5, 6, 11, 12]].mean())
        self.head = HeadPainter(canvas, figure, look, xy[HEAD], unit, light)
        self.wide = look.width * unit

    def paint(self) -> None:
        """All parts, in the order of their depth; small shifts settle ties as clothes do."""
        z = self.z
        parts: list[tuple[float, Callable[[], None]]] = [
            (self.torso_z, self._torso),
            (float(z[[NECK, HEAD]].mean()) + 0.02, self._neck),
            (float(z[HEAD]) - 0.015, self.head.paint),
            (float(z[HEAD]) + 0.055 * float(self.figure.head[2, 2]), self.head.behind),
        ]
        for side in (LEFT, RIGHT):
            shoulder, elbow, wrist, hip, knee, ankle = (i + side for i in (5, 7, 9, 11, 13, 15))
            parts += [
                (float(z[[shoulder, elbow]].mean()) - 0.012, lambda s=side: self._upper_arm(s)),  # type: ignore[misc]
                (float(z[[elbow, wrist]].mean()) - 0.016, lambda s=side: self._forearm(s)),  # type: ignore[misc]
                (float(z[[hip, knee]].mean()) + 0.012, lambda s=side: self._thigh(s)),  # type: ignore[misc]
                (float(z[[knee, ankle]].mean()) + 0.014, lambda s=side: self._shank(s)),  # type: ignore[misc]
            ]
        if self.look.skirt:
            parts.append((min(float(z[[11, 13]].mean()), float(z[[12, 14]].mean())), self._skirt))
        for _, part in sorted(parts, key=lambda p: -p[0]):
            part()

    def hidden(self) -> NDArray[np.bool_]:
        """Keypoints where another part of the same body is on top, or that look away from the camera."""
        result = np.zeros(17, bool)
        result[:5] = face_hidden(self.figure.head)
        for name, (left, right) in {"shoulders": (5, 6), "hips": (11, 12)}.items():
            across = float(self.z[left] - self.z[right]) / (0.2 if name == "shoulders" else 0.116)
            result[left], result[right] = across > 0.85, across < -0.85
        height, width = self.canvas.part.shape
        for k in range(17):
            x, y = np.round(self.xy[k]).astype(int)
            if 0 <= x < width and 0 <= y < height:
                top = int(self.canvas.part[y, x])
                result[k] |= top != 0 and top not in _OWN_PARTS[k]
        return result

    def _limb(self, a: Points, b: Points, radius_a: float, radius_b: float, colour: Colour, part: int) -> None:
        """A tapered limb with a dark rim and a light side."""
        rim = max(0.004 * self.unit, 0.7)
        rays = capsule_rays(a, b, radius_a - radius_b)
        self.canvas.fill(place_capsule(rays, a, b, radius_a + rim, radius_b + rim), shade(colour, 0.52), part)
        self.canvas.fill(place_capsule(rays, a, b, radius_a, radius_b), shade(colour, 0.86), 0)
        shift = 0.28 * self.light
        inner = place_capsule(rays, a + shift * radius_a, b + shift * radius_b, 0.62 * radius_a, 0.62 * radius_b)
        self.canvas.fill(inner, shade(colour, 1.06), 0)

    def _far(self, *points: int) -> float:
        """Farther limbs are a little darker."""
        depth = sum(float(self.z[k]) for k in points) / len(points) - self.torso_z
        return min(max(1 - 1.2 * depth, 0.76), 1.06)

    def _clothed(
        self, ends: tuple[int, int], radii: tuple[float, float], colours: tuple[Colour, Colour], share: float, part: int
    ) -> None:
        """A limb whose upper `share` is covered by cloth: colours are skin and cloth."""
        a, b = self.xy[ends[0]], self.xy[ends[1]]
        dark = self._far(*ends)
        r0, r1 = radii[0] * self.wide, radii[1] * self.wide
        if share < 0.99:
            self._limb(a, b, r0, r1, shade(colours[0], dark), part)
        if share > 0:
            loose = self.look.loose
            end = a + (b - a) * min(share, 1.0)
            self._limb(a, end, r0 * loose, (r0 + (r1 - r0) * share) * loose, shade(colours[1], dark), part)

    def _kit_limb(self, ends: tuple[int, int], radii: tuple[float, float], colour: Colour, part: int) -> None:
        """A limb in kit: all cloth; upper limbs are darker than lower ones, so that elbow and knee are an edge."""
        self._clothed(ends, radii, (self.look.skin, colour), 1.0, part)

    def _sleeve(self) -> Colour:
        return self.look.shirt_second if self.look.sleeves_differ else self.look.shirt

    def _upper_arm(self, side: int) -> None:
        if self.look.kit is not None:
            self._kit_limb(
                (5 + side, 7 + side), (0.036, 0.027), shade(self.look.kit.arms[side], 0.65), UPPER_ARM + side
            )
            return
        share = min(self.look.sleeves * 2, 1.0)
        colours = (self.look.skin, self._sleeve())
        self._clothed((5 + side, 7 + side), (0.036, 0.027), colours, share, UPPER_ARM + side)
        if self.look.shirt_pattern == looks.STRIPES_ACROSS and share > 0:
            self._bands(self.xy[5 + side], self.xy[7 + side], 0.03 * self.wide, share)

    def _forearm(self, side: int) -> None:
        share = max(0.0, self.look.sleeves - 0.5) * 2
        wrist, hand = self.xy[9 + side], self.xy[LEFT_HAND + side]
        skin = shade(self.look.skin, self._far(7 + side, 9 + side))
        self._limb(wrist, hand, 0.017 * self.unit, 0.022 * self.unit, skin, FOREARM + side)
        if self.look.kit is not None:
            self._kit_limb((7 + side, 9 + side), (0.027, 0.019), self.look.kit.arms[side], FOREARM + side)
            return
        colours = (self.look.skin, self._sleeve())
        self._clothed((7 + side, 9 + side), (0.027, 0.019), colours, share, FOREARM + side)

    def _thigh(self, side: int) -> None:
        if self.look.kit is not None:
            self._kit_limb((11 + side, 13 + side), (0.054, 0.038), shade(self.look.kit.legs[side], 0.65), THIGH + side)
            return
        share = min(self.look.trousers * 2, 1.0)
        self._clothed((11 + side, 13 + side), (0.054, 0.038), (self.look.skin, self.look.legs), share, THIGH + side)
        self._leg_stripe(11 + side, 13 + side, share)

    def _shank(self, side: int) -> None:
        share = max(0.0, self.look.trousers - 0.5) * 2
        ankle, toe = self.xy[15 + side], self.xy[LEFT_TOE + side]
        shoe = shade(self.look.shoes, self._far(15 + side))
        self._limb(ankle, toe, 0.027 * self.unit, 0.018 * self.unit, shoe, SHANK + side)
        if self.look.kit is not None:
            self._kit_limb((13 + side, 15 + side), (0.037, 0.025), self.look.kit.legs[side], SHANK + side)
            return
        self._clothed((13 + side, 15 + side), (0.037, 0.025), (self.look.skin, self.look.legs), share, SHANK + side)
        self._leg_stripe(13 + side, 15 + side, share)

    def _leg_stripe(self, start: int, end: int, share: float) -> None:
        if self.look.legs_striped and share > 0:
            a, b = self.xy[start], self.xy[end]
            self.canvas.line(np.stack([a, a + (b - a) * share]), self.look.legs_second, 0.02 * self.unit)

    def _bands(self, a: Points, b: Points, radius: float, share: float) -> None:
        along = b - a
        across = np.array([-along[1], along[0]]) * radius / max(float(np.hypot(*along)), 1e-6)
        for t in np.arange(0.2, share - 0.05, 0.3):
            band = [a + along * t - across, a + along * t + across]
            band += [a + along * (t + 0.13) + across, a + along * (t + 0.13) - across]
            self.canvas.fill(np.array(band), self.look.shirt_second, 0)

    def _neck(self) -> None:
        low, high = self.xy[NECK], self.xy[NECK] + 0.75 * (self.xy[HEAD] - self.xy[NECK])
        self._limb(low, high, 0.031 * self.unit, 0.029 * self.unit, shade(self.look.skin, 0.84), NECK_PART)

    def _skirt(self) -> None:
        points = []
        for hip, knee in ((11, 13), (12, 14)):
            hem = self.xy[hip] + 0.62 * (self.xy[knee] - self.xy[hip])
            points.append(capsule(self.xy[hip], hem, 0.055 * self.wide, 0.075 * self.wide))
        self.canvas.fill(hull(*points), shade(self.look.legs, 0.9), SKIRT)

    def _torso(self) -> None:
        painter = TorsoPainter(self.canvas, self.figure, self.look, self.xy, self.unit, self.light)
        painter.paint()


_FACE = frozenset({HEAD_PART})
_OWN_PARTS: list[frozenset[int]] = [_FACE] * 5 + [
    frozenset(parts)
    for pair in (
        [{TORSO, SHIRT, NECK_PART, HAIR_PART, UPPER_ARM + s} for s in (0, 1)],
        [{UPPER_ARM + s, FOREARM + s} for s in (0, 1)],
        [{FOREARM + s} for s in (0, 1)],
        [{TORSO, SHIRT, SKIRT, THIGH + s} for s in (0, 1)],
        [{SKIRT, THIGH + s, SHANK + s} for s in (0, 1)],
        [{SHANK + s} for s in (0, 1)],
    )
    for parts in pair
]


def draw_figure(
    figure: Figure, look: Look, root_xy: Points, height_px: float, image_size: tuple[int, int], light: Points
) -> Layer | None:
    """Paint a person.

    Args:
        figure: The posed person.
        look: What it wears.
        root_xy: Where the pelvis stands, in `image_xy`.
        height_px: Standing height of the person in pixels.
        image_size: `(height, width)` of the image.
        light: Unit vector on the screen, towards the light.

    Returns:
        The layer, cut at the border of the image, or None if nothing lies inside.
    """
    places = root_xy + figure.points[:, :2] * height_px
    low = np.maximum(np.floor(places.min(0) - 0.12 * height_px).astype(int), 0)
    high = np.minimum(np.ceil(places.max(0) + 0.12 * height_px).astype(int), (image_size[1], image_size[0]))
    if (high - low < 2).any():
        return None
    samples = 2 if height_px > 110 else 3
    width, height = (high - low) * samples
    canvas = Canvas(int(height), int(width))
    painter = FigurePainter(
        canvas, figure, look, (places - low + 0.5) * samples - 0.5, height_px * samples, light / np.hypot(*light)
    )
    painter.paint()
    colour, alpha = canvas.reduce(samples)
    return Layer((int(low[0]), int(low[1])), colour, alpha, places[:17], painter.hidden())
