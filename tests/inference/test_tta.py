"""Test-time augmentation: mirrored and resized fields in the frame of the first view."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from personlab.encoding import Encoder
from personlab.errors import InputError
from personlab.evaluation.scenes import crowd
from personlab.inference.tta import flip_fields, merge_fields
from personlab.skeleton import COCO
from personlab.structures import Batch, Fields

NAMES = ("heatmaps", "short_offsets", "mid_offsets", "segmentation", "long_offsets")


def _fields(batch: Batch, stride: int = 8, disk_radius_px: float = 32.0) -> Fields:
    fields = Fields.from_targets(Encoder(COCO, disk_radius_px, complete_tree=True)(batch, stride))
    return replace(
        fields,
        heatmap_logits=fields.heatmap_logits.clamp(-9, 9),
        segmentation_logits=fields.segmentation_logits.clamp(-9, 9),
    )


def _mirrored(batch: Batch) -> Batch:
    width = batch.images.shape[-1]
    keypoints = batch.keypoints[:, :, COCO.flip_permutation].clone()
    keypoints[..., 0] = width - 1 - keypoints[..., 0]
    return replace(batch, images=batch.images.flip(-1), keypoints=keypoints, label_maps=batch.label_maps.flip(-1))


def test_fields_of_the_mirrored_people_are_those_of_the_people() -> None:
    batch = crowd(4)
    straight, back = _fields(batch), flip_fields(_fields(_mirrored(batch)), COCO)
    for name in NAMES:
        torch.testing.assert_close(getattr(back, name), getattr(straight, name), atol=1e-3, rtol=0)


def test_flipping_twice_changes_nothing() -> None:
    fields = _fields(crowd(3))
    twice = flip_fields(flip_fields(fields, COCO), COCO)
    for name in NAMES:
        assert torch.equal(getattr(twice, name), getattr(fields, name))


def _noise(rows: int, columns: int, seed: int = 0) -> Fields:
    generator = torch.Generator().manual_seed(seed)

    def maps(*shape: int) -> torch.Tensor:
        return torch.randn(1, *shape, rows, columns, generator=generator)

    return Fields(maps(17), maps(17, 2), maps(32, 2), maps(1), maps(17, 2), stride=8, disk_radius_px=32.0)


def test_one_view_is_itself_and_two_of_one_size_are_their_mean() -> None:
    first, second = _noise(5, 6), _noise(5, 6, seed=1)
    assert merge_fields([first], [1.0]) is first
    merged = merge_fields([first, second], [1.0, 1.0])
    for name in NAMES:
        mean = (getattr(first, name) + getattr(second, name)) / 2
        torch.testing.assert_close(getattr(merged, name), mean, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_offsets_of_another_size_count_in_pixels_of_the_first(scale: float) -> None:
    """Linear fields survive interpolation: the same vectors, seen larger or smaller, average to themselves."""
    rows = torch.arange(9.0)[:, None].expand(9, 9)
    columns = rows.T

    def linear(cells: float) -> Fields:
        size = int(8 * cells) + 1
        y, x = (torch.linspace(0, 8, size)[:, None].expand(size, size), torch.linspace(0, 8, size).expand(size, size))
        vector = torch.stack([3 * x - y, x + 2]) * cells
        return Fields(
            heatmap_logits=torch.logit(0.1 + 0.05 * x + 0.02 * y).expand(1, 17, -1, -1),
            short_offsets=vector.expand(1, 17, -1, -1, -1),
            mid_offsets=vector.expand(1, 32, -1, -1, -1),
            segmentation_logits=torch.logit(0.9 - 0.04 * x).expand(1, 1, -1, -1),
            long_offsets=vector.expand(1, 17, -1, -1, -1),
            stride=8,
            disk_radius_px=32.0,
        )

    first = linear(1.0)
    merged = merge_fields([first, linear(scale)], [1.0, scale])
    for name in NAMES:
        torch.testing.assert_close(getattr(merged, name), getattr(first, name), atol=1e-4, rtol=1e-4)
    assert merged.short_offsets[0, 0, :, 2, 3].tolist() == pytest.approx(
        [3 * columns[2, 3].item() - rows[2, 3].item(), columns[2, 3].item() + 2], abs=1e-4
    )


def test_certain_maps_stay_finite() -> None:
    certain = replace(_noise(3, 3), heatmap_logits=torch.full((1, 17, 3, 3), torch.inf))
    merged = merge_fields([certain, certain], [1.0, 1.0])
    assert torch.isfinite(merged.heatmap_logits).all()
    assert np.all(merged.heatmaps.numpy() > 0.999)


@pytest.mark.parametrize("scales", [[], [1.0, 2.0], [2.0], [0.0]])
def test_scales_must_fit_the_views(scales: list[float]) -> None:
    with pytest.raises(InputError, match="scale"):
        merge_fields([_noise(2, 2)], scales)
