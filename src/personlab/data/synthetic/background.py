"""Where the synthetic people stand: backgrounds with things that look like limbs but are none, and things in front."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from personlab.data.synthetic.canvas import Canvas, Points, capsule, ellipse
from personlab.data.synthetic.figure import Layer
from personlab.data.synthetic.look import Colour, cloth_colour, mix, shade, skin_colour

Image = NDArray[np.float32]
_SKY: tuple[Colour, ...] = ((150, 190, 230), (200, 215, 230), (235, 225, 205), (90, 120, 170), (225, 180, 150))
_GROUND: tuple[Colour, ...] = (
    (120, 150, 80),
    (150, 140, 125),
    (190, 175, 140),
    (110, 110, 112),
    (225, 228, 232),
    (95, 80, 60),
)
_WOOD: tuple[Colour, ...] = ((140, 100, 62), (96, 64, 40), (188, 152, 104), (70, 68, 66), (205, 205, 205))

_NOISE_SIDE = 1024
MAX_SIDE = 1000
"""Longest side of an image in pixels: the noise is cut from a tile of a fixed size."""


@cache
def _noise_tile() -> NDArray[np.int8]:
    """Sensor noise of deviation 16, drawn once; images cut different windows from it."""
    return np.clip(np.random.default_rng(7).normal(0, 16, (_NOISE_SIDE, _NOISE_SIDE, 3)), -64, 64).astype(np.int8)


def _texture(rng: Generator, height: int, width: int, cells: int, strength: float) -> Image:
    """Smooth random spots, about `cells` across, in one or three channels."""
    channels = 3 if rng.random() < 0.4 else 1
    coarse = rng.standard_normal((max(2, cells * height // max(height, width)), cells, channels)).astype(np.float32)
    fine = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, channels)
    return strength * fine


def _gradient(height: int, width: int, top: Colour, bottom: Colour) -> Image:
    t = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    column = np.array(top, np.float32) * (1 - t) + np.array(bottom, np.float32) * t
    return np.repeat(column[:, None], width, axis=1)


def _pick(rng: Generator, colours: tuple[Colour, ...]) -> Colour:
    return shade(colours[rng.integers(len(colours))], rng.uniform(0.75, 1.1))


def _rectangle(image: Image, x: float, y: float, width: float, height: float, colour: Colour) -> None:
    cv2.rectangle(image, (int(x), int(y)), (int(x + width), int(y + height)), colour, -1)


def _outdoors(rng: Generator, image: Image, horizon: int) -> None:
    """Trees or houses along the horizon."""
    height, width = image.shape[:2]
    if rng.random() < 0.5:
        leaf = mix((60.0, 100.0, 45.0), cloth_colour(rng), 0.2)
        for _ in range(rng.integers(4, 14)):
            x, r = rng.uniform(0, width), rng.uniform(0.05, 0.2) * height
            y = horizon - rng.uniform(0, 0.3) * height
            _rectangle(image, x - 0.1 * r, y, 0.2 * r, horizon - y, (74.0, 56.0, 40.0))
            for _ in range(3):
                at = (int(x + rng.normal(0, 0.4 * r)), int(y + rng.normal(0, 0.4 * r)))
                cv2.circle(image, at, int(r * rng.uniform(0.5, 1)), shade(leaf, rng.uniform(0.6, 1.2)), -1)
        return
    x = 0.0
    while x < width:
        w, h = rng.uniform(0.12, 0.35) * width, rng.uniform(0.2, 0.9) * horizon
        wall = mix(cloth_colour(rng), (160.0, 150.0, 140.0), 0.6)
        _rectangle(image, x, horizon - h, w, h, wall)
        step = rng.uniform(0.05, 0.09) * height
        for wy in np.arange(horizon - h + step / 2, horizon - step, step * 1.4):
            for wx in np.arange(x + step / 2, x + w - step / 2, step * 1.3):
                _rectangle(image, wx, wy, step * 0.6, step * 0.8, shade(wall, rng.uniform(0.4, 1.3)))
        x += w


def _indoors(rng: Generator, image: Image, horizon: int) -> None:
    """Pictures, windows, shelves and doors on a wall, planks on the floor."""
    height, width = image.shape[:2]
    for _ in range(rng.integers(1, 6)):
        w, h = rng.uniform(0.08, 0.35, 2) * width
        x, y = rng.uniform(-0.1, 1) * width, rng.uniform(0, 0.9) * horizon
        colour = cloth_colour(rng)
        _rectangle(image, x, y, w, h, shade(colour, 0.5))
        _rectangle(image, x + 3, y + 3, w - 6, h - 6, colour)
    if rng.random() < 0.5:
        plank = shade(tuple(image[min(horizon + 2, height - 1), width // 2].tolist()), 0.8)
        for t in np.linspace(-1, 2, rng.integers(6, 16)):
            far, near = (int(width * (0.5 + (t - 0.5) * 0.6)), horizon), (int(width * (0.5 + (t - 0.5) * 1.6)), height)
            cv2.line(image, far, near, plank, 1)


def _distractors(rng: Generator, image: Image) -> None:
    """Bars, balls and blocks in the colours of skin and cloth, so that colour and shape alone are no sign of a limb."""
    height, width = image.shape[:2]
    for _ in range(rng.integers(0, 9)):
        colour = skin_colour(rng) if rng.random() < 0.35 else cloth_colour(rng)
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        size = rng.uniform(0.02, 0.14) * height
        kind = rng.integers(4)
        if kind <= 1:
            turn = rng.uniform(0, np.pi)
            reach = rng.uniform(0.08, 0.5) * height
            end = (x + reach * np.cos(turn), y + reach * np.sin(turn))
            for k, tone in ((1.0, 0.6), (0.75, 0.9), (0.35, 1.05)):
                wide = max(1, round(size * 0.5 * k))
                cv2.line(image, (int(x), int(y)), (int(end[0]), int(end[1])), shade(colour, tone), wide, cv2.LINE_AA)
        elif kind == 2:
            cv2.circle(image, (int(x), int(y)), int(size * 0.6), colour, -1, cv2.LINE_AA)
        else:
            box = cv2.boxPoints(((x, y), (size, size * rng.uniform(0.6, 2.5)), rng.uniform(0, 90)))
            cv2.fillPoly(image, [box.astype(np.int32)], colour, cv2.LINE_AA)


def background(rng: Generator, height: int, width: int) -> tuple[Image, int]:
    """An image without people.

    Returns:
        `(height, width, 3)` RGB, 0 to 255, and the row of the horizon.
    """
    horizon = int(rng.uniform(0.3, 0.7) * height)
    kind = rng.choice(4, p=[0.38, 0.34, 0.14, 0.14])
    if kind == 0:
        sky, ground = _pick(rng, _SKY), _pick(rng, _GROUND)
        image = _gradient(height, width, sky, shade(sky, rng.uniform(0.85, 1.25)))
        image[horizon:] = _gradient(height - horizon, width, shade(ground, 0.9), shade(ground, 1.1))
        _outdoors(rng, image, horizon)
    elif kind == 1:
        wall = mix(cloth_colour(rng), (205.0, 198.0, 188.0), 0.65)
        image = _gradient(height, width, wall, shade(wall, 0.88))
        image[horizon:] = _pick(rng, _WOOD)
        _indoors(rng, image, horizon)
    else:
        top, bottom = (mix(cloth_colour(rng), (150.0, 150.0, 150.0), rng.uniform(0, 0.7)) for _ in range(2))
        image = _gradient(height, width, top, bottom)
        if kind == 3:
            image += _texture(rng, height, width, int(rng.integers(4, 30)), rng.uniform(10, 45))
    _distractors(rng, image)
    if rng.random() < 0.6:
        image += _texture(rng, height, width, int(rng.integers(20, 110)), rng.uniform(2, 14))
    if rng.random() < 0.4:  # out of focus
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.6, 2.5)), np.float32)
    return np.clip(image, 0, 255), horizon


def seat(rng: Generator, image: Image, low_xy: Points, high_xy: Points) -> None:
    """A chair, box or bench behind a sitting person; corners are `image_xy`."""
    colour = _pick(rng, _WOOD) if rng.random() < 0.6 else cloth_colour(rng)
    (x0, y0), (x1, y1) = low_xy, high_xy
    if rng.random() < 0.5:
        _rectangle(image, x0, y0, x1 - x0, y1 - y0, colour)
        _rectangle(image, x0, y0, x1 - x0, 0.12 * (y1 - y0), shade(colour, 1.2))
    else:
        thick = 0.08 * (x1 - x0) + 1
        _rectangle(image, x0, y0, x1 - x0, 1.6 * thick, shade(colour, 1.1))
        for x in (x0, x1 - thick):
            _rectangle(image, x, y0, thick, y1 - y0, colour)
    if rng.random() < 0.4:
        _rectangle(image, x0, y0 - 0.8 * (y1 - y0), 0.14 * (x1 - x0) + 1, 0.8 * (y1 - y0), shade(colour, 0.8))


def shadow(image: Image, centre_xy: Points, half_width: float) -> None:
    """A soft dark ellipse on the ground, in place."""
    x, y, r = int(centre_xy[0]), int(centre_xy[1]), max(2, int(half_width))
    rows = slice(max(y - r // 3 - 1, 0), max(min(y + r // 3 + 2, image.shape[0]), 0))
    columns = slice(max(x - r - 1, 0), max(min(x + r + 2, image.shape[1]), 0))
    patch = image[rows, columns]
    if patch.size == 0:
        return
    v, u = np.ogrid[rows, columns]
    inside = np.clip(1.3 - ((u - x) / r) ** 2 - ((v - y) / (r / 3 + 0.5)) ** 2, 0, 1).astype(np.float32)
    patch *= 1 - 0.4 * inside[..., None]


def occluder(rng: Generator, image_size: tuple[int, int]) -> Layer:
    """Something that stands in front: a table, a box, a post, a rail or a bush."""
    height, width = image_size
    samples = 2
    canvas = Canvas(height * samples, width * samples)
    unit = height * samples
    x, top = rng.uniform(0.05, 0.95) * width * samples, rng.uniform(0.55, 0.85) * unit
    colour = _pick(rng, _WOOD) if rng.random() < 0.5 else cloth_colour(rng)

    def block(x0: float, y0: float, x1: float, y1: float, tone: float) -> None:
        canvas.fill(np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)]), shade(colour, tone), 1)

    kind = rng.integers(5)
    half = rng.uniform(0.06, 0.22) * unit
    if kind == 0:  # table
        block(x - half * 1.5, top, x + half * 1.5, top + 0.04 * unit, 1.1)
        for leg in (-1.35, 1.25):
            block(x + leg * half, top + 0.04 * unit, x + (leg + 0.12) * half, top + 0.4 * unit, 0.7)
    elif kind == 1:  # box
        block(x - half, top, x + half, top + rng.uniform(0.1, 0.4) * unit, 0.9)
        block(x - half, top, x + half, top + 0.03 * unit, 1.2)
    elif kind == 2:  # post
        thick = rng.uniform(0.008, 0.03) * unit
        block(x - thick, rng.uniform(0, 0.5) * unit, x + thick, unit, 0.9)
    elif kind == 3:  # rail
        for y in top + np.arange(rng.integers(1, 4)) * 0.07 * unit:
            ends = np.array([[-5.0, y]]), np.array([[width * samples + 5.0, y + rng.uniform(-0.06, 0.06) * unit]])
            canvas.fill(capsule(ends[0][0], ends[1][0], 0.011 * unit, 0.011 * unit), shade(colour, 0.9), 1)
    else:  # bush
        leaf = mix((66.0, 110.0, 52.0), colour, 0.3)
        for _ in range(rng.integers(10, 26)):
            at = np.array([x + rng.normal(0, 0.6 * half), top + abs(rng.normal(0, 0.6 * half)) + 0.3 * half])
            r = rng.uniform(0.12, 0.32) * half
            leaves = ellipse(at, np.array([r, 0.0]), np.array([0.0, r]))
            canvas.fill(leaves, shade(leaf, rng.uniform(0.6, 1.15)), 1)
    colours, alpha = canvas.reduce(samples)
    return Layer((0, 0), colours, alpha, np.zeros((17, 2)), np.ones(17, bool))


def finish(rng: Generator, image: Image) -> NDArray[np.uint8]:
    """What the camera adds: colour cast, contrast, blur and noise."""
    gain = rng.uniform(0.8, 1.15) * rng.normal(1, 0.05, 3)
    image = (image - 128) * np.float32(rng.uniform(0.75, 1.15)) + 128
    image *= gain.astype(np.float32)
    if rng.random() < 0.4:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 0.9)), np.float32)
    height, width = image.shape[:2]
    y, x = rng.integers(0, _NOISE_SIDE - height), rng.integers(0, _NOISE_SIDE - width)
    image += _noise_tile()[y : y + height, x : x + width] * np.float32(rng.uniform(0.02, 0.4))
    return np.clip(image, 0, 255).astype(np.uint8)
