"""Each term against its literal loop, and what a masked loss must not do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from personlab.errors import InputError
from personlab.losses import Objective, logistic_loss, offset_loss
from personlab.structures import Fields, Targets
from tests.reference import losses as reference


@pytest.fixture
def draw() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def random_targets(draw: torch.Generator, k: int = 3, edges: int = 4, size: int = 5, dtype=torch.float32) -> Targets:
    def offsets(n: int) -> torch.Tensor:
        return 20 * torch.randn(2, n, 2, size, size, generator=draw, dtype=dtype)

    def valid(n: int) -> torch.Tensor:
        return torch.rand(2, n, size, size, generator=draw) > 0.4

    return Targets(
        heatmaps=(torch.rand(2, k, size, size, generator=draw) > 0.5).to(dtype),
        heatmap_valid=valid(k),
        short_offsets=offsets(k),
        short_valid=valid(k),
        mid_offsets=offsets(edges),
        mid_valid=valid(edges),
        segmentation=torch.rand(2, 1, size, size, generator=draw, dtype=dtype).round(),
        segmentation_valid=valid(1),
        long_offsets=offsets(k),
        long_valid=valid(k),
        stride=8,
        disk_radius_px=32.0,
    )


def random_fields(draw: torch.Generator, k: int = 3, edges: int = 4, size: int = 5, dtype=torch.float32) -> Fields:
    t = random_targets(draw, k, edges, size, dtype)
    return Fields(
        torch.randn(2, k, size, size, generator=draw, dtype=dtype),
        t.short_offsets,
        t.mid_offsets,
        torch.randn(2, 1, size, size, generator=draw, dtype=dtype),
        t.long_offsets,
        stride=8,
        disk_radius_px=32.0,
    )


def test_terms_equal_their_literal_loops(draw):
    fields, targets = random_fields(draw), random_targets(draw)
    got = logistic_loss(fields.heatmap_logits, targets.heatmaps, targets.heatmap_valid)
    want = reference.logistic_loss(
        fields.heatmap_logits.numpy(), targets.heatmaps.numpy(), targets.heatmap_valid.numpy()
    )
    assert float(got) == pytest.approx(want, rel=1e-5)
    got = offset_loss(fields.mid_offsets, targets.mid_offsets, targets.mid_valid, 32.0)
    want = reference.offset_loss(
        fields.mid_offsets.numpy(), targets.mid_offsets.numpy(), targets.mid_valid.numpy(), 32.0
    )
    assert float(got) == pytest.approx(want, rel=1e-5)


def test_a_perfect_prediction_costs_nothing(draw):
    targets = random_targets(draw)
    terms = Objective()([Fields.from_targets(targets)], [targets])
    assert set(terms) == {"heatmap", "segmentation", "short", "mid", "long", "total"}
    # Infinite logits cannot go through the loss; 40 is as certain as fp32 can tell.
    sure = Fields.from_targets(targets)
    sure.heatmap_logits = sure.heatmap_logits.clamp(-40, 40)
    sure.segmentation_logits = sure.segmentation_logits.clamp(-40, 40)
    for name, value in Objective()([sure], [targets]).items():
        assert float(value) == pytest.approx(0.0, abs=1e-6), name


def test_nothing_valid_costs_nothing_and_has_finite_gradients(draw):
    fields, targets = random_fields(draw), random_targets(draw)
    for name in ("heatmap_valid", "short_valid", "mid_valid", "segmentation_valid", "long_valid"):
        setattr(targets, name, torch.zeros_like(getattr(targets, name)))
    leaves = [fields.heatmap_logits, fields.short_offsets, fields.mid_offsets, fields.segmentation_logits]
    for leaf in leaves:
        leaf.requires_grad_()
    total = Objective()([fields], [targets])["total"]
    total.backward()
    assert float(total) == 0.0
    assert all(leaf.grad is not None and not leaf.grad.any() for leaf in leaves)


def test_what_stands_outside_the_valid_region_is_ignored(draw):
    fields, targets = random_fields(draw), random_targets(draw)
    before = Objective()([fields], [targets])
    fields.heatmap_logits[~targets.heatmap_valid] = float("nan")
    fields.segmentation_logits[~targets.segmentation_valid] = float("inf")
    targets.long_offsets.movedim(2, -1)[~targets.long_valid] = float("nan")
    fields.mid_offsets.movedim(2, -1)[~targets.mid_valid] = float("nan")
    fields.heatmap_logits.requires_grad_()
    after = Objective()([fields], [targets])
    after["total"].backward()
    assert {k: float(v) for k, v in before.items()} == {k: float(v) for k, v in after.items()}
    assert torch.isfinite(fields.heatmap_logits.grad).all()


def test_gradients_are_right(draw):
    targets = random_targets(draw, 2, 2, 3, torch.float64)
    fields = random_fields(draw, 2, 2, 3)
    # The terms compute in fp32 by contract, so the finite difference is as coarse as fp32 asks for.
    logits = fields.heatmap_logits.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda z: logistic_loss(z, targets.heatmaps.float(), targets.heatmap_valid), (logits,), eps=1e-2, atol=1e-3
    )
    offsets = fields.short_offsets.clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda d: offset_loss(d, targets.short_offsets.float(), targets.short_valid, 32.0),
        (offsets,),
        eps=1e-2,
        atol=1e-3,
    )


@pytest.mark.parametrize("name", ["heatmap", "segmentation", "short", "mid", "long"])
def test_every_weight_moves_the_total_by_its_term(draw, name):
    fields, targets = random_fields(draw), random_targets(draw)
    plain = Objective()
    terms = plain([fields], [targets])
    heavier = Objective(**{name: plain.weights[name] + 1.0})([fields], [targets])
    assert float(heavier["total"] - terms["total"]) == pytest.approx(float(terms[name]), rel=1e-3)


@pytest.mark.parametrize("name", ["heatmap", "segmentation", "short", "mid", "long", "mid_supervision"])
@pytest.mark.parametrize("weight", [-0.5, float("nan"), float("inf")])
def test_weights_that_would_spoil_the_total_are_refused(name, weight):
    with pytest.raises(InputError, match=f"objective: {name} must be 0 or more"):
        Objective(**{name: weight})
    assert Objective(**{name: 0.0})


def test_mid_network_heads_count_with_their_own_weight(draw):
    fields, targets = random_fields(draw), random_targets(draw)
    alone = Objective()([fields], [targets])
    both = Objective(mid_supervision=0.5)([fields, fields], [targets, targets])
    assert float(both["total"]) == pytest.approx(1.5 * float(alone["total"]), rel=1e-5)
    assert float(both["mid_supervision_short"]) == pytest.approx(float(both["short"]))


def test_low_precision_input_is_computed_in_fp32(draw):
    fields, targets = random_fields(draw), random_targets(draw)
    low = fields.to(torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = Objective()([low], [targets])
    assert all(value.dtype == torch.float32 for value in terms.values())
    assert float(terms["short"]) == pytest.approx(float(Objective()([fields], [targets])["short"]), rel=0.02)
    assert np.isfinite(float(terms["total"]))
