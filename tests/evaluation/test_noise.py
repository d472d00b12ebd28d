"""Noise on true fields: of the size asked for, on the field named, alike over the distance asked for."""

from __future__ import annotations

import pytest
import torch

from personlab.evaluation.noise import add_noise
from personlab.structures import Fields

NAMES = ("heatmaps", "short_offsets", "mid_offsets", "segmentation", "long_offsets")
ATTRIBUTES = {"heatmaps": "heatmap_logits", "segmentation": "segmentation_logits"}


@pytest.fixture
def fields() -> Fields:
    shape = (41, 41)
    infinite = torch.where(torch.arange(41) % 2 == 0, torch.inf, -torch.inf).expand(1, 17, *shape)
    return Fields(
        heatmap_logits=infinite,
        short_offsets=torch.zeros(1, 17, 2, *shape),
        mid_offsets=torch.zeros(1, 32, 2, *shape),
        segmentation_logits=infinite[:, :1],
        long_offsets=torch.zeros(1, 17, 2, *shape),
        stride=8,
        disk_radius_px=32.0,
    )


def _noise(fields: Fields, name: str, size: float, correlation_px: float = 1.0) -> torch.Tensor:
    attribute = ATTRIBUTES.get(name, name)
    noisy = add_noise(fields, name, size, correlation_px, torch.Generator().manual_seed(0))
    for other in (ATTRIBUTES.get(n, n) for n in NAMES):
        assert (getattr(noisy, other) is getattr(fields, other)) == (other != attribute)
    return getattr(noisy, attribute) - getattr(fields, attribute).clamp(-4, 4)


@pytest.mark.parametrize("name", NAMES)
def test_only_the_named_field_gets_noise_of_the_size(fields, name) -> None:
    noise = _noise(fields, name, 3.0)
    assert noise.std().item() == pytest.approx(3.0, rel=0.05)
    assert abs(noise.mean().item()) < 0.2
    assert (_noise(fields, name, 0.0) == 0).all()


def test_the_size_is_the_same_at_and_between_knots(fields) -> None:
    noise = _noise(fields, "mid_offsets", 3.0, correlation_px=32.0)[0].flatten(0, 1)
    for rows in (noise[:, ::4, ::4], noise[:, 2::4, 2::4], noise[:, 1::4, 3::4]):
        assert rows.std().item() == pytest.approx(3.0, rel=0.06)


def test_near_cells_err_alike_and_far_ones_do_not(fields) -> None:
    def likeness(noise: torch.Tensor, cells: int) -> float:
        near, far = noise[..., :-cells].flatten(), noise[..., cells:].flatten()
        return torch.corrcoef(torch.stack([near, far]))[0, 1].item()

    smooth = _noise(fields, "long_offsets", 1.0, correlation_px=32.0)
    assert likeness(smooth, 1) > 0.8
    assert abs(likeness(smooth, 8)) < 0.1
    assert abs(likeness(_noise(fields, "long_offsets", 1.0, correlation_px=8.0), 1)) < 0.1


def test_errors_alike_over_the_whole_map_take_no_memory(fields) -> None:
    noise = _noise(fields, "short_offsets", 3.0, correlation_px=1e9)
    assert noise.isfinite().all()
    assert noise.std().item() == pytest.approx(3.0, rel=0.3)
