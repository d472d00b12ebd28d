"""One picture an evaluation: a few images, each with what the network saw and what the decoder made of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from personlab.errors import InputError
from personlab.files import write_atomically
from personlab.geometry import affine
from personlab.skeleton import COCO, Skeleton
from personlab.structures import Batch, Fields, People
from personlab.visualization.fields import (
    draw_heatmaps,
    draw_long_offsets,
    draw_mid_offsets,
    draw_short_offsets,
    tint,
    upscale,
)
from personlab.visualization.people import draw_people, draw_skeleton, label, person_colour

Image = NDArray[np.uint8]
COLUMNS = ("truth", "heatmaps", "short offsets", "mid offsets", "segmentation", "long offsets (nose)", "decoded people")


def sheet_row(
    batch: Batch, fields: Fields, people: People, skeleton: Skeleton = COCO, tile_px: int = 256
) -> list[Image]:
    """The tiles of one image, in the order of `COLUMNS`.

    Args:
        batch: The image, with a batch axis of length 1, on the CPU.
        fields: What the network made of it, with a batch axis of length 1, on the CPU.
        people: What the decoder made of that, in `image_xy`.
        skeleton: Whose tree to draw.
        tile_px: Longer side of a tile.

    Returns:
        Tiles of one size, uint8 RGB.
    """
    image = np.ascontiguousarray(batch.images[0].permute(1, 2, 0).numpy())
    truth = image.copy()
    label_map = batch.label_maps[0].numpy()
    for p, keypoints in enumerate(batch.keypoints[0].numpy()):
        inside = (label_map[:2] == p + 1).any(0)
        truth[inside] = (0.6 * truth[inside] + 0.4 * np.array(person_colour(p))).astype(np.uint8)
        draw_skeleton(truth, keypoints, person_colour(p), skeleton)
    truth[label_map[2] > 0] //= 3
    segmentation = tint(image, upscale(fields.segmentation[0, 0].float().numpy(), fields.stride), (255, 255, 255))
    tiles = [
        truth,
        draw_heatmaps(image, fields),
        draw_short_offsets(image, fields),
        draw_mid_offsets(image, fields, skeleton),
        segmentation,
        draw_long_offsets(image, fields),
        _people_in_crop(image, batch, people, skeleton),
    ]
    factor = tile_px / max(image.shape[:2])
    return [np.asarray(cv2.resize(t, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)) for t in tiles]


def _people_in_crop(image: Image, batch: Batch, people: People, skeleton: Skeleton) -> Image:
    """Decoded people in the frame of the network input: drawn at file size first, where their masks live."""
    matrix = batch.image_to_crop[0].numpy()
    height, width = (int(n) for n in batch.image_sizes[0])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    at_file_size = cv2.warpAffine(image, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    # Networks that have just begun to learn give nobody a high score.
    drawn = draw_people(np.asarray(at_file_size, dtype=np.uint8), people, skeleton, score_threshold=0.05)
    back = cv2.warpAffine(drawn, affine.invert(matrix), (image.shape[1], image.shape[0]), flags=flags)
    return np.asarray(back, dtype=np.uint8)


def contact_sheet(rows: Sequence[Sequence[Image]], titles: Sequence[str] = COLUMNS) -> Image:
    """Rows of tiles under their titles, as one picture.

    Args:
        rows: Tiles; those of one row have one size, rows may differ.
        titles: One a column.

    Returns:
        `(height, width, 3)` uint8, RGB.
    """
    gap, header = 4, 22
    width = max(sum(t.shape[1] + gap for t in row) for row in rows) + gap
    height = header + sum(row[0].shape[0] + gap for row in rows)
    sheet: Image = np.full((height, width, 3), 24, dtype=np.uint8)
    top = header
    for r, row in enumerate(rows):
        left = gap
        for title, tile in zip(titles, row, strict=True):
            if r == 0:
                label(sheet, title, (left + 2, header - 7))
            sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
            left += tile.shape[1] + gap
        top += row[0].shape[0] + gap
    return sheet


def write_image(path: Path, image: Image) -> None:
    """Write an RGB image as PNG or JPEG, by the extension of `path`; the file appears whole or not at all.

    Raises:
        InputError: If the extension is of no kind of picture, or the file cannot be written.
    """
    if not path.suffix or not cv2.haveImageWriter(f"a{path.suffix}"):
        raise InputError(f"{path}: a picture is named by its kind, give {path.stem}.png or .jpg")
    try:
        encoded, content = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    except cv2.error as error:
        raise InputError(f"{path}: cannot write the picture: {error}") from error
    if not encoded:
        raise InputError(f"{path}: cannot write the picture: {image.shape[1]}x{image.shape[0]} pixels are too many")
    write_atomically(path, content.tobytes(), lasting=False)
