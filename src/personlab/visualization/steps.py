"""The steps of the decoder as pictures: votes, seeds, the walk along the tree, what is near a person."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from personlab.decoding.seeds import Seeds
from personlab.skeleton import COCO, Skeleton
from personlab.visualization.fields import kind_colours, tint, upscale
from personlab.visualization.people import label

Image = NDArray[np.uint8]
_WHITE = (255, 255, 255)


def draw_votes(image: Image, votes: Float[np.ndarray, "keypoint rows columns"], grid_px: float) -> Image:
    """Hough score maps over the image: brightness is the largest score, hue the keypoint type that has it.

    Args:
        image: `(height, width, 3)` uint8, RGB: the network input.
        votes: What `personlab.decoding.hough.hough_maps` gives; brightest is the highest peak of all.
        grid_px: Pixels between their cells.

    Returns:
        A new image.
    """
    strength = votes.max(axis=0)
    colour = kind_colours(votes.argmax(axis=0), len(votes)).astype(np.float32)
    shape = (image.shape[0], image.shape[1])
    # The square root, since a peak is a few cells wide and hundreds of times as high as what leads to it.
    strength = np.sqrt(strength / max(float(strength.max()), 1e-12))
    return tint(image, upscale(strength, grid_px, shape), upscale(colour, grid_px, shape))


def draw_seeds(image: Image, seeds: Seeds, skeleton: Skeleton = COCO) -> Image:
    """Seeds as rings in the colours of their keypoint types; the higher the score, the larger.

    Args:
        image: `(height, width, 3)` uint8, RGB: the network input; it is darkened.
        seeds: In `crop_xy`; the best come on top.
        skeleton: Counts the keypoint types.

    Returns:
        A new image.
    """
    drawn = (image * 0.5).astype(np.uint8)
    colours = kind_colours(seeds.keypoints, skeleton.num_keypoints)
    largest = max(image.shape[:2]) / 50
    for n in reversed(range(len(seeds.scores))):
        x, y = seeds.xy[n]
        radius = max(1.5, largest * float(np.sqrt(min(max(seeds.scores[n], 0.0), 1.0))))
        ink = (int(colours[n, 0]), int(colours[n, 1]), int(colours[n, 2]))
        cv2.circle(drawn, _fixed(x, y), round(16 * radius), ink, 1, cv2.LINE_AA, 4)
    return drawn


def draw_walk(
    image: Image,
    crop_xy: Float[np.ndarray, "keypoint 2"],
    start: int,
    skeleton: Skeleton = COCO,
    steps: int | None = None,
) -> Image:
    """The walk along the tree that makes a person of a seed: arrows in the order in which they are taken, numbered.

    Args:
        image: `(height, width, 3)` uint8, RGB: the network input; it is darkened.
        crop_xy: Places of the person's keypoints, pixels.
        start: Keypoint that the seed is: it has a ring.
        skeleton: Whose tree is walked.
        steps: Only the first so many; None for all.

    Returns:
        A new image.
    """
    drawn = (image * 0.5).astype(np.uint8)
    thickness = max(1, round(max(image.shape[:2]) / 300))
    colours = kind_colours(np.arange(skeleton.num_keypoints), skeleton.num_keypoints)
    walk = skeleton.walk(start)[:steps]
    places = [(round(float(x)), round(float(y))) for x, y in np.clip(np.nan_to_num(crop_xy), -1e4, 1e4)]
    for _, source, target in walk:
        ink = (int(colours[target, 0]), int(colours[target, 1]), int(colours[target, 2]))
        cv2.arrowedLine(drawn, places[source], places[target], ink, thickness, cv2.LINE_AA, tipLength=0.15)
    cv2.circle(drawn, places[start], 5 * thickness, _WHITE, thickness, cv2.LINE_AA)
    size = max(0.3, max(image.shape[:2]) / 1200)
    for n, (_, _, target) in enumerate(walk):
        x, y = places[target]
        label(drawn, str(n + 1), (x + 3 * thickness, y - 2 * thickness), _WHITE, size)
    return drawn


def draw_nearness(
    image: Image,
    distances: Float[np.ndarray, "height width"],
    stride: int,
    threshold: float,
    colour: tuple[int, int, int],
) -> Image:
    """How near the cells are to a person in the space of keypoints, up to the threshold at which its mask ends.

    Args:
        image: `(height, width, 3)` uint8, RGB: the network input.
        distances: What `personlab.decoding.masks.person_distances` gives.
        stride: Output stride of them.
        threshold: Distance from which on nothing is tinted.
        colour: Of the person; the nearer, the stronger.

    Returns:
        A new image.
    """
    nearness = 1 - np.minimum(distances / threshold, 1)
    return tint(image, upscale(nearness, stride, (image.shape[0], image.shape[1])), colour)


def _fixed(x: float, y: float) -> tuple[int, int]:
    """A place as cv2 takes it with 4 fractional bits."""
    return round(16 * min(max(float(x), -1e5), 1e5)), round(16 * min(max(float(y), -1e5), 1e5))
