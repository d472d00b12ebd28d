"""Training crops: image, keypoints and label map move together, and all chance is the generator's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personlab.augmentation import TrainingView
from personlab.augmentation.geometric import corners, placement, swap_sides
from personlab.data.warp import MEAN_COLOUR
from personlab.errors import InputError
from personlab.geometry import affine
from personlab.skeleton import COCO
from personlab.structures import FIRST, Sample

PLAIN: dict[str, Any] = {"scale": (1.0, 1.0), "translation": 0.0, "flip_probability": 0.0, "person_probability": 0.0}


def _sample(height: int, width: int, people: int = 2, seed: int = 0) -> Sample:
    generator = np.random.default_rng(seed)
    keypoints = np.zeros((people, 17, 3), np.float32)
    keypoints[..., 0] = generator.uniform(0, width - 1, (people, 17))
    keypoints[..., 1] = generator.uniform(0, height - 1, (people, 17))
    keypoints[..., 2] = generator.integers(0, 3, (people, 17))
    keypoints[keypoints[..., 2] == 0] = 0
    return Sample(
        image_id=1,
        image=generator.integers(0, 256, (height, width, 3), dtype=np.uint8),
        keypoints=keypoints,
        label_map=generator.integers(0, 3, (height, width, 3), dtype=np.uint8),
        image_size=(height, width),
        image_to_crop=affine.identity(),
    )


def _spot(x: int, y: int, keypoint: int = 5) -> Sample:
    """A white square in an image of the colour beside it, with one keypoint in its middle and a label on it."""
    image = np.full((81, 101, 3), MEAN_COLOUR, np.uint8)
    image[y - 2 : y + 3, x - 2 : x + 3] = 255
    keypoints = np.zeros((1, 17, 3), np.float32)
    keypoints[0, keypoint] = (x, y, 2)
    label_map = np.zeros_like(image)
    label_map[..., FIRST] = image[..., 0] == 255
    return Sample(1, image, keypoints, label_map, (81, 101), affine.identity())


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    x=st.integers(10, 90),
    y=st.integers(10, 70),
    degrees=st.sampled_from([0.0, 30.0]),
    flip=st.sampled_from([0.0, 1.0]),
)
def test_a_bright_spot_lands_where_its_keypoint_lands(seed: int, x: int, y: int, degrees: float, flip: float) -> None:
    view = TrainingView(129, rotation_degrees=degrees, flip_probability=flip, person_probability=1.0)
    sample = _spot(x, y)
    moved = view(sample, np.random.default_rng(seed))
    expected = int(COCO.flip_permutation[5]) if flip else 5
    np.testing.assert_array_equal(np.flatnonzero(moved.keypoints[0, :, 2]), [expected])
    place = moved.keypoints[0, expected, :2]
    np.testing.assert_allclose(place, affine.apply(moved.image_to_crop, np.array([x, y])), atol=1e-4)
    if place.min() < 8 or place.max() > 120:
        return
    row, column = round(float(place[1])), round(float(place[0]))
    window = slice(row - 8, row + 9), slice(column - 8, column + 9)
    brightness = np.abs(moved.image[window].astype(float) - MEAN_COLOUR).sum(axis=2)
    for weight in (brightness, moved.label_map[window][..., FIRST].astype(float)):
        dy, dx = np.indices(weight.shape) - 8
        centre = np.array([column + (weight * dx).sum() / weight.sum(), row + (weight * dy).sum() / weight.sum()])
        assert np.abs(centre - place).max() < 0.5


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    height=st.integers(2, 90),
    width=st.integers(2, 90),
    people=st.integers(0, 4),
    degrees=st.floats(0, 180),
    translation=st.floats(0, 1),
)
def test_people_and_keypoints_are_never_lost(
    seed: int, height: int, width: int, people: int, degrees: float, translation: float
) -> None:
    view = TrainingView(49, base_size=70, rotation_degrees=degrees, translation=translation, photometric_strength=1)
    sample = _sample(height, width, people)
    before = sample.keypoints.copy(), sample.image.copy(), sample.label_map.copy()
    moved = view(sample, np.random.default_rng(seed))
    assert moved.keypoints.shape == (people, 17, 3)
    assert moved.keypoints.dtype == np.float32
    assert moved.image.shape == moved.label_map.shape == (49, 49, 3)
    assert moved.image.dtype == moved.label_map.dtype == np.uint8
    unlabelled = moved.keypoints[..., 2] == 0
    assert not moved.keypoints[unlabelled].any()
    kept = moved.keypoints[~unlabelled][:, :2]
    assert ((kept >= -0.5) & (kept <= 48.5)).all()
    # A keypoint is dropped only when its place is out of the crop.
    swap = COCO.flip_permutation if np.linalg.det(moved.image_to_crop[:, :2]) < 0 else np.arange(17)
    places = affine.apply(moved.image_to_crop, sample.keypoints[..., :2])[:, swap]
    inside = ((places > -0.49) & (places < 48.49)).all(axis=-1) & (sample.keypoints[:, swap, 2] > 0)
    assert (moved.keypoints[..., 2] > 0)[inside].all()
    for old, new in zip(before, (sample.keypoints, sample.image, sample.label_map), strict=True):
        np.testing.assert_array_equal(old, new)


def test_flipping_twice_is_identity() -> None:
    sample = _sample(49, 49)
    view = TrainingView(49, **{**PLAIN, "flip_probability": 1.0})
    once = view(sample, np.random.default_rng(0))
    np.testing.assert_array_equal(once.image, sample.image[:, ::-1])
    left, right = COCO.keypoint_names.index("left_wrist"), COCO.keypoint_names.index("right_wrist")
    labelled = sample.keypoints[:, left, 2] > 0
    np.testing.assert_allclose(once.keypoints[labelled, right, 0], 48 - sample.keypoints[labelled, left, 0], atol=1e-5)
    twice = view(once, np.random.default_rng(1))
    np.testing.assert_array_equal(twice.image, sample.image)
    np.testing.assert_array_equal(twice.label_map, sample.label_map)
    np.testing.assert_allclose(twice.keypoints, sample.keypoints, atol=1e-5)
    np.testing.assert_array_equal(swap_sides(swap_sides(sample, COCO), COCO).keypoints, sample.keypoints)


def test_scale_is_not_undone() -> None:
    """The size of people in the crop is the drawn factor times their size in the fitted image."""
    for scale in (0.5, 1.0, 1.5):
        view = TrainingView(129, base_size=201, **{**PLAIN, "scale": (scale, scale)})
        matrix = view(_sample(81, 101), np.random.default_rng(0)).image_to_crop
        assert matrix[0, 0] == pytest.approx(scale * 200 / 100)
    view = TrainingView(129, flip_probability=0.0)
    drawn = [view(_sample(81, 101), np.random.default_rng(i)).image_to_crop[0, 0] / (128 / 100) for i in range(200)]
    assert 0.5 <= min(drawn) < 0.55
    assert 1.45 < max(drawn) <= 1.5
    assert np.mean(drawn) == pytest.approx(1.0, abs=0.06)


def test_shares_are_what_they_say() -> None:
    view = TrainingView(49, flip_probability=0.25)
    flips = [
        np.linalg.det(view(_sample(20, 20), np.random.default_rng(i)).image_to_crop[:, :2]) < 0 for i in range(300)
    ]
    assert np.mean(flips) == pytest.approx(0.25, abs=0.08)


def test_a_chosen_person_is_in_view() -> None:
    sample = _spot(12, 70)
    options = {**PLAIN, "translation": 1.0, "base_size": 501}
    always = TrainingView(65, **{**options, "person_probability": 1.0})
    never = TrainingView(65, **options)
    seen = [view(sample, np.random.default_rng(i)).keypoints.any() for view in (always, never) for i in range(50)]
    assert all(seen[:50])
    assert np.mean(seen[50:]) < 0.5


def test_translation_and_rotation_options() -> None:
    centred = TrainingView(129, **PLAIN)(_sample(81, 101), np.random.default_rng(3)).image_to_crop
    np.testing.assert_allclose(affine.apply(centred, np.array([50, 40])), [64, 64])
    angles = []
    for seed in range(100):
        matrix = TrainingView(129, **PLAIN, rotation_degrees=20)(
            _sample(81, 101), np.random.default_rng(seed)
        ).image_to_crop
        angles.append(np.rad2deg(np.arctan2(matrix[1, 0], matrix[0, 0])))
    assert -20 <= min(angles) < -15
    assert 15 < max(angles) <= 20


@settings(deadline=None, max_examples=60)
@given(height=st.integers(1, 60), width=st.integers(1, 60), seed=st.integers(0, 1000), translation=st.floats(0, 1))
def test_nothing_is_lost_that_need_not_be(height: int, width: int, seed: int, translation: float) -> None:
    crop = 33
    shift = placement(corners(height, width), crop, translation, None, np.random.default_rng(seed))
    for axis, size in enumerate((width, height)):
        begin, end = shift[axis, 2], shift[axis, 2] + size - 1
        outer, inner = ((0, crop - 1), (begin, end)) if size <= crop else ((begin, end), (0, crop - 1))
        assert outer[0] - 1e-9 <= inner[0]
        assert inner[1] <= outer[1] + 1e-9


def test_chance_is_only_the_generators() -> None:
    view = TrainingView(65, rotation_degrees=10, photometric_strength=1)
    sample = _sample(50, 70)

    def crop(seed: int) -> bytes:
        moved = view(sample, np.random.default_rng(seed))
        return moved.image.tobytes() + moved.keypoints.tobytes() + moved.label_map.tobytes()

    first = [crop(seed) for seed in range(20)]
    np.random.seed(5)  # noqa: NPY002  global state must not matter
    assert [crop(seed) for seed in range(20)] == first
    assert len(set(first)) == 20


def test_another_skeleton_flips_its_own_pairs(tmp_path: Any) -> None:
    lines = ["name: two", "keypoints: [left_end, right_end]", "edges: [[left_end, right_end]]", "sigmas: [0.1, 0.1]"]
    (tmp_path / "two.yaml").write_text("\n".join(lines))
    sample = _sample(49, 49)
    view = TrainingView(49, **{**PLAIN, "flip_probability": 1.0}, skeleton=str(tmp_path / "two.yaml"))
    with pytest.raises(InputError, match="image 1 has 17 keypoints, skeleton two 2"):
        view(sample, np.random.default_rng(0))
    sample.keypoints = np.float32([[[3, 4, 1], [40, 9, 2]]])
    np.testing.assert_allclose(view(sample, np.random.default_rng(0)).keypoints, [[[8, 9, 2], [45, 4, 1]]])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"crop_size": 800}, "use 801"),
        ({"crop_size": 256}, "use 257"),
        ({"crop_size": 1}, "use 33"),
        ({"crop_size": 16_401}, "a side has 16384 pixels at most"),
        ({"base_size": 1}, "base_size 1"),
        ({"scale": (1.5, 0.5)}, "the smaller first"),
        ({"scale": (0.0, 0.5)}, "positive"),
        ({"flip_probability": 1.5}, "flip_probability 1.5"),
        ({"person_probability": -0.5}, "person_probability"),
        ({"translation": 2.0}, "translation"),
        ({"rotation_degrees": -3.0}, "rotation_degrees"),
        ({"photometric_strength": 5.0}, "photometric_strength"),
    ],
)
def test_options_out_of_range_say_the_mend(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        TrainingView(**options)
