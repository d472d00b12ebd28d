from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from personlab.decoding.masks import FAR, embed, person_distances, person_mask
from personlab.decoding.rle import decode_region, encode_region
from personlab.geometry.affine import compose, rotation, scaling, translation
from tests.decoding.scenes import noisy, paint, standing
from tests.reference import decoding as reference


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_rle_is_that_of_pycocotools(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    top, left = data.draw(st.integers(0, height)), data.draw(st.integers(0, width))
    bottom, right = data.draw(st.integers(top, height)), data.draw(st.integers(left, width))
    bottom = data.draw(st.sampled_from([bottom, height]))  # runs join over the ends of columns
    top = data.draw(st.sampled_from([top, 0]))
    share = data.draw(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    image = np.zeros((height, width), dtype=np.uint8, order="F")
    image[top:bottom, left:right] = rng.random((bottom - top, right - left)) < share
    region = np.ascontiguousarray(image[top:bottom, left:right].T)
    assert encode_region(region, left, top, (height, width)) == coco_mask.encode(image)
    image[:] = rng.random(image.shape) < share  # now also outside of the region
    read = decode_region(coco_mask.encode(image), left, top, (bottom - top, right - left))
    np.testing.assert_array_equal(read.T, image[top:bottom, left:right])


def test_rle_of_every_small_mask() -> None:
    for top, bottom, left, right in (
        (t, b, le, r) for t in range(3) for b in range(t, 4) for le in (0, 1) for r in (1, 3)
    ):
        shape = (bottom - top, right - left)
        for bits in range(2 ** (shape[0] * shape[1])):
            image = np.zeros((3, 3), dtype=np.uint8, order="F")
            image[top:bottom, left:right] = (bits >> np.arange(shape[0] * shape[1]).reshape(shape)) & 1
            region = np.ascontiguousarray(image[top:bottom, left:right].T)
            assert encode_region(region, left, top, (3, 3)) == coco_mask.encode(image)


def test_rle_of_a_large_image() -> None:
    image = np.zeros((3000, 5000), dtype=np.uint8, order="F")
    image[2990:, 4000:4900] = 1
    region = np.ones((900, 10), dtype=np.uint8)
    assert encode_region(region, 4000, 2990, (3000, 5000)) == coco_mask.encode(image)


def test_distances_match_eq_6() -> None:
    people = standing((100, 80))
    fields = noisy(paint(people, 20, 26))
    probabilities = np.random.default_rng(0).random(17)
    probabilities[4] = 0
    long = fields.long_offsets[0].numpy()
    embedding = embed(fields.segmentation[0, 0].numpy(), long, 8, 0.5)
    distances = person_distances(embedding, people[0], probabilities, 66.0)
    near = embedding.segmentation >= 0.5
    assert 0 < near.sum() < near.size
    assert (distances[~near] == FAR).all()
    for i, j in np.argwhere(near):
        expected = reference.mask_distance(long, people[0], probabilities, 66.0, i, j, 8)
        assert distances[i, j] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    "image_to_crop",
    [
        np.eye(2, 3),
        scaling(1.7),
        compose(translation(-6, -9), scaling(0.9)),
        compose(rotation(25), scaling(1.2), translation(9, -4)),
    ],
)
@pytest.mark.parametrize("around", [(slice(1, 6), slice(3, 7)), (slice(3, 4), slice(4, 5)), (slice(0, 7), slice(0, 9))])
def test_pixels_match_literal_loops(image_to_crop: np.ndarray, around: tuple[slice, slice]) -> None:
    rng = np.random.default_rng(0)
    segmentation = rng.random((7, 9)).astype(np.float32)
    distances = np.full((7, 9), 0.35, np.float32)  # masks reach far into the cells around
    distances[around] = rng.random(distances[around].shape) / 2
    segmentation[3, 4:6], distances[3, 4], distances[2, 3] = 1, 0, FAR
    found = coco_mask.decode(person_mask(segmentation, distances, 8, image_to_crop, (60, 50), 0.4, 0.3))
    expected = reference.mask(segmentation, distances, 8, image_to_crop, (60, 50), 0.4, 0.3)
    assert 0 < expected.sum() < expected.size / 2
    assert (found != expected).mean() < 0.001  # a pixel on the threshold may fall either way


def test_a_mask_reaches_as_far_as_the_segmentation_whatever_the_offsets_say_outside() -> None:
    segmentation = np.zeros((9, 9), np.float32)
    segmentation[3:6, 3:6] = 1
    distances = np.where(segmentation > 0, np.float32(0.1), FAR)
    mask = coco_mask.decode(person_mask(segmentation, distances, 8, np.eye(2, 3), (65, 65)))
    rows, columns = np.nonzero(mask)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 44, 20, 44)  # half a cell around 24..40


def test_undefined_offsets_and_improbable_people_have_no_pixels() -> None:
    segmentation = np.ones((6, 6), np.float32)
    segmentation[0, 0] = np.nan
    person, ones = standing((20, 20))[0], np.ones(17)
    undefined = embed(segmentation, np.full((17, 2, 6, 6), np.nan, np.float32), 8, 0.5)
    assert (person_distances(undefined, person, ones, 50.0) == FAR).all()
    defined = embed(segmentation, np.zeros((17, 2, 6, 6), np.float32), 8, 0.5)
    distances = person_distances(defined, person, 0 * ones, 50.0)
    assert coco_mask.area(person_mask(defined.segmentation, distances, 8, np.eye(2, 3), (41, 41))) == 0
    near = person_distances(defined, person, ones, 50.0)
    whole = coco_mask.decode(person_mask(defined.segmentation, near, 8, np.eye(2, 3), (41, 41), 0.5, 10.0))
    assert whole[5:, 5:].all()
    assert not whole[0, 0]


def test_pixels_outside_the_crop_are_nobodys() -> None:
    full, none = np.ones((5, 5), np.float32), np.zeros((5, 5), np.float32)
    mask = coco_mask.decode(person_mask(full, none, 8, translation(-20, 0), (33, 90)))
    assert mask[:, 20:53].all()
    assert not mask[:, :16].any()
    assert not mask[:, 57:].any()
