"""A sample drawn: who is where, which side is which, and what is ignored."""

from __future__ import annotations

import numpy as np
import pytest

from personlab.geometry import affine
from personlab.structures import CROWD, FIRST, IGNORE, SECOND, UNANNOTATED, UNMASKED, Sample
from personlab.visualization.people import person_colour
from personlab.visualization.samples import LEFT, MIDDLE, RIGHT, draw_sample, sample_sheet


def _sample() -> Sample:
    keypoints = np.zeros((2, 17, 3), np.float32)
    keypoints[0, 0], keypoints[0, 9], keypoints[0, 10] = (20, 20, 2), (60, 60, 2), (100, 60, 1)
    label_map = np.zeros((120, 160, 3), np.uint8)
    label_map[10:50, 10:50, FIRST] = 1
    label_map[90:110, 20:60, FIRST], label_map[90:110, 40:80, SECOND] = 1, 2
    return Sample(7, np.zeros((120, 160, 3), np.uint8), keypoints, label_map, (120, 160), affine.identity())


def test_sides_have_colours_and_hidden_keypoints_are_hollow() -> None:
    drawn = draw_sample(_sample())
    assert drawn[20, 20].tolist() == list(MIDDLE)
    assert drawn[60, 60].tolist() == list(LEFT)
    assert drawn[60, 100].tolist() != list(RIGHT)
    ring = drawn[56:65, 96:105].reshape(-1, 3)
    assert (np.abs(ring.astype(int) - RIGHT).sum(axis=1) < 150).any()


def test_masks_have_their_person_s_colour_and_shared_pixels_both() -> None:
    drawn = draw_sample(_sample())
    first, second = (np.array(person_colour(p)) for p in (0, 1))
    assert np.abs(drawn[40, 45] - 0.4 * first).max() <= 1
    both = {tuple(pixel) for pixel in drawn[90:110, 45:58].reshape(-1, 3).tolist()}
    assert {tuple((0.4 * c).astype(int).tolist()) for c in (first, second)} <= both
    assert not drawn[5, 150].any()


@pytest.mark.parametrize("bit", [CROWD, UNANNOTATED, UNMASKED])
def test_what_is_ignored_is_striped(bit: int) -> None:
    plain = _sample()
    plain.label_map[70:80, 120:150, IGNORE] = bit
    drawn, without = draw_sample(plain), draw_sample(_sample())
    differ = (drawn != without).any(axis=2)
    assert 0.1 < differ[70:80, 120:150].mean() < 0.5
    differ[70:80, 120:150] = False
    assert not differ.any()


def test_the_sheet_holds_every_tile_where_it_belongs() -> None:
    tiles = [np.full((40, 60, 3), (50 * (n + 1), 0, 0), np.uint8) for n in range(3)]
    sheet = sample_sheet(tiles, ["a", "b", "c"], columns=2, tile_px=60)
    for shade in (50, 100, 150):
        rows, columns = np.nonzero((sheet == (shade, 0, 0)).all(axis=2))
        assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (40, 60)
