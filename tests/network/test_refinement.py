from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from personlab.geometry.cells import cell_centres
from personlab.network import refine, refine_long_offsets, refine_mid_offsets
from personlab.skeleton import COCO, Skeleton
from personlab.structures import Fields
from tests.reference.refinement import refine_long, refine_mid

CHAIN = Skeleton("chain", ("a", "b", "c"), ((0, 1), (1, 2)), (0.1, 0.1, 0.1))
TARGETS = torch.from_numpy(CHAIN.directed_edges[:, 1].copy())


@settings(deadline=None, max_examples=15)
@given(
    seed=st.integers(0, 10_000),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    stride=st.sampled_from([4, 8, 16]),
    steps=st.integers(0, 3),
    short_steps=st.integers(0, 3),
)
def test_equals_literal_loops(seed: int, height: int, width: int, stride: int, steps: int, short_steps: int) -> None:
    rng = np.random.default_rng(seed)
    # Offsets long enough that some places fall outside the map.
    short, long = rng.normal(0, 10, (2, 2, 3, 2, height, width))
    mid = rng.normal(0, 25, (2, 4, 2, height, width))
    edges = [(int(a), int(b)) for a, b in CHAIN.directed_edges]
    got_mid = refine_mid_offsets(torch.from_numpy(mid), torch.from_numpy(short), TARGETS, stride, steps)
    got_long = refine_long_offsets(torch.from_numpy(long), torch.from_numpy(short), stride, steps, short_steps)
    for image in range(2):
        np.testing.assert_allclose(
            got_mid[image], refine_mid(mid[image], short[image], edges, stride, steps), atol=1e-6
        )
        expected = refine_long(long[image], short[image], stride, steps, short_steps)
        np.testing.assert_allclose(got_long[image], expected, atol=1e-6)


def test_mid_offsets_use_the_target_s_short_offsets() -> None:
    short = torch.zeros(1, 3, 2, 4, 4)
    short[:, 1] = torch.tensor([5.0, 7.0])[:, None, None]
    mid = torch.zeros(1, 4, 2, 4, 4)
    moved = refine_mid_offsets(mid, short, TARGETS, 8, 1)
    # Directed edges: a->b, b->c, b->a, c->b.
    assert moved[0, :, 0, 0, 0].tolist() == [5.0, 0.0, 0.0, 5.0]
    assert moved[0, :, 1, 0, 0].tolist() == [7.0, 0.0, 0.0, 7.0]


def pointing_at(place_xy: tuple[float, float], size: int, stride: int) -> torch.Tensor:
    """`(2, size, size)`: the offset from every cell to one place."""
    return torch.tensor(place_xy)[:, None, None] - cell_centres(size, size, stride)


def test_perfect_fields_stay_and_errors_shrink() -> None:
    size, stride = 17, 8
    places = [(30.0, 41.0), (70.5, 60.0), (100.0, 90.25)]
    short = torch.stack([pointing_at(p, size, stride) for p in places])[None]
    true_mid = torch.stack([pointing_at(places[int(b)], size, stride) for _, b in CHAIN.directed_edges])[None]
    torch.testing.assert_close(refine_mid_offsets(true_mid, short, TARGETS, stride, 3), true_mid, atol=1e-3, rtol=0)
    torch.testing.assert_close(refine_long_offsets(short, short, stride, 2, 2), short, atol=1e-3, rtol=0)

    error = torch.randn(true_mid.shape, generator=torch.Generator().manual_seed(0)) * 5
    fixed = refine_mid_offsets(true_mid + error, short, TARGETS, stride, 1)
    torch.testing.assert_close(fixed, true_mid, atol=1e-3, rtol=0)
    long_error = torch.randn(short.shape, generator=torch.Generator().manual_seed(1)) * 5
    assert (refine_long_offsets(short + long_error, short, stride, 0, 1) - short).abs().max() < 1e-3


def test_long_offsets_improve_by_themselves() -> None:
    """Far cells are biased, near cells exact: following one's own field reaches the exact part."""
    size, stride = 33, 8
    true = pointing_at((128.0, 128.0), size, stride)[None, None]
    biased = true * torch.where(true.norm(dim=2, keepdim=True) > 40, 0.8, 1.0)
    none = torch.zeros_like(true)
    errors = [float((refine_long_offsets(biased, none, stride, n, 0) - true).abs().mean()) for n in (0, 1, 2)]
    assert errors[1] < 0.3 * errors[0]
    assert errors[2] <= errors[1]


def test_gradients_of_both_branches() -> None:
    generator = torch.Generator().manual_seed(5)

    def random(*shape: int, scale: float) -> torch.Tensor:
        return (torch.randn(*shape, generator=generator, dtype=torch.float64) * scale).requires_grad_()

    short, long = random(1, 3, 2, 3, 4, scale=1.5), random(1, 3, 2, 3, 4, scale=3.0)
    mid = random(1, 4, 2, 3, 4, scale=3.0)
    # Small steps: the bilinear kernel is smooth only between cells.
    assert torch.autograd.gradcheck(lambda m, s: refine_mid_offsets(m, s, TARGETS, 4, 2), (mid, short), eps=1e-7)
    assert torch.autograd.gradcheck(lambda x, s: refine_long_offsets(x, s, 4, 2, 2), (long, short), eps=1e-7)


@pytest.mark.parametrize("steps", [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)])
def test_each_number_of_steps_moves_its_own_field(steps: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    fields = Fields(
        heatmap_logits=torch.randn(1, 17, 4, 4),
        short_offsets=torch.randn(1, 17, 2, 4, 4),
        mid_offsets=torch.randn(1, 32, 2, 4, 4),
        segmentation_logits=torch.randn(1, 1, 4, 4),
        long_offsets=torch.randn(1, 17, 2, 4, 4),
        stride=8,
        disk_radius_px=32.0,
    )
    refined = refine(fields, torch.from_numpy(COCO.directed_edges[:, 1].copy()), *steps)
    assert torch.equal(refined.mid_offsets, fields.mid_offsets) == (steps[0] == 0)
    assert torch.equal(refined.long_offsets, fields.long_offsets) == (steps[1] == steps[2] == 0)
    assert torch.equal(refined.short_offsets, fields.short_offsets)
    assert refined.stride == 8
