"""Colour changes stay in bounds and depend on nothing but the generator."""

from __future__ import annotations

import os

import cv2
import numpy as np
import pytest

from personlab.augmentation.photometric import photometric


@pytest.fixture
def image() -> np.ndarray:
    small = np.random.default_rng(0).integers(30, 220, (9, 12, 3), dtype=np.uint8)
    return cv2.resize(small, (60, 45), interpolation=cv2.INTER_CUBIC)


def test_strength_zero_changes_nothing(image: np.ndarray) -> None:
    for seed in range(40):
        np.testing.assert_array_equal(photometric(image, 0.0, np.random.default_rng(seed)), image)


def test_every_seed_gives_its_own_image_and_leaves_the_original(image: np.ndarray) -> None:
    before = image.copy()
    first = [photometric(image, 1.0, np.random.default_rng(seed)) for seed in range(60)]
    again = [photometric(image, 1.0, np.random.default_rng(seed)) for seed in range(60)]
    np.testing.assert_array_equal(image, before)
    assert len({changed.tobytes() for changed in first}) == 60
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.shape == image.shape
        assert one.dtype == np.uint8


def test_brightness_goes_both_ways_and_grows_with_the_strength(image: np.ndarray) -> None:
    def means(strength: float) -> np.ndarray:
        return np.array([photometric(image, strength, np.random.default_rng(seed)).mean() for seed in range(80)])

    weak, strong = means(0.3) - image.mean(), means(1.0) - image.mean()
    assert strong.min() < -10
    assert strong.max() > 10
    assert 0 < np.abs(weak).mean() < 0.6 * np.abs(strong).mean()
    assert np.abs(strong).max() < 0.35 * image.mean()


def test_the_number_of_draws_is_fixed(image: np.ndarray) -> None:
    """What comes after must not depend on whether an image was blurred."""
    for seed in range(30):
        generator, other = np.random.default_rng(seed), np.random.default_rng(seed)
        photometric(image, 1.0, generator)
        other.random(8)
        assert generator.random() == other.random()


def test_no_host_is_asked_on_import() -> None:
    assert os.environ["NO_ALBUMENTATIONS_UPDATE"]
