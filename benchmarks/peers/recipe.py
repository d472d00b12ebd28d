"""Random scenes after the recipe of the golden ones: drawn people, their true fields, and what a network would add.

In the layout of the released models: channels last, vectors (dy, dx), offsets in half precision.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from personlab.skeleton import COCO

RADIUS_PX = 32.0
VARIANTS = ("clean", "noisy", "missing", "flat")
SIGMAS_PX = {"clean": (0.0, 0.0, 0.0), "noisy": (2.0, 4.0, 6.0), "missing": (1.0, 2.0, 3.0), "flat": (0.0, 0.0, 0.0)}
"""Errors of short, mid and long offsets."""
MISSING = 0.25
"""Keypoints of the variant `missing` that are not labelled."""
REACH_CELLS = 2
"""Long offsets are defined this far around a person's pixels, too."""
PERSON_PIXELS = 9
"""The segmentation is the mean of the labels over a square of so many pixels."""

BONES = ((5, 7), (7, 9), (6, 8), (8, 10), (11, 13), (13, 15), (12, 14), (14, 16))
STANDING = np.array([
    (0, -0.42), (0.012, -0.435), (-0.012, -0.435), (0.025, -0.425), (-0.025, -0.425), (0.07, -0.30), (-0.07, -0.30),
    (0.10, -0.17), (-0.10, -0.17), (0.11, -0.04), (-0.11, -0.04), (0.045, 0), (-0.045, 0), (0.05, 0.23), (-0.05, 0.23),
    (0.055, 0.45), (-0.055, 0.45),
])  # fmt: skip
"""A person of height 1 around the hips, in the order of COCO's keypoints."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Recipe:
    """What a scene is made from; the same recipe gives the same scene.

    Attributes:
        seed: Of everything random.
        people: How many people.
        stride: Output stride.
        variant: One of `VARIANTS`.
        cells: Rows and columns of the maps.
        room: Hips of two people are at least this far apart, in heights of a person, where that much room is.
    """

    seed: int
    people: int
    stride: int
    variant: str
    cells: tuple[int, int]
    room: float = 0.45

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the image in pixels."""
        return (self.cells[0] - 1) * self.stride + 1, (self.cells[1] - 1) * self.stride + 1

    @property
    def name(self) -> str:
        """As the golden scenes are named, with seed and size."""
        height, width = self.size
        return f"n{self.people:02d}_s{self.stride:02d}_{self.variant}_{height}x{width}_seed{self.seed}"


