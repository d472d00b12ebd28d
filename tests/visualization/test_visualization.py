"""Pictures show what they should where they should."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from pycocotools import mask as rle

from personlab.errors import InputError
from personlab.skeleton import COCO
from personlab.structures import Batch, Fields, People
from personlab.visualization import contact_sheet, draw_people, draw_skeleton, sheet_row, write_image
from personlab.visualization.contact_sheet import COLUMNS
from personlab.visualization.fields import direction_colour, upscale
from personlab.visualization.people import person_colour


def one_person(x: float = 20.0, y: float = 12.0) -> People:
    keypoints = np.zeros((1, 17, 3), np.float32)
    keypoints[0, :, 0] = x + np.arange(17)
    keypoints[0, :, 1] = y + 2 * np.arange(17)
    keypoints[0, :, 2] = 1.0
    inside = np.zeros((64, 80), np.uint8, order="F")
    inside[40:60, 50:70] = 1
    return People(keypoints, np.array([0.9], np.float32), [rle.encode(inside)])


def test_people_are_drawn_at_their_keypoints_and_masks_and_nowhere_else():
    image = np.zeros((64, 80, 3), np.uint8)
    drawn = draw_people(image, one_person())
    assert not image.any()
    assert drawn[12, 20].any()
    assert drawn[50, 60].any()
    assert not drawn[:, :5].any()


def test_people_below_the_threshold_are_left_out():
    image = np.zeros((64, 80, 3), np.uint8)
    assert not draw_people(image, one_person(), score_threshold=0.95).any()


def test_masks_are_tinted_where_they_are_and_the_best_comes_last():
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    inside = np.zeros((2, 40, 50), np.uint8)
    inside[0, 5:20, 10:50], inside[1, 10:40, 0:30] = 1, 1
    masks = [rle.encode(np.asfortranarray(mask)) for mask in inside]
    masks.append(rle.encode(np.zeros((40, 50), np.uint8, order="F")))
    people = People(np.zeros((3, 17, 3), np.float32), np.array([0.9, 0.5, 0.4], np.float32), masks)
    expected = image.copy()
    for person in (1, 0):
        for y, x in np.argwhere(inside[person]):
            expected[y, x] = 0.55 * expected[y, x] + 0.45 * np.array(person_colour(person))
    np.testing.assert_array_equal(draw_people(image, people), expected)


def test_keypoints_far_outside_or_not_finite_do_no_harm():
    image = np.zeros((32, 32, 3), np.uint8)
    keypoints = np.full((17, 3), 1.0, np.float32)
    keypoints[0, :2] = np.nan
    keypoints[1, :2] = 1e12
    draw_skeleton(image, keypoints, (255, 0, 0), COCO)
    assert image.any()


def test_upscaling_keeps_cells_at_their_pixels():
    values = np.random.default_rng(0).random((4, 5)).astype(np.float32)
    large = upscale(values, 8)
    assert large.shape == (25, 33)
    np.testing.assert_allclose(large[::8, ::8], values, atol=1e-5)
    np.testing.assert_allclose(large[0, 4], values[0, :2].mean(), atol=1e-2)


def test_opposite_directions_have_unlike_colours_and_longer_is_brighter():
    colours = direction_colour(np.array([[[10.0, 0.0], [-10.0, 0.0], [2.0, 0.0]]]), 10.0)[0].astype(int)
    assert np.abs(colours[0] - colours[1]).sum() > 200
    assert colours[0].max() > colours[2].max()


def test_a_sheet_has_a_tile_for_every_column(tmp_path):
    draw = torch.Generator().manual_seed(0)
    batch = Batch(
        images=torch.randint(0, 255, (1, 3, 65, 81), generator=draw, dtype=torch.uint8),
        keypoints=torch.from_numpy(one_person().keypoints)[None],
        label_maps=torch.zeros(1, 3, 65, 81, dtype=torch.uint8),
        image_ids=torch.tensor([7]),
        image_sizes=torch.tensor([[64, 80]]),
        image_to_crop=torch.eye(2, 3, dtype=torch.float64)[None],
        sample_valid=torch.tensor([True]),
    )

    def offsets(n: int) -> torch.Tensor:
        return 30 * torch.randn(1, n, 2, 9, 11, generator=draw)

    fields = Fields(
        4 * torch.randn(1, 17, 9, 11, generator=draw), offsets(17), offsets(32),
        torch.randn(1, 1, 9, 11, generator=draw), offsets(17), 8, 32.0,
    )  # fmt: skip
    row = sheet_row(batch, fields, one_person(), tile_px=162)
    assert len(row) == len(COLUMNS)
    assert {tile.shape for tile in row} == {(130, 162, 3)}
    sheet = contact_sheet([row, row])
    assert sheet.shape[1] > 162 * len(COLUMNS)
    write_image(tmp_path / "figures" / "sheet.png", sheet)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "figures" / "sheet.png"))[..., ::-1], sheet)


def test_a_picture_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"x\.png: cannot be written"):
        write_image(tmp_path / "file" / "x.png", np.zeros((4, 4, 3), np.uint8))
