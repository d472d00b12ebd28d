"""Cells stand on pixels that are multiples of the stride."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from personlab.geometry.cells import cell_centres, valid_size


@given(st.integers(1, 3000), st.sampled_from([1, 4, 8, 16, 32]))
def test_a_valid_size_is_the_smallest_that_ends_on_a_cell(size: int, stride: int) -> None:
    valid = valid_size(size, stride)
    assert (valid - 1) % stride == 0
    assert size <= valid < size + stride
    assert valid_size(valid, stride) == valid


@pytest.mark.parametrize("stride", [4, 8])
def test_centres_are_x_then_y_and_reach_the_last_pixel_of_a_valid_size(stride: int) -> None:
    centres = cell_centres(3, 5, stride)
    assert (centres.shape, centres.dtype) == ((2, 3, 5), torch.float32)
    for i in range(3):
        for j in range(5):
            assert centres[:, i, j].tolist() == [j * stride, i * stride]
    assert centres[:, -1, -1].tolist() == [valid_size(4 * stride + 1, stride) - 1, 2 * stride]
