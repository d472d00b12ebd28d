from __future__ import annotations

import pytest
import torch

from personlab.network import Heads
from personlab.network.heads import HEATMAP_PRIOR, SEGMENTATION_PRIOR


def test_shapes_and_layout() -> None:
    heads = Heads(6, 3, 4, disk_radius_px=32.0)
    features = torch.randn(2, 6, 5, 4)
    fields = heads(features, 8)
    assert fields.heatmap_logits.shape == (2, 3, 5, 4)
    assert fields.short_offsets.shape == fields.long_offsets.shape == (2, 3, 2, 5, 4)
    assert fields.mid_offsets.shape == (2, 4, 2, 5, 4)
    assert fields.segmentation_logits.shape == (2, 1, 5, 4)
    assert (fields.stride, fields.disk_radius_px) == (8, 32.0)
    # Channel 2e is x and 2e + 1 is y of edge e.
    raw = heads.mid_offsets(features)
    for edge in range(4):
        for xy in range(2):
            torch.testing.assert_close(fields.mid_offsets[:, edge, xy], raw[:, 2 * edge + xy] * 32.0)


def test_the_radius_scales_offsets_only() -> None:
    torch.manual_seed(0)
    one, ten = Heads(4, 3, 4, disk_radius_px=1.0), Heads(4, 3, 4, disk_radius_px=10.0)
    ten.load_state_dict(one.state_dict())
    features = torch.randn(1, 4, 3, 3)
    a, b = one(features, 8), ten(features, 8)
    for name in ("short_offsets", "mid_offsets", "long_offsets"):
        torch.testing.assert_close(getattr(a, name) * 10, getattr(b, name))
    assert torch.equal(a.heatmap_logits, b.heatmap_logits)
    assert torch.equal(a.segmentation_logits, b.segmentation_logits)


def test_an_untrained_network_starts_at_the_priors() -> None:
    torch.manual_seed(0)
    fields = Heads(64, 17, 32, disk_radius_px=32.0)(torch.randn(2, 64, 9, 9), 8).detach()
    assert float(fields.heatmaps.mean()) == pytest.approx(HEATMAP_PRIOR, rel=0.1)
    assert float(fields.segmentation.mean()) == pytest.approx(SEGMENTATION_PRIOR, rel=0.1)
    assert float(fields.long_offsets.abs().mean()) < 5


def test_full_precision_under_autocast_and_in_double() -> None:
    heads = Heads(4, 3, 4, disk_radius_px=32.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fields = heads(torch.randn(1, 4, 3, 3), 8)
    assert fields.heatmap_logits.dtype == fields.mid_offsets.dtype == torch.float32
    assert heads.double()(torch.randn(1, 4, 3, 3, dtype=torch.float64), 8).short_offsets.dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_does_not_round_offsets_of_hundreds_of_pixels(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    heads = Heads(64, 17, 32, disk_radius_px=32.0)
    torch.nn.init.normal_(heads.long_offsets.weight)
    features = torch.randn(2, 64, 9, 9).to(dtype)
    exact = heads.double()(features.double(), 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fields = heads.float()(features, 8)
    assert exact.long_offsets.abs().max() > 500
    for name in ("heatmap_logits", "short_offsets", "mid_offsets", "segmentation_logits", "long_offsets"):
        # bfloat16 alone would round a place 500 px away by up to 2 px.
        assert (getattr(fields, name) - getattr(exact, name)).abs().max() < 0.01, name
