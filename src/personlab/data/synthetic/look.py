"""What the synthetic people wear: skin, hair, clothes, drawn at random."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

from numpy.random import Generator

Colour = tuple[float, float, float]

_SKINS: tuple[Colour, ...] = (
    (245, 214, 190), (236, 196, 164), (224, 178, 142), (205, 155, 117), (178, 125, 88), (141, 93, 64), (104, 67, 46),
    (77, 49, 36),
)  # fmt: skip
_HAIRS: tuple[Colour, ...] = (
    (28, 22, 20), (28, 22, 20), (52, 36, 26), (84, 56, 34), (120, 80, 44), (176, 134, 78), (214, 182, 120),
    (150, 66, 34), (150, 148, 146), (222, 220, 216),
)  # fmt: skip
_DENIM: tuple[Colour, ...] = ((44, 58, 92), (66, 88, 128), (104, 130, 168), (30, 34, 48))

PLAIN, STRIPES_ACROSS, STRIPES_ALONG, CHECKS, HALVES, DOTS = range(6)
BALD, SHORT, FULL, LONG, TAIL, BUN = range(6)


@dataclass(frozen=True)
class Look:
    """Colours are RGB, 0 to 255; lengths of sleeves and trousers are shares of the limb."""

    skin: Colour
    hair: Colour
    hair_style: int
    beard: bool
    cap: Colour | None
    glasses: int
    shirt: Colour
    shirt_second: Colour
    shirt_pattern: int
    pattern_count: int
    sleeves: float
    sleeves_differ: bool
    open_front: bool
    collar: float
    badge: int
    legs: Colour
    legs_second: Colour
    legs_striped: bool
    trousers: float
    skirt: bool
    belt: bool
    shoes: Colour
    width: float
    loose: float
    kit: Kit | None


@dataclass(frozen=True)
class Kit:
    """Sports clothes whose colours tell limbs apart: `(left, right)` for arms, legs and shoes."""

    arms: tuple[Colour, Colour]
    legs: tuple[Colour, Colour]


def sample_kit(rng: Generator) -> Kit:
    """Everybody's left arm is reddish, the right one blue, the left leg yellow, the right one green, more or less."""

    def near(hue: float) -> Colour:
        r, g, b = colorsys.hsv_to_rgb((hue + rng.normal(0, 0.012)) % 1.0, rng.uniform(0.7, 1.0), rng.uniform(0.7, 1.0))
        return (255 * r, 255 * g, 255 * b)

    return Kit(arms=(near(0.97), near(0.6)), legs=(near(0.14), near(0.4)))


def shade(colour: Colour, factor: float) -> Colour:
    """Darker (factor < 1) or lighter."""
    r, g, b = colour
    return (min(255.0, r * factor), min(255.0, g * factor), min(255.0, b * factor))


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """`share` of b in a."""
    return tuple(x + (y - x) * share for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


def cloth_colour(rng: Generator) -> Colour:
    """Black, white, grey, denim or a hue."""
    kind = rng.random()
    if kind < 0.28:
        return shade((255.0, 255.0, 255.0), float(rng.choice([0.1, 0.18, 0.35, 0.6, 0.85, 0.95])))
    if kind < 0.38:
        return _DENIM[rng.integers(len(_DENIM))]
    r, g, b = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.35, 0.95), rng.uniform(0.3, 0.98))
    return (255 * r, 255 * g, 255 * b)


def skin_colour(rng: Generator) -> Colour:
    """One of a range of skin tones, slightly varied."""
    return shade(_SKINS[rng.integers(len(_SKINS))], rng.uniform(0.92, 1.06))


def sample_look(rng: Generator, kit: bool = False) -> Look:
    """Draw how a person looks.

    Args:
        rng: Source of chance.
        kit: Whether the limbs wear the colours of `sample_kit`; everything else is drawn as ever.
    """
    skirt = not kit and bool(rng.random() < 0.12)
    bare = rng.random() < 0.06
    skin = skin_colour(rng)
    trousers = 0.0 if skirt else float(rng.choice([0.25, 0.45, 0.95], p=[0.1, 0.25, 0.65]))
    return Look(
        skin=skin,
        hair=shade(_HAIRS[rng.integers(len(_HAIRS))], rng.uniform(0.9, 1.15)),
        hair_style=int(rng.choice(6, p=[0.08, 0.4, 0.16, 0.18, 0.1, 0.08])),
        beard=bool(rng.random() < 0.14),
        cap=cloth_colour(rng) if rng.random() < 0.16 else None,
        glasses=int(rng.choice(3, p=[0.8, 0.12, 0.08])),
        shirt=skin if bare else cloth_colour(rng),
        shirt_second=cloth_colour(rng),
        shirt_pattern=PLAIN if bare else int(rng.choice(6, p=[0.46, 0.18, 0.1, 0.08, 0.1, 0.08])),
        pattern_count=int(rng.integers(3, 9)),
        sleeves=0.0 if bare else float(rng.choice([0.0, 0.3, 0.5, 0.97], p=[0.13, 0.27, 0.15, 0.45])),
        sleeves_differ=bool(rng.random() < 0.15),
        open_front=not bare and bool(rng.random() < 0.3),
        collar=float(rng.choice([0.02, 0.04, 0.08], p=[0.4, 0.4, 0.2])),
        badge=0 if bare else int(rng.choice(3, p=[0.55, 0.3, 0.15])),
        legs=cloth_colour(rng) if rng.random() < 0.55 else _DENIM[rng.integers(len(_DENIM))],
        legs_second=cloth_colour(rng),
        legs_striped=bool(rng.random() < 0.1),
        trousers=trousers,
        skirt=skirt,
        belt=bool(rng.random() < 0.35),
        shoes=cloth_colour(rng),
        width=min(max(rng.normal(1.05, 0.13), 0.82), 1.4),
        loose=rng.uniform(1.0, 1.28),
        kit=sample_kit(rng) if kit else None,
    )
