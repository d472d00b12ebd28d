"""Crowds whose fields are known, and the time that decoding them takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import cv2
import numpy as np
import torch

from personlab.errors import InputError
from personlab.evaluation.oracle import true_fields
from personlab.geometry.cells import valid_size
from personlab.structures import FIRST, MAX_PEOPLE, Batch, Fields

SIZE = (481, 641)
"""(height, width) of synthetic crowds, in pixels, where no other is asked for."""
MIN_SIZE = 65
"""Fewest pixels a crowd's image may be high or wide: people of a few pixels say nothing."""
STANDING = np.array(
    [
        (0, -0.80), (0.02, -0.83), (-0.02, -0.83), (0.05, -0.82), (-0.05, -0.82), (0.12, -0.65), (-0.12, -0.65),
        (0.18, -0.48), (-0.18, -0.48), (0.19, -0.32), (-0.19, -0.32), (0.08, -0.33), (-0.08, -0.33), (0.09, -0.12),
        (-0.09, -0.12), (0.09, 0.10), (-0.09, 0.10),
    ]
)  # fmt: skip
"""A standing person of height 1 around its middle, in the order of COCO's keypoints."""


def crowd(people: int, seed: int = 0, size: tuple[int, int] = SIZE) -> Batch:
    """One image with so many standing people, smaller the more there are, at random places.

    Args:
        people: How many, at least 1.
        seed: Other places.
        size: (height, width) of the image in pixels.

    Raises:
        InputError: If there are too few or too many people, or the image is too small to stand in.
    """
    height, width = size
    if not 1 <= people <= MAX_PEOPLE:
        raise InputError(f"a crowd of {people} people: give 1 to {MAX_PEOPLE}")
    if min(size) < MIN_SIZE:
        raise InputError(f"a crowd in {height}x{width} pixels: give at least {MIN_SIZE} of height and width")
    rng = np.random.default_rng(seed)
    height_px = 380 * min(height / SIZE[0], width / SIZE[1]) / people**0.35
    keypoints = np.full((people, 17, 3), 2.0, np.float32)
    labels = np.zeros((3, height, width), np.uint8)
    for p in range(people):
        middle = rng.uniform((0.1 * width, 0.8 * height_px), (0.9 * width, height - 0.12 * height_px))
        keypoints[p, :, :2] = middle + STANDING * height_px * rng.uniform(0.8, 1.0)
        hull = cv2.convexHull(keypoints[p, :, :2].astype(np.int32))
        cv2.fillPoly(labels[FIRST], [hull], p + 1)
    return Batch(
        images=torch.zeros(1, 3, height, width, dtype=torch.uint8),
        keypoints=torch.from_numpy(keypoints)[None],
        label_maps=torch.from_numpy(labels)[None],
        image_ids=torch.tensor([1]),
        image_sizes=torch.tensor([[height, width]]),
        image_to_crop=torch.eye(2, 3, dtype=torch.float64)[None],
        sample_valid=torch.tensor([True]),
    )


@dataclass(frozen=True)
class Scene:
    """Fields of one image to decode, as large as the image.

    Attributes:
        name: What it is called in tables.
        people: How many people there are.
        fields: Their fields.
    """

    name: str
    people: int
    fields: Fields

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        height, width = ((n - 1) * self.fields.stride + 1 for n in self.fields.heatmap_logits.shape[-2:])
        return height, width


def crowds(people: int, images: int, size: tuple[int, int]) -> Batch:
    """A batch of images with so many people each, at different places.

    Raises:
        InputError: If there are too many people or the images are too small, see `crowd`.
    """
    made = [crowd(people, seed, size) for seed in range(images)]
    return Batch(**{f.name: torch.cat([getattr(batch, f.name) for batch in made]) for f in fields(Batch)})


def crowd_scene(people: int, stride: int, seed: int = 0, size: tuple[int, int] = SIZE) -> Scene:
    """A crowd with the noise of a network: errors of 2, 4 and 6 px (short, mid, long), heatmaps that peak at .9.

    Args:
        people: How many, at least 1.
        stride: Output stride of the fields.
        seed: Other places and other noise.
        size: (height, width) of the image in pixels, both `n * stride + 1`.

    Raises:
        InputError: If the size does not fit the stride, or `crowd` cannot be made.
    """
    fitting = tuple(valid_size(n, stride) for n in size)
    if fitting != tuple(size):
        raise InputError(
            f"a crowd in {size[0]}x{size[1]} pixels: height and width must be n * {stride} + 1 at stride {stride}, "
            f"such as {fitting[0]}x{fitting[1]}"
        )
    true = true_fields(crowd(people, seed, size), stride)
    generator = torch.Generator().manual_seed(seed)

    def noisy(offsets: torch.Tensor, sigma_px: float) -> torch.Tensor:
        return offsets + sigma_px * torch.randn(offsets.shape, generator=generator)

    distance = true.short_offsets.norm(dim=2) / true.disk_radius_px
    heatmaps = torch.where(true.heatmap_logits > 0, 0.9 - 0.3 * distance, 1e-4)
    seen = replace(
        true,
        heatmap_logits=torch.logit(heatmaps),
        short_offsets=noisy(true.short_offsets, 2.0),
        mid_offsets=noisy(true.mid_offsets, 4.0),
        long_offsets=noisy(true.long_offsets, 6.0),
        segmentation_logits=true.segmentation_logits.clamp(-4.0, 4.0),
    )
    return Scene(f"crowd{people:02d}_s{stride:02d}", people, seen)


def times_ms(function: Callable[[], object], runs: int, device: str = "cpu") -> list[float]:
    """Time of each call, after one that does not count; a GPU is waited for before and after each."""

    def wait() -> None:
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize(device)

    function()
    times = []
    for _ in range(runs):
        wait()
        started = time.perf_counter()
        function()
        wait()
        times.append(1e3 * (time.perf_counter() - started))
    return times


def median_ms(function: Callable[[], object], runs: int, device: str = "cpu") -> float:
    """Median time of a call, after one that does not count."""
    return statistics.median(times_ms(function, runs, device))
