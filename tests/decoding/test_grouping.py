from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from personlab.decoding.grouping import group_keypoints, walk_orders
from personlab.decoding.reads import CELL_READS
from personlab.decoding.seeds import Seeds
from personlab.skeleton import COCO
from tests.decoding.scenes import noisy, paint, standing
from tests.reference import decoding as reference

ORDERS = walk_orders(COCO)


def seeds(*places: tuple[int, float, float]) -> Seeds:
    return Seeds(
        np.linspace(1, 0.5, len(places)).astype(np.float32),
        np.array([k for k, _, _ in places], dtype=np.int64),
        np.array([(x, y) for _, x, y in places], dtype=np.float64),
    )


def group(fields: Any, starts: Seeds, cell_read: Any = "bilinear", **options: Any) -> np.ndarray:
    maps = (m[0].numpy() for m in (fields.heatmaps, fields.short_offsets, fields.mid_offsets))
    options |= {"edge_read": cell_read, "short_read": cell_read}
    return group_keypoints(starts, *maps, fields.stride, ORDERS, **options).crop_xy


@pytest.mark.parametrize("again", [0, 1, 3])
@pytest.mark.parametrize("start", [0, 9, 16])
def test_walk_matches_literal_loops(start: int, again: int) -> None:
    fields = noisy(paint(standing((60, 70)), 15, 16))
    found = group(fields, seeds((start, 61.5, 40.25)), short_refinements=again)
    short, mid = fields.short_offsets[0].numpy(), fields.mid_offsets[0].numpy()
    expected = reference.walk(start, (61.5, 40.25), short, mid, ORDERS[start], 8, again)
    assert np.abs(found[0] - expected).max() < 1e-3


@pytest.mark.parametrize("cell_read", CELL_READS)
@pytest.mark.parametrize("start", range(17))
def test_any_seed_gives_the_same_person(start: int, cell_read: Any) -> None:
    people = standing((100.3, 80.7))
    found = group(paint(people, 20, 26), seeds((start, *people[0, start])), cell_read=cell_read)
    assert np.abs(found - people).max() < 1e-3


def test_seed_near_the_same_keypoint_is_no_new_person() -> None:
    people = standing((100, 80))
    x, y = people[0, 5]
    fields = paint(people, 20, 26)
    assert len(group(fields, seeds((0, *people[0, 0]), (5, x + 9.9, y), (6, x, y)), nms_radius_px=10)) == 2
    assert len(group(fields, seeds((0, *people[0, 0]), (5, x + 10, y)), nms_radius_px=10)) == 1
    assert len(group(fields, seeds((0, *people[0, 0]), (5, x + 10.1, y)), nms_radius_px=10)) == 2


def test_consistent_reads_do_not_mix_people_whose_disks_meet() -> None:
    people = standing((100, 80), (109, 84))
    people[1, :5] -= (0, 40)  # heads apart, shoulders of both in one cell
    fields = paint(people, 24, 30)
    start = seeds((0, *people[0, 0]), (0, *people[1, 0]))
    error = {read: np.abs(group(fields, start, cell_read=read) - people).max() for read in CELL_READS}
    assert error["consistent"] < 1e-3
    assert error["bilinear"] > 1


def test_consistent_is_bilinear_where_no_disk_is() -> None:
    fields = noisy(paint(standing((60, 70)), 15, 16))
    fields.heatmap_logits[:] = -1
    start = seeds((0, 61.5, 40.25))
    both = [group(fields, start, cell_read=read) for read in ("bilinear", "consistent")]
    assert np.array_equal(*both)


def test_places_outside_the_map_read_its_border() -> None:
    fields = noisy(paint(standing((100, 30)), 20, 26))
    found = group(fields, seeds((11, 40.0, -90.0)), short_refinements=0)
    offset = fields.mid_offsets[0, 7 + 16, :, 0, 5].numpy()  # left hip -> left shoulder, at the cell above x = 40
    assert found[0, 5] == pytest.approx((40 + offset[0], offset[1]), abs=1e-4)


@pytest.mark.parametrize("cell_read", CELL_READS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -1e30])
def test_undefined_offsets_lead_nowhere(value: float, cell_read: Any) -> None:
    fields = paint(standing((100, 80)), 20, 26)
    fields.mid_offsets[:] = value
    fields.short_offsets[:] = value
    found = group(fields, seeds((3, 50.0, 60.0)), cell_read=cell_read)
    assert np.array_equal(found, np.broadcast_to((50.0, 60.0), (1, 17, 2)))


def test_number_of_candidates_is_bounded() -> None:
    fields = paint(standing((100, 80)), 20, 26)
    assert len(group(fields, seeds((0, 0, 0), (0, 50, 50), (0, 100, 100)), max_people=2)) == 2
