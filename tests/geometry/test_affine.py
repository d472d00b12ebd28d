"""Matrices between frames, against what they say they do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personlab.geometry import affine

numbers = st.floats(-100, 100)
matrices = st.builds(
    lambda dx, dy, factor, degrees: affine.compose(
        affine.scaling(factor), affine.rotation(degrees), affine.translation(dx, dy)
    ),
    numbers, numbers, st.floats(0.1, 10), st.floats(-180, 180),
)  # fmt: skip
PLACES = np.array([[0.0, 0.0], [3.5, -2.0], [640.0, 479.0]])


@pytest.mark.parametrize(
    ("matrix", "place", "moved"),
    [
        (affine.identity(), (3, 4), (3, 4)),
        (affine.translation(1.5, -2), (3, 4), (4.5, 2)),
        (affine.scaling(2), (3, 4), (6, 8)),
        (affine.rotation(90), (1, 0), (0, 1)),  # x towards y
        (affine.horizontal_flip(10), (0, 4), (9, 4)),
        (affine.horizontal_flip(10), (9, 4), (0, 4)),
    ],
)
def test_each_matrix_moves_a_place_as_it_says(matrix, place, moved) -> None:
    np.testing.assert_allclose(affine.apply(matrix, np.array(place)), moved, atol=1e-12)


@given(matrices, matrices, matrices)
def test_composing_applies_the_first_step_first(a, b, c) -> None:
    one_by_one = affine.apply(c, affine.apply(b, affine.apply(a, PLACES)))
    np.testing.assert_allclose(affine.apply(affine.compose(a, b, c), PLACES), one_by_one, rtol=1e-9, atol=1e-6)
    np.testing.assert_array_equal(affine.compose(), affine.identity())


@given(matrices)
def test_the_way_back_undoes_a_matrix(matrix) -> None:
    np.testing.assert_allclose(affine.apply(affine.invert(matrix), affine.apply(matrix, PLACES)), PLACES, atol=1e-6)


def test_places_keep_their_shape_and_become_float64() -> None:
    moved = affine.apply(affine.scaling(2), np.ones((3, 17, 2), np.float32))
    assert (moved.shape, moved.dtype) == ((3, 17, 2), np.float64)
    assert affine.apply(affine.scaling(2), np.zeros((0, 2))).shape == (0, 2)


@pytest.mark.parametrize(("height", "width"), [(480, 640), (640, 480), (1, 9), (1, 1)])
def test_fitting_puts_the_last_pixel_of_the_longer_side_on_the_last_pixel(height, width) -> None:
    corner = affine.apply(affine.fit_longer_side(height, width, 801), np.array([width - 1, height - 1]))
    assert corner.max() == pytest.approx(800 if max(height, width) > 1 else 0)
    assert corner.min() == pytest.approx(800 * (min(height, width) - 1) / max(max(height, width) - 1, 1))
