"""Batched bilinear reads against the scalar reference, and their gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from personlab.geometry.cells import cell_centres
from personlab.geometry.sampling import read_bilinear
from tests.reference import decoding as reference


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    stride=st.sampled_from([1, 4, 8, 16]),
)
def test_reads_equal_the_scalar_reference_inside_and_outside_the_map(seed, height, width, stride) -> None:
    draw = torch.Generator().manual_seed(seed)
    field = torch.randn(2, 3, height, width, generator=draw)
    place_xy = (torch.rand(2, 2, 4, 5, generator=draw) * 1.6 - 0.3) * stride * max(height, width)
    got = read_bilinear(field, place_xy, stride)
    assert got.shape == (2, 3, 4, 5)
    for b in range(2):
        for i in range(4):
            for j in range(5):
                x, y = (place_xy[b, :, i, j] / stride).tolist()
                for c in range(3):
                    expected = reference.bilinear(field[b, c].numpy(), x, y)
                    assert float(got[b, c, i, j]) == pytest.approx(expected, abs=1e-4)


def test_reading_at_the_cells_gives_the_map() -> None:
    field = torch.randn(1, 2, 4, 7)
    torch.testing.assert_close(read_bilinear(field, cell_centres(4, 7, 8)[None], 8), field, atol=1e-5, rtol=0)


def test_gradients_flow_into_the_map_and_into_the_places() -> None:
    draw = torch.Generator().manual_seed(0)
    field = torch.randn(1, 2, 4, 4, generator=draw, dtype=torch.float64, requires_grad=True)
    # Away from the cells, where the slope jumps.
    cell = torch.randint(0, 3, (1, 2, 3, 3), generator=draw) + 0.2 + 0.6 * torch.rand(1, 2, 3, 3, generator=draw)
    place_xy = (8 * cell).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda f, p: read_bilinear(f, p, 8), (field, place_xy))
