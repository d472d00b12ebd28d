"""Training samples as the network is shown them: the crop, its people, and what nothing is learnt from."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from personlab.skeleton import COCO, Skeleton
from personlab.structures import CROWD, FIRST, IGNORE, SECOND, UNANNOTATED, UNMASKED, Sample
from personlab.visualization.people import draw_skeleton, person_colour

Image = NDArray[np.uint8]
LEFT, RIGHT, MIDDLE = (90, 255, 90), (255, 140, 0), (255, 255, 255)
"""Colours of keypoints by side: a view that mirrors must swap them."""
_IGNORED = {CROWD: (255, 0, 0), UNANNOTATED: (255, 225, 0), UNMASKED: (255, 0, 255)}
_NAMES = {CROWD: "crowd", UNANNOTATED: "no keypoints", UNMASKED: "no mask"}
LABEL_MAP_TITLES = ("first person", "second person", "ignored")
"""What `label_map_tiles` shows, in its order."""
_STRIPE_PX = 8
_GAP_PX = 4
_HEADER_PX = 24
_TEXT = 0.45


def draw_sample(sample: Sample, skeleton: Skeleton = COCO) -> Image:
    """One sample: masks, trees and keypoints of its people, and stripes where the heatmaps learn nothing.

    Args:
        sample: A sample after its view.
        skeleton: Whose tree and sides to draw.

    Returns:
        `(height, width, 3)` uint8, RGB. Each person has a colour, for mask and tree; pixels of two people have both, in
        turns. Keypoints are green on the left, orange on the right, white between; hidden ones are hollow.
    """
    drawn = np.ascontiguousarray(sample.image).copy()
    rows, columns = np.indices(drawn.shape[:2])
    stripes = (rows + columns) // (_STRIPE_PX // 2) % 2 == 0
    first, second, ignored = (sample.label_map[..., c] for c in (FIRST, SECOND, IGNORE))
    for person in range(len(sample.keypoints)):
        inside = ((first == person + 1) & ~((second > 0) & stripes)) | ((second == person + 1) & stripes)
        drawn[inside] = (0.6 * drawn[inside] + 0.4 * np.array(person_colour(person))).astype(np.uint8)
    thin = (rows + columns) % _STRIPE_PX < 2
    for bit, colour in _IGNORED.items():
        drawn[(ignored & bit > 0) & thin] = colour
    for person, keypoints in enumerate(sample.keypoints):
        draw_skeleton(drawn, keypoints, person_colour(person), skeleton)
        _draw_sides(drawn, keypoints, skeleton)
    return drawn


def label_map_tiles(label_map: NDArray[np.uint8]) -> list[Image]:
    """The channels of a label map as pictures, in the order of `LABEL_MAP_TITLES`.

    Args:
        label_map: `(height, width, 3)` uint8, see `personlab.structures.FIRST`, `SECOND` and `IGNORE`.

    Returns:
        Three pictures, RGB: each person has the colour that `draw_sample` gives; what is ignored has the colours of its
        legend, red in crowds, yellow in people without keypoints, magenta around people without masks (of several, the
        last).
    """
    tiles = []
    for channel in (FIRST, SECOND):
        tile = np.zeros_like(label_map)
        for person in range(int(label_map[..., channel].max(initial=0))):
            tile[label_map[..., channel] == person + 1] = person_colour(person)
        tiles.append(tile)
    ignored = np.zeros_like(label_map)
    for bit, colour in _IGNORED.items():
        ignored[label_map[..., IGNORE] & bit > 0] = colour
    return [*tiles, ignored]


def _draw_sides(image: Image, keypoints: NDArray[np.float32], skeleton: Skeleton) -> None:
    radius = max(2, round(max(image.shape[:2]) / 150))
    for name, (x, y, visibility) in zip(skeleton.keypoint_names, keypoints, strict=True):
        if visibility > 0:
            colour = LEFT if "left" in name else RIGHT if "right" in name else MIDDLE
            place = (round(float(x) * 16), round(float(y) * 16))
            cv2.circle(image, place, 16 * (radius + 1), (0, 0, 0), -1, cv2.LINE_AA, 4)
            cv2.circle(image, place, 16 * radius, colour, 1 if visibility == 1 else -1, cv2.LINE_AA, 4)


def sample_sheet(tiles: Sequence[Image], titles: Sequence[str], columns: int = 4, tile_px: int = 320) -> Image:
    """Samples in rows, each under its title, below a legend.

    Args:
        tiles: At least one picture; each is scaled so that its longer side is `tile_px`.
        titles: One a tile.
        columns: Tiles in a row.
        tile_px: Side of the square that each has.

    Returns:
        `(height, width, 3)` uint8, RGB.
    """
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    pitch_x, pitch_y = tile_px + _GAP_PX, tile_px + _HEADER_PX + _GAP_PX
    sheet: Image = np.full((_HEADER_PX + rows * pitch_y, columns * pitch_x + _GAP_PX, 3), 24, np.uint8)
    _legend(sheet)
    for n, (tile, title) in enumerate(zip(tiles, titles, strict=True)):
        factor = tile_px / max(tile.shape[:2])
        how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
        size = tuple(min(max(round(side * factor), 1), tile_px) for side in tile.shape[1::-1])
        small = cv2.resize(tile, size, interpolation=how)
        top, left = _HEADER_PX + n // columns * pitch_y, _GAP_PX + n % columns * pitch_x
        _text(sheet, title[: tile_px // 7], (left + 2, top + _HEADER_PX - 7))
        sheet[top + _HEADER_PX : top + _HEADER_PX + small.shape[0], left : left + small.shape[1]] = small
    return sheet


def _text(sheet: Image, text: str, place: tuple[int, int], colour: tuple[int, int, int] = MIDDLE) -> None:
    cv2.putText(sheet, text, place, cv2.FONT_HERSHEY_SIMPLEX, _TEXT, colour, 1, cv2.LINE_AA)


def _legend(sheet: Image) -> None:
    words = [("left", LEFT), ("right", RIGHT), ("hidden: hollow", MIDDLE), ("ignored:", MIDDLE)]
    x = _GAP_PX + 2
    for text, colour in [*words, *((_NAMES[bit], colour) for bit, colour in _IGNORED.items())]:
        _text(sheet, text, (x, _HEADER_PX - 7), colour)
        x += cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, _TEXT, 1)[0][0] + 14
