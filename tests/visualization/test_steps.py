"""The pictures of the decoder's steps, of validity and of label maps show what they should where they should."""

from __future__ import annotations

import numpy as np
import pytest

from personlab.decoding.seeds import Seeds
from personlab.skeleton import COCO
from personlab.structures import CROWD, FIRST, IGNORE, SECOND, UNANNOTATED
from personlab.visualization import (
    LABEL_MAP_TITLES,
    direction_wheel,
    draw_arrows,
    draw_nearness,
    draw_seeds,
    draw_valid,
    draw_votes,
    draw_walk,
    label_map_tiles,
)
from personlab.visualization.fields import direction_colour, kind_colours, upscale
from personlab.visualization.people import person_colour


def grey(height: int = 65, width: int = 81) -> np.ndarray:
    return np.full((height, width, 3), 120, np.uint8)


def test_the_wheel_has_the_colour_of_each_direction() -> None:
    wheel = direction_wheel(65)
    assert wheel.shape == (65, 65, 3)
    assert not wheel[0, 0].any()
    for offset in ((20, 0), (0, 20), (-20, 0), (7, -9)):
        expected = direction_colour(np.array([[offset]], float), 32.0)[0, 0]
        # OpenCV rounds long rows otherwise than single pixels.
        np.testing.assert_allclose(wheel[32 + offset[1], 32 + offset[0]].astype(int), expected, atol=1)


def test_only_pixels_nearest_to_a_valid_cell_are_lit() -> None:
    valid = np.zeros((9, 11), bool)
    valid[2, 3] = valid[8, 10] = True
    drawn = draw_valid(grey(), valid, 8)
    for y in range(65):
        for x in range(81):
            lit = valid[min((y + 4) // 8, 8), min((x + 4) // 8, 10)]
            assert drawn[y, x, 0] == (120 if lit else 30), (x, y)


def test_arrows_start_at_valid_cells_and_end_where_they_point_to() -> None:
    valid = np.zeros((9, 11), bool)
    valid[2, 4] = valid[3, 4] = True  # the second is between the cells that have arrows
    offsets = np.zeros((2, 9, 11), np.float32)
    offsets[0, valid], offsets[1, valid] = 40.0, 0.0
    image = grey()
    drawn = draw_arrows(image, offsets, valid, 8, unit_px=40.0)
    changed = (drawn != image // 2).any(-1)
    assert (image == 120).all()
    assert changed[16, 33:71].all()
    rows, columns = np.nonzero(changed)
    assert rows.min() > 4
    assert rows.max() < 28
    assert columns.min() >= 31
    assert columns.max() <= 74
    expected = direction_colour(np.array([[[40.0, 0.0]]]), 40.0)[0, 0]
    np.testing.assert_allclose(drawn[16, 50].astype(int), expected, atol=20)  # lines are smoothed
    offsets[:, valid] = np.nan
    assert draw_arrows(image, offsets, valid, 8, unit_px=40.0).shape == image.shape


def test_votes_are_bright_at_their_peak_in_the_colour_of_its_type() -> None:
    votes = np.zeros((17, 17, 21), np.float32)
    votes[5, 8, 10] = 0.3
    drawn = draw_votes(grey(), votes, 4.0)
    np.testing.assert_allclose(drawn[32, 40].astype(int), kind_colours(np.array([5]), 17)[0], atol=1)
    np.testing.assert_array_equal(drawn[0, 0], [48, 48, 48])
    assert not draw_votes(np.zeros((65, 81, 3), np.uint8), 0 * votes, 4.0).any()


def test_votes_of_a_grid_that_does_not_end_with_the_image() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    large = upscale(values, 2.5, (7, 9))
    assert large.shape == (7, 9)
    np.testing.assert_allclose(large[0, 5], 2.0, atol=1e-5)
    np.testing.assert_allclose(large[5:, 8], 5.0, atol=1e-5)


def test_seeds_with_higher_scores_have_larger_rings() -> None:
    xy = np.array([[40.0, 32.0]])

    def extent(score: float) -> int:
        seeds = Seeds(np.array([score], np.float32), np.array([3]), xy)
        drawn = draw_seeds(grey(401, 401), seeds, COCO)
        changed = (drawn != 60).any(-1)
        assert not changed[80:, 80:].any()
        return int(changed.any(0).sum())

    assert extent(1.0) > extent(0.2) > 0


def test_the_walk_draws_the_edges_of_its_first_steps() -> None:
    generator = np.random.default_rng(0)
    person = generator.uniform(30, 370, (17, 2))
    image = np.zeros((401, 401, 3), np.uint8)

    def is_drawn(drawn: np.ndarray, source: int, target: int) -> bool:
        x, y = np.round((person[source] + person[target]) / 2).astype(int)
        return bool(drawn[y - 1 : y + 2, x - 1 : x + 2].any())

    walk = COCO.walk(9)
    for steps in (1, 5, 16):
        drawn = draw_walk(image, person, 9, steps=steps)
        assert all(is_drawn(drawn, source, target) for _, source, target in walk[:steps])
        x, y = np.round(person[9]).astype(int)
        ring = drawn[y - 7 : y + 8, x - 7 : x + 8].min(axis=-1) > 150
        assert ring.sum() > 12, "the seed has a white ring"
    few, all_of_them = (int((draw_walk(image, person, 9, steps=n) > 0).any(-1).sum()) for n in (1, None))
    assert few < all_of_them
    person[3] = np.nan
    assert draw_walk(image, person, 9).any()


def test_nearness_ends_at_the_threshold() -> None:
    distances = np.full((9, 11), 1e3, np.float32)
    distances[2, 3], distances[6, 6] = 0.0, 0.125
    drawn = draw_nearness(np.zeros((65, 81, 3), np.uint8), distances, 8, 0.25, (200, 100, 50))
    np.testing.assert_allclose(drawn[16, 24], (200, 100, 50), atol=1)
    np.testing.assert_allclose(drawn[48, 48], (100, 50, 25), atol=1)
    assert not drawn[40:, :8].any()


@pytest.mark.parametrize("bit", [CROWD, UNANNOTATED])
def test_tiles_of_a_label_map_show_each_channel(bit: int) -> None:
    label_map = np.zeros((6, 8, 3), np.uint8)
    label_map[1, 1, FIRST], label_map[1, 2, FIRST], label_map[1, 2, SECOND] = 1, 2, 1
    label_map[4, 5, IGNORE] = bit
    tiles = label_map_tiles(label_map)
    assert len(tiles) == len(LABEL_MAP_TITLES)
    assert tuple(tiles[0][1, 1]) == tuple(tiles[1][1, 2]) == person_colour(0)
    assert tuple(tiles[0][1, 2]) == person_colour(1)
    assert tiles[2][4, 5].any()
    assert [int(tile.any(-1).sum()) for tile in tiles] == [2, 1, 1]
