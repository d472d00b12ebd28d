"""Small random scenes with all that a label map can hold."""

from __future__ import annotations

import numpy as np
import torch

from personlab.structures import CROWD, OFFSETS_ONLY, UNANNOTATED, UNMASKED, Batch


def random_scene(
    rng: np.random.Generator, people: int, height: int, width: int, keypoints: int = 17
) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (person, keypoint, 3) at quarter pixels, for exact distances, and a label map (3, height, width)."""
    limit = np.array([width - 1, height - 1])
    xy = rng.integers(0, limit * 4 + 1, (people, keypoints, 2)) / 4
    visibility = rng.choice([0, 1, 2], (people, keypoints, 1), p=[0.3, 0.2, 0.5])
    visibility[rng.random(people) < 0.2] = 0  # a person with a mask only
    visibility[(rng.random((people, 1, 1)) < 0.2) & (visibility > 0)] = OFFSETS_ONLY  # an imputed person
    label_map = np.zeros((3, height, width), np.uint8)
    for j in range(people):
        rows, columns = _box(rng, height, width)
        if not visibility[j].any():
            label_map[2, rows, columns] |= UNANNOTATED
        if rng.random() < 0.2:  # a person without a mask
            label_map[2, rows, columns] |= UNMASKED
            continue
        first, second = label_map[0, rows, columns], label_map[1, rows, columns]
        second[(first > 0) & (second == 0)] = j + 1
        first[first == 0] = j + 1
    if rng.random() < 0.5:
        label_map[2][_box(rng, height, width)] |= CROWD
    return np.concatenate([xy, visibility], -1).astype(np.float32), label_map


def _box(rng: np.random.Generator, height: int, width: int) -> tuple[slice, slice]:
    top, left = rng.integers(0, height - 5), rng.integers(0, width - 5)
    return slice(top, top + rng.integers(5, height)), slice(left, left + rng.integers(5, width))


def to_batch(scenes: list[tuple[np.ndarray, np.ndarray]], valid: list[bool] | None = None) -> Batch:
    """A batch of scenes of one size; fewer people are filled up with rows of zeros."""
    most, size = max(len(keypoints) for keypoints, _ in scenes), len(scenes)
    rows = [np.pad(keypoints, ((0, most - len(keypoints)), (0, 0), (0, 0))) for keypoints, _ in scenes]
    label_maps = torch.from_numpy(np.stack([labels for _, labels in scenes]))
    height, width = label_maps.shape[-2:]
    return Batch(
        images=torch.zeros(size, 3, height, width, dtype=torch.uint8),
        keypoints=torch.from_numpy(np.stack(rows)),
        label_maps=label_maps,
        image_ids=torch.arange(size),
        image_sizes=torch.tensor([[height, width]] * size),
        image_to_crop=torch.eye(2, 3, dtype=torch.float64).repeat(size, 1, 1),
        sample_valid=torch.tensor(valid or [True] * size),
    )
