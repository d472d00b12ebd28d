"""Fields whose people are known: painted by the definition of the fields, or read from the golden scenes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from personlab.decoding.rules.layout import read_fields
from personlab.skeleton import COCO
from personlab.structures import Fields, People

IDENTITY = np.eye(2, 3)[None]
STANDING = np.array([
    (0, -48), (3, -52), (-3, -52), (6, -49), (-6, -49), (12, -34), (-12, -34), (18, -14), (-18, -14), (20, 6), (-20, 6),
    (8, 8), (-8, 8), (9, 34), (-9, 34), (10, 58), (-10, 58),
])  # fmt: skip
"""Keypoints of a person 110 px tall, around (0, 0)."""


def standing(*centres: tuple[float, float]) -> np.ndarray:
    """People (person, keypoint, 2) with their middle at each place."""
    return np.stack([STANDING + np.array(c) for c in centres]).astype(np.float64)


def paint(people: np.ndarray, height: int, width: int, stride: int = 8, radius_px: float = 32.0) -> Fields:
    """The true fields of people (person, keypoint, 2); of several the nearest is pointed at.

    A person's mask is the tight box of the keypoints; outside all boxes the segmentation is 0.
    """
    keypoints, directed = people.shape[1], COCO.directed_edges
    y, x = np.mgrid[:height, :width] * stride
    cells = np.stack([x, y]).astype(np.float64)
    offset = people[..., None, None] - cells  # person keypoint xy height width
    distance = np.linalg.norm(offset, axis=2)
    nearest = distance.argmin(axis=0)
    inside = distance.min(axis=0) <= radius_px
    short = np.take_along_axis(offset, nearest[None, :, None], axis=0)[0] * inside[:, None]
    mid = np.take_along_axis(offset[:, directed[:, 1]], nearest[directed[:, 0]][None, :, None], axis=0)[0]
    low, high = people.min(axis=1), people.max(axis=1)
    boxes = ((cells >= low[..., None, None]) & (cells <= high[..., None, None])).all(axis=1)
    owner = np.where(boxes, distance.mean(axis=1), np.inf).argmin(axis=0)
    long = np.take_along_axis(offset, np.broadcast_to(owner, (1, keypoints, 1, height, width)), axis=0)[0]

    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))[None]

    return Fields(
        heatmap_logits=torch.logit(tensor(inside)),
        short_offsets=tensor(short),
        mid_offsets=tensor(mid * inside[directed[:, 0], None]),
        segmentation_logits=torch.logit(tensor(boxes.any(axis=0)[None])),
        long_offsets=tensor(long * boxes.any(axis=0)),
        stride=stride,
        disk_radius_px=radius_px,
    )


def noisy(fields: Fields, seed: int = 0) -> Fields:
    """Fields as a network gives them: uncertain, with errors of a few pixels."""
    generator = torch.Generator().manual_seed(seed)

    def jitter(values: torch.Tensor, sigma: float) -> torch.Tensor:
        return values + sigma * torch.randn(values.shape, generator=generator)

    return Fields(
        heatmap_logits=jitter(fields.heatmap_logits.clamp(-3, 3), 0.5),
        short_offsets=jitter(fields.short_offsets, 2),
        mid_offsets=jitter(fields.mid_offsets, 4),
        segmentation_logits=jitter(fields.segmentation_logits.clamp(-3, 3), 0.5),
        long_offsets=jitter(fields.long_offsets, 6),
        stride=fields.stride,
        disk_radius_px=fields.disk_radius_px,
    )


def empty(height: int, width: int, stride: int = 8, heat: float = -torch.inf, offset: float = 0.0) -> Fields:
    """Constant fields."""
    return Fields(
        heatmap_logits=torch.full((1, 17, height, width), heat),
        short_offsets=torch.full((1, 17, 2, height, width), offset),
        mid_offsets=torch.full((1, 32, 2, height, width), offset),
        segmentation_logits=torch.full((1, 1, height, width), heat),
        long_offsets=torch.full((1, 17, 2, height, width), offset),
        stride=stride,
        disk_radius_px=32.0,
    )


def golden(shared: Path, name: str) -> tuple[Fields, dict[str, np.ndarray]]:
    """A golden scene: its fields, and the arrays of its file (`keypoints`, `instances` ...)."""
    path = shared / "golden" / "decoders" / f"{name}.npz"
    return read_fields(path), dict(np.load(path))


def errors_px(people: People, truth: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """Mean error over labelled keypoints of the person found nearest to each true one (person, keypoint, 2)."""
    distance = np.linalg.norm(people.keypoints[None, ..., :2] - truth[:, None], axis=-1)
    counted = labelled[:, None].astype(np.float64)
    return ((distance * counted).sum(-1) / counted.sum(-1)).min(axis=1)
