from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personlab.geometry.kernels import bilinear_at, bilinear_pair_at, clamp, nearest_cell, splat
from tests.reference import decoding as reference

PLACES = st.floats(-3, 9)


@settings(deadline=None, max_examples=50)
@given(PLACES, PLACES)
def test_read_is_the_bilinear_kernel_at_the_clamped_place(x: float, y: float) -> None:
    planes = np.random.default_rng(0).normal(size=(2, 5, 7)).astype(np.float32)
    expected = [reference.bilinear(plane, x, y) for plane in planes]
    assert bilinear_at(planes[0], x, y) == pytest.approx(expected[0], abs=1e-5)
    assert bilinear_pair_at(planes, x, y) == pytest.approx(expected, abs=1e-5)


@settings(deadline=None, max_examples=50)
@given(st.floats(0, 6), st.floats(0, 4))
def test_splat_is_the_transpose_of_reading(x: float, y: float) -> None:
    plane = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    written = np.zeros_like(plane)
    splat(written, x, y, 3.0)
    assert (written * plane).sum() == pytest.approx(3 * bilinear_at(plane, x, y), abs=1e-4)


@pytest.mark.parametrize(
    "place", [(-2.0, 1.0), (1.0, 5.0), (7.0, 0.0), (math.nan, 0.0), (0.0, math.inf), (1e30, -1e30)]
)
def test_splat_outside_is_lost(place: tuple[float, float]) -> None:
    plane = np.zeros((5, 7), np.float32)
    splat(plane, *place, 1.0)
    assert not plane.any()


def test_splat_half_outside_keeps_the_share_inside() -> None:
    plane = np.zeros((5, 7), np.float32)
    splat(plane, -0.25, 2.0, 1.0)
    assert plane[2, 0] == pytest.approx(0.75)
    assert plane.sum() == pytest.approx(0.75)


def test_no_place_leaves_the_map() -> None:
    for place in (math.nan, -math.inf, -1.0):
        assert clamp(place, 5) == 0
    for place in (math.inf, 1e30, 4.5):
        assert clamp(place, 5) == 4
    assert [nearest_cell(v, 5) for v in (-1.0, 0.49, 0.5, 3.4, 99.0, math.nan)] == [0, 0, 1, 3, 4, 0]
    assert bilinear_at(np.full((1, 1), 3, np.float32), 9.0, math.nan) == 3
