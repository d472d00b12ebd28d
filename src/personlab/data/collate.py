"""Samples side by side in one batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from personlab.data.warp import MEAN_COLOUR
from personlab.geometry.cells import valid_size
from personlab.structures import Batch, Sample


def collate(samples: Sequence[Sample], multiple: int = 32) -> Batch:
    """Put samples into a batch.

    Args:
        samples: At least one; sizes and numbers of people may differ.
        multiple: The batch has the smallest height and width of the form `n * multiple + 1` that hold every sample, so
            every output stride that divides `multiple` has its last cell on the last pixel.

    Returns:
        The batch, padded to the right and below with `MEAN_COLOUR` and label 0, and with people of zeros.
    """
    height = valid_size(max(s.image.shape[0] for s in samples), multiple)
    width = valid_size(max(s.image.shape[1] for s in samples), multiple)
    people = max(len(s.keypoints) for s in samples)
    images = np.empty((len(samples), 3, height, width), np.uint8)
    images[:] = np.array(MEAN_COLOUR, np.uint8)[:, None, None]
    label_maps = np.zeros((len(samples), 3, height, width), np.uint8)
    keypoints = np.zeros((len(samples), people, *samples[0].keypoints.shape[1:]), np.float32)
    for i, sample in enumerate(samples):
        h, w = sample.image.shape[:2]
        images[i, :, :h, :w] = sample.image.transpose(2, 0, 1)
        label_maps[i, :, :h, :w] = sample.label_map.transpose(2, 0, 1)
        keypoints[i, : len(sample.keypoints)] = sample.keypoints
    return Batch(
        images=torch.from_numpy(images),
        keypoints=torch.from_numpy(keypoints),
        label_maps=torch.from_numpy(label_maps),
        image_ids=torch.tensor([s.image_id for s in samples], dtype=torch.int64),
        image_sizes=torch.tensor([s.image_size for s in samples], dtype=torch.int64),
        image_to_crop=torch.from_numpy(np.stack([s.image_to_crop for s in samples])),
        sample_valid=torch.tensor([s.valid for s in samples], dtype=torch.bool),
    )
