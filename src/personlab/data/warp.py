"""The one place where a sample is moved: one matrix for image, keypoints and label map."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from personlab.errors import InputError
from personlab.geometry import affine
from personlab.structures import Sample

MEAN_COLOUR = (124, 116, 104)
"""ImageNet's mean colour, RGB: what lies beside an image, in training and in prediction, for every network.

A network that normalises by ImageNet's mean sees nearly 0 there. One with another mean does not: the released
MobileNets, of mean 127.5, see -.03, -.09 and -.18. That costs nothing that can be measured: BodyPix 0.75 on 150 images
of COCO has a keypoint AP of .3826 with this colour, .3825 with (128, 128, 128) and .3819 with black."""

LARGEST_SIDE_PX = 16_384
"""Longer side that anything is resized to; a square image of it takes 800 MB before any network has seen it."""


def check_sides(sides: Iterable[int | None], name: str) -> None:
    """Refuse sides that nothing is resized to, before any work: the memory for one image would end it.

    Args:
        sides: In pixels; None is whatever an image has.
        name: What they are, for the error.

    Raises:
        InputError: If one is larger than `LARGEST_SIDE_PX`.
    """
    if largest := max((side for side in sides if side is not None and side > LARGEST_SIDE_PX), default=None):
        raise InputError(f"{name}: a side has {LARGEST_SIDE_PX} pixels at most, got {largest}; give a smaller one")


def warp(sample: Sample, matrix: affine.Affine, size: tuple[int, int]) -> Sample:
    """Move a sample by an affine matrix.

    Args:
        sample: What to move.
        matrix: `(2, 3)`, from the sample's present frame to the new one, pixel centres at integers.
        size: (height, width) of the new frame.

    Returns:
        A new sample. The image is read bilinearly (after averaging over blocks where it shrinks) and the label map
        from the nearest pixel; beside the image lies `MEAN_COLOUR` and label 0. Keypoints keep their fraction; those
        that leave the frame, by more than the half pixel around the outermost pixel centres, become unlabelled (all 0)
        and stay so. A mirroring matrix does not swap left and right keypoints: only the caller knows the skeleton.

    Source: PersonLab, section 3.1 (heatmaps). Departure: a keypoint that leaves the frame takes its whole disk along,
    so the part of the disk that still lies inside is background to the heatmap's loss: keypoints outside are not kept
    at all, so that none can come back by a second move.
    """
    height, width = size
    image, from_small = _shrink(sample.image, matrix)
    keypoints = sample.keypoints.copy()
    keypoints[..., :2] = affine.apply(matrix, sample.keypoints[..., :2])
    x, y = keypoints[..., 0], keypoints[..., 1]
    inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    keypoints[~inside | (sample.keypoints[..., 2] == 0)] = 0
    return replace(
        sample,
        image=_warp_array(image, from_small, size, cv2.INTER_LINEAR, MEAN_COLOUR),
        keypoints=keypoints,
        label_map=_warp_array(sample.label_map, matrix, size, cv2.INTER_NEAREST, (0, 0, 0)),
        image_to_crop=affine.compose(sample.image_to_crop, matrix),
    )


class Resize:
    """A view that resizes the whole image, corners on corners.

    Args:
        longer_side: Pixels of the longer side of the result.
        factor: Or how many times larger the result is.

    Raises:
        InputError: If not exactly one of both is given, it is not positive, or larger than `LARGEST_SIDE_PX`; of a
            factor, when an image would be enlarged to more.
    """

    def __init__(self, longer_side: int | None = None, factor: float | None = None) -> None:
        """Check that there is one size to resize to."""
        if (longer_side is None) == (factor is None):
            raise InputError("resizing needs a longer side or a factor, one of both")
        if (longer_side or factor or 0) <= 0:
            raise InputError(f"cannot resize to {longer_side or factor}: give a positive size or factor")
        check_sides([longer_side], "resizing")
        self.longer_side = longer_side
        self.factor = factor

    def __call__(self, sample: Sample, generator: np.random.Generator | None = None) -> Sample:
        """Resize a sample; nothing is random, the generator is that of any view."""
        height, width = sample.image.shape[:2]
        if self.longer_side is not None:
            matrix = affine.fit_longer_side(height, width, self.longer_side)
        else:
            matrix = affine.scaling(float(self.factor or 1))
        scale = matrix[0, 0]
        size = (round((height - 1) * scale) + 1, round((width - 1) * scale) + 1)
        if scale > 1:
            check_sides(size, f"resizing {width}x{height} pixels by {scale:g}")
        return warp(sample, matrix, size)


def _warp_array(
    array: NDArray[np.uint8], matrix: affine.Affine, size: tuple[int, int], how: int, border: tuple[int, int, int]
) -> NDArray[np.uint8]:
    moved = cv2.warpAffine(array, matrix, size[::-1], flags=how, borderMode=cv2.BORDER_CONSTANT, borderValue=border)
    return moved.astype(np.uint8, copy=False)


def _shrink(image: NDArray[np.uint8], matrix: affine.Affine) -> tuple[NDArray[np.uint8], affine.Affine]:
    """Average over blocks before a matrix that shrinks, since bilinear reading alone would skip pixels (aliasing).

    Returns:
        The smaller image, and the matrix that takes it to where `matrix` takes the whole one.
    """
    block = round(1.0 / max(float(np.sqrt(abs(np.linalg.det(matrix[:, :2])))), 1e-6))
    block = min(block, *image.shape[:2])
    if block < 2:
        return image, matrix
    # Whole blocks: the last ones repeat the outermost pixels, so that every block is the plain mean of its pixels.
    below, right = (-side % block for side in image.shape[:2])
    if below or right:
        image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE).astype(np.uint8, copy=False)
    small = cv2.resize(image, (image.shape[1] // block, image.shape[0] // block), interpolation=cv2.INTER_AREA)
    # The centre of block i is at pixel block * i + (block - 1) / 2.
    to_image = affine.compose(affine.scaling(block), affine.translation((block - 1) / 2, (block - 1) / 2))
    return small.astype(np.uint8, copy=False), affine.compose(to_image, matrix)
