"""Batches, targets and fields as wholes: cut, moved, and made perfect."""

from __future__ import annotations

from dataclasses import fields as dataclass_fields

import numpy as np
import pytest
import torch

from personlab.geometry import affine
from personlab.structures import Fields, People, Sample, Targets
from tests.encoding.scenes import random_scene, to_batch


def make_targets() -> Targets:
    draw = torch.Generator().manual_seed(0)

    def maps(*channels: int) -> torch.Tensor:
        return torch.rand(3, *channels, 2, 5, generator=draw)

    return Targets(
        heatmaps=(maps(17) > 0.5).float(),
        heatmap_valid=maps(17) > 0.5,
        short_offsets=maps(17, 2),
        short_valid=maps(17) > 0.5,
        mid_offsets=maps(32, 2),
        mid_valid=maps(32) > 0.5,
        segmentation=maps(1),
        segmentation_valid=maps(1) > 0.5,
        long_offsets=maps(17, 2),
        long_valid=maps(17) > 0.5,
        stride=8,
        disk_radius_px=12.0,
    )


@pytest.mark.parametrize(("index", "kept"), [(0, [0]), (2, [2]), (-1, [2]), (slice(1, None), [1, 2]), (slice(0), [])])
def test_a_cut_keeps_the_batch_axis_and_what_is_no_tensor(index: int | slice, kept: list[int]) -> None:
    targets = make_targets()
    cut = targets[index]
    assert (cut.stride, cut.disk_radius_px) == (8, 12.0)
    for field in dataclass_fields(Targets)[:-2]:
        assert torch.equal(getattr(cut, field.name), getattr(targets, field.name)[kept])


def test_to_moves_every_tensor_and_leaves_the_original() -> None:
    targets = make_targets()
    fields = Fields.from_targets(targets)
    double = fields.to(torch.float64)
    assert double.short_offsets.dtype == double.heatmap_logits.dtype == torch.float64
    assert (double.stride, double.disk_radius_px) == (8, 12.0)
    assert fields.short_offsets.dtype == torch.float32
    fields.long_offsets.requires_grad_()
    assert not fields.detach().long_offsets.requires_grad


def test_fields_of_targets_are_certain_and_say_what_the_targets_say() -> None:
    targets = make_targets()
    fields = Fields.from_targets(targets)
    assert torch.equal(fields.heatmaps, targets.heatmaps)
    assert torch.isinf(fields.heatmap_logits).all()
    torch.testing.assert_close(fields.segmentation, targets.segmentation)
    for name in ("short_offsets", "mid_offsets", "long_offsets"):
        assert getattr(fields, name) is getattr(targets, name)
    assert (fields.stride, fields.disk_radius_px) == (8, 12.0)


def test_lengths() -> None:
    scene = random_scene(np.random.default_rng(0), 2, 33, 41)
    batch = to_batch([scene] * 3)
    assert (len(batch), len(batch[1]), len(batch[:0])) == (3, 1, 0)
    assert batch[1].images.shape == (1, 3, 33, 41)
    assert len(People(np.zeros((4, 17, 3), np.float32), np.zeros(4, np.float32))) == 4


def test_an_image_alone_has_nobody_in_it() -> None:
    image = np.full((4, 6, 3), 9, np.uint8)
    sample = Sample.of_image(image, num_keypoints=5)
    assert sample.image is image
    assert sample.keypoints.shape == (0, 5, 3)
    assert (sample.label_map.shape, sample.label_map.max()) == ((4, 6, 3), 0)
    assert (sample.image_size, sample.valid) == ((4, 6), True)
    np.testing.assert_array_equal(affine.apply(sample.image_to_crop, np.array([[3.0, 2.0]])), [[3.0, 2.0]])
