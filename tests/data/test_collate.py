"""Batches are padded to one valid size, right and below, and say what is padding."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from personlab.data.collate import collate
from personlab.data.warp import MEAN_COLOUR
from personlab.structures import Sample


def _sample(identity: int, height: int, width: int, people: int, valid: bool = True) -> Sample:
    generator = np.random.default_rng(identity)
    return Sample(
        image_id=identity,
        image=generator.integers(0, 256, (height, width, 3), dtype=np.uint8),
        keypoints=generator.uniform(1, 9, (people, 17, 3)).astype(np.float32),
        label_map=generator.integers(1, 256, (height, width, 3), dtype=np.uint8),
        image_size=(height + 1, width + 2),
        image_to_crop=generator.normal(size=(2, 3)),
        valid=valid,
    )


@pytest.mark.parametrize("multiple", [16, 32])
def test_every_value_is_where_it_belongs(multiple: int) -> None:
    samples = [_sample(7, 20, 33, 2), _sample(8, 34, 9, 0, valid=False), _sample(9, 5, 5, 3)]
    batch = collate(samples, multiple)
    assert batch.images.shape == (3, 3, {16: 49, 32: 65}[multiple], 33)
    assert batch.label_maps.shape == batch.images.shape
    assert batch.keypoints.shape == (3, 3, 17, 3)
    for i, sample in enumerate(samples):
        height, width = sample.image.shape[:2]
        for c in range(3):
            expected = np.full(batch.images.shape[2:], MEAN_COLOUR[c], np.uint8)
            expected[:height, :width] = sample.image[..., c]
            np.testing.assert_array_equal(batch.images[i, c].numpy(), expected)
            labels = np.zeros(batch.images.shape[2:], np.uint8)
            labels[:height, :width] = sample.label_map[..., c]
            np.testing.assert_array_equal(batch.label_maps[i, c].numpy(), labels)
        people = len(sample.keypoints)
        np.testing.assert_array_equal(batch.keypoints[i, :people].numpy(), sample.keypoints)
        assert not batch.keypoints[i, people:].any()
        np.testing.assert_array_equal(batch.image_to_crop[i].numpy(), sample.image_to_crop)
    assert batch.image_ids.tolist() == [7, 8, 9]
    assert batch.image_sizes.tolist() == [[21, 35], [35, 11], [6, 7]]
    assert batch.sample_valid.tolist() == [True, False, True]
    assert batch.images.dtype == batch.label_maps.dtype == torch.uint8
    assert batch.image_to_crop.dtype == torch.float64


def test_valid_sizes_are_not_padded_and_nobody_is_allowed() -> None:
    batch = collate([_sample(1, 33, 65, 0), _sample(2, 33, 65, 0)])
    assert batch.images.shape == (2, 3, 33, 65)
    assert batch.keypoints.shape == (2, 0, 17, 3)
