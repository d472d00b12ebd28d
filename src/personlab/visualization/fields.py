"""Fields drawn as pictures of the size of the network input."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from personlab.skeleton import COCO, Skeleton
from personlab.structures import Fields

Image = NDArray[np.uint8]


def upscale(values: NDArray[np.floating], stride: float, shape: tuple[int, int] | None = None) -> NDArray[np.float32]:
    """A map `(rows, columns, ...)` of cells at pixels, corners on corners, bilinear.

    Args:
        values: Cell n stands at pixel `n * stride`.
        stride: Pixels between cells.
        shape: (height, width) of the result; None for that of the cells, `n * stride + 1`. Beyond the last cell, its
            value goes on.
    """
    rows, columns = values.shape[:2]
    # Corner-aligned: pixel x reads cell x / stride, which is an affine warp, unlike cv2.resize's half-pixel rule.
    matrix = np.array([[1 / stride, 0, 0], [0, 1 / stride, 0]], dtype=np.float64)
    height, width = shape or (round((rows - 1) * stride) + 1, round((columns - 1) * stride) + 1)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    large = cv2.warpAffine(
        values.astype(np.float32), matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(large, dtype=np.float32)


def tint(image: Image, strength: NDArray[np.floating], colour: NDArray[np.floating] | tuple[int, int, int]) -> Image:
    """Mix a colour (one, or one a pixel) into a darkened image by strength 0..1 `(height, width)`."""
    alpha = np.clip(strength, 0, 1)[..., None]
    mixed = 0.4 * image * (1 - alpha) + alpha * np.asarray(colour, dtype=np.float32)
    return np.clip(mixed, 0, 255).astype(np.uint8)


def direction_colour(offsets: NDArray[np.floating], unit_px: float) -> NDArray[np.uint8]:
    """Offsets `(height, width, 2)` as colours: hue is the direction, brightness the length in units of `unit_px`."""
    angle = np.arctan2(offsets[..., 1], offsets[..., 0])
    length = np.hypot(offsets[..., 0], offsets[..., 1])
    hsv = np.stack(
        [(angle + np.pi) / (2 * np.pi) * 179, np.full_like(angle, 255), 80 + 175 * np.clip(length / unit_px, 0, 1)], -1
    )
    return np.asarray(cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB))


def direction_wheel(side_px: int = 129) -> Image:
    """The legend of `direction_colour`: a disk whose colour at each place is that of the offset from its centre.

    Args:
        side_px: Height and width; the radius of the disk, where offsets have their full length, is half of it.

    Returns:
        `(side_px, side_px, 3)` uint8, RGB, black outside the disk.
    """
    radius = (side_px - 1) / 2
    places = np.arange(side_px) - radius
    offsets = np.stack(np.meshgrid(places, places), axis=-1)
    wheel = direction_colour(offsets, max(radius, 1.0))
    wheel[np.hypot(offsets[..., 0], offsets[..., 1]) > radius] = 0
    return wheel


def kind_colours(kinds: NDArray[np.integer], num_keypoints: int) -> NDArray[np.uint8]:
    """The colour `(..., 3)`, RGB, of each keypoint type: hues spread over all types."""
    hues = (np.asarray(kinds) * (179 / num_keypoints)).astype(np.uint8).reshape(1, -1)
    hsv = np.stack([hues, np.full_like(hues, 230), np.full_like(hues, 255)], -1)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), dtype=np.uint8).reshape(*np.shape(kinds), 3)


def draw_valid(image: Image, valid: Bool[np.ndarray, "height width"], stride: int) -> Image:
    """Light where a target counts, and the rest of the image in the dark.

    Args:
        image: `(height, width, 3)` uint8, RGB: the network input.
        valid: One of the `*_valid` maps of `Targets`; cell n stands at pixel `n * stride`.
        stride: Output stride of the map.

    Returns:
        A new image; each pixel goes with the cell nearest to it.
    """
    rows, columns = (
        np.minimum((np.arange(pixels) + stride // 2) // stride, cells - 1)
        for pixels, cells in zip(image.shape[:2], valid.shape, strict=True)
    )
    lit = valid[np.ix_(rows, columns)][..., None]
    return np.where(lit, image, image // 4).astype(np.uint8)


def draw_arrows(
    image: Image,
    offsets: Float[np.ndarray, "2 height width"],
    valid: Bool[np.ndarray, "height width"],
    stride: int,
    unit_px: float,
    every_px: int = 16,
) -> Image:
    """Offsets as arrows from cells to the places that they point to, in their direction colours.

    Args:
        image: `(height, width, 3)` uint8, RGB: the network input; it is darkened.
        offsets: In pixels; those of one keypoint or edge.
        valid: Cells that may have an arrow.
        stride: Output stride of both maps.
        unit_px: Length at which a colour is brightest.
        every_px: About so far apart are the cells that have arrows.

    Returns:
        A new image.
    """
    drawn = (image * 0.5).astype(np.uint8)
    offsets = np.nan_to_num(offsets)
    colours = direction_colour(offsets.transpose(1, 2, 0), unit_px)
    step = max(1, round(every_px / stride))
    for i, j in np.argwhere(valid):
        if i % step or j % step:
            continue
        place = np.array([j * stride, i * stride])
        target = np.clip(place + offsets[:, i, j], -1e4, 1e4)
        ink = (int(colours[i, j, 0]), int(colours[i, j, 1]), int(colours[i, j, 2]))
        start, end = (int(place[0]), int(place[1])), (round(float(target[0])), round(float(target[1])))
        cv2.arrowedLine(drawn, start, end, ink, 1, cv2.LINE_AA, tipLength=0.2)
    return drawn


def draw_heatmaps(image: Image, fields: Fields) -> Image:
    """All keypoint types over the image: brightness is the largest probability, hue the type that has it."""
    probability = fields.heatmaps[0].float().numpy()
    kinds, strength = probability.argmax(0), probability.max(0)
    colour = kind_colours(kinds, len(probability))
    stride = fields.stride
    return tint(image, upscale(strength, stride), upscale(colour.astype(np.float32), stride))


def draw_short_offsets(image: Image, fields: Fields) -> Image:
    """Short offsets of the likeliest type at each cell, as direction colours; full length is the disk radius."""
    probability = fields.heatmaps[0].float().numpy()
    kinds = probability.argmax(0)
    offsets = np.take_along_axis(fields.short_offsets[0].float().numpy(), kinds[None, None], axis=0)[0]
    colour = direction_colour(offsets.transpose(1, 2, 0), fields.disk_radius_px)
    strength = upscale(probability.max(0), fields.stride)
    return tint(image, strength, upscale(colour.astype(np.float32), fields.stride))


def draw_long_offsets(image: Image, fields: Fields, keypoint: int = 0) -> Image:
    """Long offsets to one keypoint inside the predicted people, as direction colours."""
    offsets = fields.long_offsets[0, keypoint].float().numpy().transpose(1, 2, 0)
    colour = direction_colour(offsets, 4 * fields.disk_radius_px)
    strength = upscale(fields.segmentation[0, 0].float().numpy(), fields.stride)
    return tint(image, strength, upscale(colour.astype(np.float32), fields.stride))


def draw_mid_offsets(image: Image, fields: Fields, skeleton: Skeleton = COCO, threshold: float = 0.5) -> Image:
    """Mid offsets as lines from confident cells to where the edges of their likeliest keypoint type point."""
    drawn: Image = (image * 0.5).astype(np.uint8)
    probability = fields.heatmaps[0].float().numpy()
    offsets = fields.mid_offsets[0].float().numpy()
    kinds, confident = probability.argmax(0), probability.max(0) > threshold
    step = max(1, round(16 / fields.stride))
    for i, j in zip(*np.nonzero(confident), strict=True):
        if i % step or j % step:
            continue
        start = (int(j * fields.stride), int(i * fields.stride))
        for edge in np.flatnonzero(skeleton.directed_edges[:, 0] == kinds[i, j]):
            target = np.clip(np.array(start) + np.nan_to_num(offsets[edge, :, i, j]), -1e4, 1e4)
            colour = direction_colour(offsets[edge, :, i, j][None, None], fields.disk_radius_px)[0, 0]
            ink = (int(colour[0]), int(colour[1]), int(colour[2]))
            cv2.line(drawn, start, (int(target[0]), int(target[1])), ink, 1, cv2.LINE_AA)
    return drawn