def random_recipe(seed: int) -> Recipe:
    """A recipe with everything drawn by its seed; large images are rare, and some people are given no room."""
    rng = np.random.default_rng((seed, 0))
    stride = int(rng.choice((8, 16)))
    variant = str(rng.choice(VARIANTS))
    room = float(rng.choice((0.0, 0.45)))
    if rng.random() < 0.08:
        return Recipe(seed, int(rng.integers(10, 51)), stride, variant, (480 // stride + 1, 640 // stride + 1), room)
    rows, columns = (int(n) for n in rng.integers(128 // stride, 330 // stride, 2) + 1)
    return Recipe(seed, int(rng.choice((1, 1, 2, 2, 3, 5, 8, 12))), stride, variant, (rows, columns), room)


def _hips(recipe: Recipe, rng: np.random.Generator, heights: Array) -> Array:
    """Places of the hips, most of the body in the frame; a place that keeps no distance is drawn again, 200 times."""
    height_px, width_px = recipe.size
    hips = np.empty((0, 2))
    for height in heights:
        low, high = (0.15 * height, 0.4 * height), (width_px - 0.15 * height, height_px - 0.42 * height)
        for _ in range(200):
            place = rng.uniform(np.minimum(low, high), np.maximum(low, high))
            if (np.linalg.norm(hips - place, axis=-1) >= recipe.room * height).all():
                break
        hips = np.concatenate([hips, place[None]])
    return hips


def _people(recipe: Recipe, rng: np.random.Generator) -> tuple[Array, Array]:
    """Keypoints (person, keypoint, 3), in the order in which they cover each other, and heights."""
    height_px, width_px = recipe.size
    heights = np.sort(height_px * 0.83 * recipe.people**-0.37 * rng.uniform(0.6, 1.0, recipe.people))
    people = np.zeros((recipe.people, 17, 3))
    for person, height, hips in zip(people, heights, _hips(recipe, rng, heights), strict=True):
        body = STANDING * (rng.uniform(0.3, 1.0), 1.0)
        for source, target in BONES:
            bend = rng.normal(0, 0.5)
            turn = np.array([(math.cos(bend), -math.sin(bend)), (math.sin(bend), math.cos(bend))])
            moved = [b for a, b in BONES if a == target]
            length = body[target] - body[source]
            for keypoint in (target, *moved):
                body[keypoint] += turn @ length - length
        lean = rng.normal(0, 0.2)
        turn = np.array([(math.cos(lean), -math.sin(lean)), (math.sin(lean), math.cos(lean))])
        person[:, :2] = hips + body @ turn.T * height
        person[:, 2] = 2
    labelled = ((people[..., :2] >= 0) & (people[..., :2] < (width_px, height_px))).all(axis=-1)
    if recipe.variant == "missing":
        labelled &= rng.random(labelled.shape) >= MISSING
    return people * labelled[..., None], heights


def _drawn(people: Array, heights: Array, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Label map of the people, later ones on top: limbs, trunk and head."""
    labels = np.zeros(size, np.uint8)
    trunk = (5, 6, 12, 11)
    for n, (person, height) in enumerate(zip(people, heights, strict=True)):
        places = [tuple(int(v) for v in xy) for xy in np.rint(person[:, :2])]
        known = person[:, 2] > 0
        if known[list(trunk)].all():
            cv2.fillConvexPoly(labels, cv2.convexHull(np.array([places[k] for k in trunk])), n + 1)
        for a, b in (*BONES, (5, 6), (11, 12), (5, 11), (6, 12)):
            if known[a] and known[b]:
                cv2.line(labels, places[a], places[b], n + 1, max(round(0.07 * height), 2))
        if known[0]:
            cv2.circle(labels, places[0], max(round(0.07 * height), 2), n + 1, -1)
    return labels


def _owners(labels: NDArray[np.uint8], people: int, stride: int) -> NDArray[np.intp]:
    """Whose pixels are nearest to each cell, counted from 0; -1 where nobody's are near."""
    distance = np.full((people, *labels[::stride, ::stride].shape), np.inf)
    for n in range(people):
        if (labels == n + 1).any():
            to_person = cv2.distanceTransform((labels != n + 1).astype(np.uint8), cv2.DIST_L2, 5)
            distance[n] = to_person[::stride, ::stride]
    return np.where(distance.min(axis=0) <= REACH_CELLS * stride, distance.argmin(axis=0), -1)


def _noise(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> Array:
    return rng.normal(0, sigma, shape) if sigma else np.zeros(shape)


def _stray(recipe: Recipe, rng: np.random.Generator, heatmap: Array) -> None:
    """Raise a few cells that are in no disk, where no offset is defined."""
    for _ in range(3 + recipe.people * 3 // 4):
        i, j, k = (int(rng.integers(n)) for n in heatmap.shape)
        if heatmap[i, j, k] == 0:
            heatmap[i, j, k] = rng.uniform(0.1, 0.6)


def make_scene(recipe: Recipe) -> dict[str, NDArray[np.generic]]:
    """The fields and the truth of a scene, as the arrays of a golden file."""
    rng = np.random.default_rng((recipe.seed, 1))
    people, heights = _people(recipe, rng)
    rows, columns = recipe.cells
    y, x = np.mgrid[:rows, :columns].astype(np.float64) * recipe.stride
    short_sigma, mid_sigma, long_sigma = SIGMAS_PX[recipe.variant]
    flat, rough = recipe.variant == "flat", short_sigma > 0
    heatmap, short = np.zeros((rows, columns, 17)), np.zeros((rows, columns, 2, 17))
    mids = {"fwd": np.zeros((rows, columns, 2, 16)), "bwd": np.zeros((rows, columns, 2, 16))}
    for k in range(17):
        known = np.flatnonzero(people[:, k, 2])
        if not len(known):
            continue
        offsets = people[known, k, 1::-1][:, None, None] - np.stack([y, x], axis=-1)
        distance = np.linalg.norm(offsets, axis=-1)
        nearest, inside = distance.argmin(axis=0), distance.min(axis=0) <= RADIUS_PX
        amplitude = rng.uniform(0.62, 0.98, len(known))[nearest]
        peak = 0.95 if flat else amplitude * (1 - 0.55 * (distance.min(axis=0) / RADIUS_PX) ** 2)
        if rough:
            peak = (peak * (1 + _noise(rng, inside.shape, 0.0175))).clip(0.01, 0.999)
        heatmap[..., k] = peak * inside
        own = np.take_along_axis(offsets, nearest[None, ..., None], axis=0)[0]
        short[..., k] = (own + _noise(rng, own.shape, short_sigma)) * inside[..., None]
        owner = people[known[nearest]]
        for e, (parent, child) in enumerate(COCO.edges):
            for name, source, target in (("fwd", parent, child), ("bwd", child, parent)):
                if source == k:
                    defined = inside & (owner[..., target, 2] > 0)
                    offset = owner[..., target, 1::-1] - np.stack([y, x], axis=-1)
                    mids[name][..., e] = (offset + _noise(rng, offset.shape, mid_sigma)) * defined[..., None]
    if rough:
        _stray(recipe, rng, heatmap)
    instances = _drawn(people, heights, recipe.size)
    nearest = _owners(instances, recipe.people, recipe.stride)
    owner = people[nearest]
    long = owner[..., 1::-1].swapaxes(-1, -2) - np.stack([y, x], axis=-1)[..., None]
    defined = (nearest >= 0)[..., None, None] & (owner[..., None, :, 2] > 0)
    long = (long + _noise(rng, long.shape, long_sigma)) * defined
    somebody = cv2.blur((instances > 0).astype(np.float32), (PERSON_PIXELS, PERSON_PIXELS))
    logits = 12 * somebody[:: recipe.stride, :: recipe.stride] - 6 + _noise(rng, recipe.cells, 0.5 if rough else 0.0)
    arrays = {"short": short, "long": long, **mids}
    return {
        "heatmap": heatmap.astype(np.float32),
        "seg_logit": logits.astype(np.float16),
        **{name: v.reshape(rows, columns, -1).astype(np.float16) for name, v in arrays.items()},
        "keypoints": people.astype(np.float32),
        "instances": instances,
        "heights": heights.astype(np.float32),
    }
