"""People drawn over their image: masks, skeletons, scores."""

from __future__ import annotations

import colorsys
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

from personlab.decoding.rle import decode_region
from personlab.skeleton import COCO, Skeleton
from personlab.structures import People

Image = NDArray[np.uint8]

SCORE_THRESHOLD = 0.2
"""People with a lower score are not drawn unless asked for. Soft-NMS leaves duplicate detections of people behind,
most below .1 and some at .18, who do no harm to a precision-recall curve but clutter a picture."""


def person_colour(index: int) -> tuple[int, int, int]:
    """A bright colour (red, green, blue) for the n-th person; neighbours in order are far apart in hue."""
    red, green, blue = colorsys.hsv_to_rgb((index * 0.61803398875 + 0.08) % 1.0, 0.85, 1.0)
    return int(255 * red), int(255 * green), int(255 * blue)


def draw_skeleton(
    image: Image,
    keypoints: NDArray[np.floating],
    colour: tuple[int, int, int],
    skeleton: Skeleton = COCO,
    threshold: float = 0.0,
) -> None:
    """Draw one person's keypoints and tree into an image, in place.

    Args:
        image: `(height, width, 3)` uint8, RGB, contiguous.
        keypoints: `(keypoint, 3)`: x, y in pixels of this image, and a score or a visibility.
        colour: Red, green, blue.
        skeleton: Whose tree to draw.
        threshold: A keypoint is drawn when its third value is above this.
    """
    thickness = max(1, round(max(image.shape[:2]) / 300))
    shown = (keypoints[:, 2] > threshold) & np.isfinite(keypoints[:, :2]).all(axis=1)
    # cv2 takes fixed-point places: 4 fractional bits keep limbs from jumping by whole pixels.
    places = np.clip(np.nan_to_num(keypoints[:, :2]), -1e5, 1e5)
    fixed = [(round(float(x) * 16), round(float(y) * 16)) for x, y in places]
    for a, b in skeleton.edges:
        if shown[a] and shown[b]:
            cv2.line(image, fixed[a], fixed[b], colour, thickness, cv2.LINE_AA, 4)
    for k in np.flatnonzero(shown):
        cv2.circle(image, fixed[k], 16 * (thickness + 1), (255, 255, 255), -1, cv2.LINE_AA, 4)
        cv2.circle(image, fixed[k], 16 * thickness, colour, -1, cv2.LINE_AA, 4)


def draw_people(
    image: Image,
    people: People,
    skeleton: Skeleton = COCO,
    score_threshold: float = SCORE_THRESHOLD,
    keypoint_threshold: float = 0.02,
    scores: bool = True,
) -> Image:
    """Overlay masks, skeletons and scores; who has the best score comes on top.

    Args:
        image: `(height, width, 3)` uint8, RGB.
        people: People in the pixels of this image, best first.
        skeleton: Whose tree to draw.
        score_threshold: People with a lower score are left out.
        keypoint_threshold: Keypoints with a lower score are left out.
        scores: Write the score of each person above it.

    Returns:
        A new image.
    """
    drawn = np.ascontiguousarray(image).copy()
    shown = [i for i in reversed(range(len(people))) if people.scores[i] >= score_threshold]
    for i in shown if people.masks is not None else ():
        _tint(drawn, people.masks[i], person_colour(i))  # type: ignore[index]
    size = max(0.35, max(image.shape[:2]) / 1600)
    for i in shown:
        keypoints = people.keypoints[i]
        draw_skeleton(drawn, keypoints, person_colour(i), skeleton, keypoint_threshold)
        certain = keypoints[(keypoints[:, 2] > keypoint_threshold) & np.isfinite(keypoints[:, :2]).all(axis=1), :2]
        if scores and len(certain):
            x, y = np.clip(certain.min(axis=0), 0, image.shape[1::-1])
            label(drawn, f"{people.scores[i]:.2f}", (int(x), int(max(y - 4, 28 * size))), person_colour(i), size)
    return drawn


def _tint(image: Image, mask: dict[str, Any], colour: tuple[int, int, int]) -> None:
    """Colour the pixels of a mask in place, in the window that holds them: by table, since there are 256 values."""
    left, top, width, height = (int(side) for side in rle.toBbox(mask))
    if not width or not height:
        return
    window = image[top : top + height, left : left + width]
    inside = cv2.transpose(decode_region(mask, left, top, (height, width)))
    values = np.arange(256)[:, None]
    tinted = (0.55 * values + 0.45 * np.array(colour)).astype(np.uint8)[None]
    cv2.copyTo(cv2.LUT(window, tinted), inside, window)


def label(
    image: Image, text: str, place: tuple[int, int], colour: tuple[int, int, int] = (255, 255, 255), scale: float = 0.45
) -> None:
    """Write text with a dark outline into an image, in place; `place` is the left end of its base line."""
    stroke = max(1, round(1.5 * scale))
    outline = stroke + 2 * max(1, round(scale))
    for ink, width in (((0, 0, 0), outline), (colour, stroke)):
        cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, ink, width, cv2.LINE_AA)
