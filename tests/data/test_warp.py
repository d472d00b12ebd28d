"""One matrix moves image, keypoints and label map to the same place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personlab.data.warp import MEAN_COLOUR, Resize, warp
from personlab.errors import InputError
from personlab.geometry import affine
from personlab.structures import Sample


def make_sample(image: np.ndarray, keypoints: np.ndarray | None = None, label_map: np.ndarray | None = None) -> Sample:
    return Sample(
        image_id=1,
        image=image,
        keypoints=np.zeros((0, 17, 3), np.float32) if keypoints is None else keypoints.astype(np.float32),
        label_map=np.zeros_like(image) if label_map is None else label_map,
        image_size=image.shape[:2],
        image_to_crop=affine.identity(),
    )


def _noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


MATRICES = {
    "shift": affine.translation(3.25, -1.5),
    "larger": affine.scaling(1.7),
    "turned": affine.compose(affine.translation(-8, -6), affine.rotation(25), affine.translation(9, 8)),
    "mirrored": affine.compose(affine.scaling(1.1), affine.horizontal_flip(19)),
}


@pytest.mark.parametrize("name", MATRICES)
def test_image_and_labels_against_literal_loops(name: str) -> None:
    matrix, (height, width) = MATRICES[name], (15, 19)
    image = _noise(13, 17)
    labels = np.random.default_rng(1).integers(0, 256, (13, 17, 3), dtype=np.uint8)
    moved = warp(make_sample(image, label_map=labels), matrix, (height, width))
    back = affine.invert(matrix)

    def at(y: int, x: int) -> np.ndarray:
        inside = 0 <= y < image.shape[0] and 0 <= x < image.shape[1]
        return image[y, x].astype(float) if inside else np.array(MEAN_COLOUR, dtype=float)

    for y in range(height):
        for x in range(width):
            u, v = affine.apply(back, np.array([x, y]))
            i, j = int(np.floor(v)), int(np.floor(u))
            a, b = v - i, u - j
            expected = (1 - a) * ((1 - b) * at(i, j) + b * at(i, j + 1)) + a * (
                (1 - b) * at(i + 1, j) + b * at(i + 1, j + 1)
            )
            # OpenCV reads at 1/32 px, so noise of 255 grey levels is read within 255 / 32 of its place, twice.
            assert np.abs(moved.image[y, x] - expected).max() <= 17
            if min(abs(a - 0.5), abs(b - 0.5)) > 0.02:
                i, j = round(v), round(u)
                inside = 0 <= i < 13 and 0 <= j < 17
                assert moved.label_map[y, x].tolist() == (labels[i, j].tolist() if inside else [0, 0, 0])


def test_identity_changes_nothing() -> None:
    image = _noise(13, 17)
    keypoints = np.random.default_rng(2).uniform(0, 12, (3, 17, 3))
    keypoints[..., 2] = 2
    sample = make_sample(image, keypoints, image.copy())
    moved = warp(sample, affine.identity(), (13, 17))
    np.testing.assert_array_equal(moved.image, image)
    np.testing.assert_array_equal(moved.label_map, image)
    np.testing.assert_array_equal(moved.keypoints, sample.keypoints)


def test_mirroring_twice_is_identity_to_the_bit() -> None:
    sample = make_sample(_noise(13, 17), label_map=_noise(13, 17))
    flip = affine.horizontal_flip(17)
    once = warp(sample, flip, (13, 17))
    np.testing.assert_array_equal(once.image, sample.image[:, ::-1])
    np.testing.assert_array_equal(once.label_map, sample.label_map[:, ::-1])
    twice = warp(once, flip, (13, 17))
    np.testing.assert_array_equal(twice.image, sample.image)
    np.testing.assert_allclose(twice.image_to_crop, affine.identity(), atol=1e-12)


def centroid(image: np.ndarray, background: float = 0.0) -> np.ndarray:
    """Centre of brightness, (x, y)."""
    weight = np.abs(image.astype(float) - background).sum(axis=2)
    y, x = np.indices(weight.shape)
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


@settings(deadline=None, max_examples=40)
@given(
    scale=st.floats(0.15, 3),
    degrees=st.floats(-180, 180),
    mirrored=st.booleans(),
    x=st.integers(20, 60),
    y=st.integers(20, 50),
)
def test_a_bright_spot_lands_where_its_keypoint_lands(
    scale: float, degrees: float, mirrored: bool, x: int, y: int
) -> None:
    image = np.zeros((71, 83, 3), np.uint8)
    image[:] = MEAN_COLOUR
    image[y - 3 : y + 4, x - 3 : x + 4] = 255
    labels = np.zeros_like(image)
    labels[y - 3 : y + 4, x - 3 : x + 4] = 9
    keypoints = np.tile([x, y, 2.0], (1, 17, 1))
    size = 301
    matrix = affine.compose(
        affine.translation(-x, -y), affine.scaling(scale), affine.rotation(degrees), affine.translation(150.3, 149.6)
    )
    if mirrored:
        matrix = affine.compose(matrix, affine.horizontal_flip(size))
    moved = warp(make_sample(image, keypoints, labels), matrix, (size, size))
    place = moved.keypoints[0, 0, :2]
    np.testing.assert_allclose(place, affine.apply(matrix, np.array([x, y])), atol=1e-4)
    assert np.abs(centroid(moved.image, np.array(MEAN_COLOUR)) - place).max() < 0.5
    if scale > 0.3:
        assert np.abs(centroid(moved.label_map) - place).max() < 0.5


def test_keypoints_that_leave_the_frame_stay_out() -> None:
    keypoints = np.tile([5.25, 6.5, 1.0], (2, 17, 1))
    keypoints[1] = 0
    sample = make_sample(_noise(20, 20), keypoints)
    shifted = warp(sample, affine.translation(30, 0), (20, 20))
    assert shifted.keypoints.shape == (2, 17, 3)
    assert not shifted.keypoints.any()
    assert not warp(shifted, affine.translation(-30, 0), (20, 20)).keypoints.any()
    kept = warp(sample, affine.translation(0.5, 0.25), (20, 20)).keypoints
    np.testing.assert_array_equal(kept[0], np.tile(np.float32([5.75, 6.75, 1]), (17, 1)))
    assert not kept[1].any()


def test_the_frame_ends_half_a_pixel_beyond_the_last_centre() -> None:
    xs = [-0.6, -0.4, 9.4, 9.6]
    keypoints = np.zeros((1, 17, 3))
    keypoints[0, :4] = [(x, 5, 2) for x in xs]
    moved = warp(make_sample(_noise(10, 10), keypoints), affine.identity(), (10, 10))
    assert (moved.keypoints[0, :4, 2] > 0).tolist() == [False, True, True, False]


def test_shrinking_averages_instead_of_skipping_pixels() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    small = warp(make_sample(stripes), affine.scaling(0.25), (16, 16)).image[2:-2, 2:-2]
    assert np.abs(small.astype(int) - 100).max() <= 4


@pytest.mark.parametrize(("height", "width"), [(40, 60), (60, 40), (33, 33), (1, 1)])
def test_resize_puts_corners_on_corners(height: int, width: int) -> None:
    resized = Resize(longer_side=81)(make_sample(_noise(height, width)))
    if max(height, width) > 1:
        assert max(resized.image.shape[:2]) == 81
    corner = affine.apply(resized.image_to_crop, np.array([width - 1, height - 1]))
    assert np.abs(corner - [resized.image.shape[1] - 1, resized.image.shape[0] - 1]).max() <= 0.5
    doubled = Resize(factor=2.0)(make_sample(_noise(height, width)))
    assert doubled.image.shape[:2] == (2 * height - 1, 2 * width - 1)


def test_resize_wants_one_positive_size() -> None:
    for options in ({}, {"longer_side": 5, "factor": 1.0}, {"longer_side": 0}, {"factor": -1.0}):
        with pytest.raises(InputError):
            Resize(**options)


def test_nothing_is_enlarged_beyond_all_measure() -> None:
    """Else the memory for it ends, in a library's words."""
    with pytest.raises(InputError, match="a side has 16384 pixels at most, got 100000000; give a smaller"):
        Resize(longer_side=100_000_000)
    with pytest.raises(
        InputError, match="resizing 9x5 pixels by 1e\\+06: a side has 16384 pixels at most, got 8000001; give a smaller"
    ):
        Resize(factor=1e6)(make_sample(_noise(5, 9)))
    long = make_sample(_noise(1, 16_390))  # as it is, it may be longer
    assert Resize(factor=1.0)(long).image.shape == long.image.shape
