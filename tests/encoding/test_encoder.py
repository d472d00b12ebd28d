"""The encoder against literal loops, and its decisions one by one."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from personlab.encoding import Encoder
from personlab.errors import InputError
from personlab.skeleton import COCO, Skeleton
from personlab.structures import CROWD, FIRST, IGNORE, SECOND, UNANNOTATED, UNMASKED, Targets
from tests.encoding.scenes import random_scene, to_batch
from tests.reference import encoding as reference

NAMES = [f.name for f in fields(Targets) if f.name not in ("stride", "disk_radius_px")]
CHAIN = Skeleton("chain", ("a", "b", "c"), ((0, 1), (1, 2)), (0.05, 0.05, 0.05))


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    people=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    stride=st.sampled_from([4, 5, 8]),
    radius=st.sampled_from([3.0, 10.0, 14.5]),
    unlabelled=st.sampled_from(["negative", "ignore"]),
    complete=st.booleans(),
    area=st.booleans(),
    second_valid=st.booleans(),
)
def test_every_field_equals_the_literal_loops(
    seed, people, stride, radius, unlabelled, complete, area, second_valid
) -> None:
    rng = np.random.default_rng(seed)
    scenes = [random_scene(rng, count, 4 * stride + 1, 5 * stride + 1) for count in people]
    encoder = Encoder(COCO, radius, unlabelled, complete, area)
    targets = encoder(to_batch(scenes, [True, second_valid]), stride)
    assert (targets.stride, targets.disk_radius_px) == (stride, radius)
    for b, scene in enumerate(scenes):
        expected = reference.encode(
            *scene, COCO, radius, stride, unlabelled, complete, area, valid=b == 0 or second_valid
        )
        for name in NAMES:
            got = getattr(targets, name)[b].numpy()
            assert got.shape == expected[name].shape, name
            np.testing.assert_allclose(got, expected[name], atol=1e-4, err_msg=name)


def _one(places: list[list[tuple[float, float, int]]], size: int = 65, **options) -> Targets:
    scene = np.array(places, np.float32), np.zeros((3, size, size), np.uint8)
    return Encoder(CHAIN, 16.0, **options)(to_batch([scene]), 8)


def test_the_rim_of_the_disk_counts_and_an_offset_leads_to_the_keypoint() -> None:
    targets = _one([[(32, 32, 1), (40, 32, 2), (0, 0, 0)]])
    assert targets.heatmaps[0, 0, 4].tolist() == [0, 0, 1, 1, 1, 1, 1, 0, 0]
    assert targets.short_offsets[0, 0, :, 4, 2].tolist() == [16, 0]
    assert targets.mid_offsets[0, 0, :, 4, 2].tolist() == [24, 0]  # a -> b
    assert not targets.mid_valid[0, 1].any()  # b -> c: the far end is not labelled
    assert not targets.heatmaps[0, 2].any()
    assert targets.heatmap_valid[0, 2].all()


def test_an_edge_belongs_to_the_nearest_person_of_its_source_even_if_that_person_lacks_the_target() -> None:
    targets = _one([[(32, 32, 2), (0, 0, 0), (0, 0, 0)], [(40, 32, 2), (48, 48, 2), (0, 0, 0)]])
    assert not targets.mid_valid[0, 0, 4, 4]
    assert targets.mid_offsets[0, 0, :, 4, 5].tolist() == [8, 16]


def test_of_two_equally_near_keypoints_the_first_person_wins() -> None:
    targets = _one([[(24, 32, 2), (0, 0, 0), (0, 0, 0)], [(40, 32, 2), (0, 0, 0), (0, 0, 0)]])
    assert targets.short_offsets[0, 0, :, 4, 4].tolist() == [-8, 0]


def test_the_nearest_keypoint_wins_among_many_people_on_one_spot() -> None:
    people = [[(32 + n, 32, 2), (0, 0, 0), (0, 0, 0)] for n in range(50, 0, -1)]
    assert _one(people).short_offsets[0, 0, :, 4, 4].tolist() == [1, 0]


def test_an_inferred_keypoint_can_be_ignored_or_get_offsets_but_never_a_heatmap() -> None:
    people = [[(32, 32, 2), (0, 0, 0), (0, 0, 0)]]
    ignored, complete = _one(people, unlabelled="ignore"), _one(people, complete_tree=True)
    assert not ignored.heatmap_valid[0, 1, 4, 4]
    assert ignored.heatmap_valid[0, 0].all()
    assert not ignored.mid_valid.any()
    assert not complete.heatmaps[0, 1:].any()
    assert complete.heatmap_valid.all()
    assert complete.short_valid[0, :, 4, 4].all()
    assert complete.mid_valid[0, :, 4, 4].all()


def test_who_has_no_mask_teaches_keypoints_but_no_background() -> None:
    keypoints, label_map = np.array([[(32, 32, 2), (0, 0, 0), (0, 0, 0)]], np.float32), np.zeros((3, 65, 65), np.uint8)
    label_map[IGNORE, 16:48, 16:48] = UNMASKED
    targets = Encoder(CHAIN)(to_batch([(keypoints, label_map)]), 8)
    left_out = torch.zeros(9, 9, dtype=torch.bool)
    left_out[2:6, 2:6] = True
    assert torch.equal(targets.segmentation_valid[0, 0], ~left_out)
    assert targets.heatmap_valid.all()
    assert targets.short_valid[0, 0, 4, 4]


def test_ignore_regions_leave_out_positives_and_only_crowds_leave_out_masks() -> None:
    keypoints, label_map = np.array([[(32, 32, 2), (0, 0, 0), (0, 0, 0)]], np.float32), np.zeros((3, 65, 65), np.uint8)
    label_map[FIRST] = 1
    label_map[IGNORE, :, 32:] = CROWD
    label_map[IGNORE, :, :16] = UNANNOTATED
    label_map[SECOND, :16] = 2
    targets = Encoder(CHAIN)(to_batch([(np.repeat(keypoints, 2, 0), label_map)]), 8)
    assert targets.heatmap_valid[0, 0, 0].tolist() == [False] * 2 + [True] * 2 + [False] * 5
    assert targets.heatmaps[0, 0, 4, 4] == 1
    assert targets.segmentation_valid[0, 0, 0].tolist() == [True] * 4 + [False] * 5
    assert (targets.segmentation == 1).all()
    assert targets.long_valid[0, 0, :, 1].tolist() == [False] * 2 + [True] * 7
    assert not targets.long_valid[0, 0, :, 4:].any()


def test_the_area_average_sees_what_the_cell_does_not() -> None:
    label_map = np.zeros((3, 17, 17), np.uint8)
    label_map[FIRST, :, 9:13] = 1
    batch = to_batch([(np.zeros((1, 3, 3), np.float32), label_map)])
    assert Encoder(CHAIN)(batch, 8).segmentation[0, 0, 1].tolist() == pytest.approx([0, 4 / 9, 1 / 5])
    assert not Encoder(CHAIN, area_segmentation=False)(batch, 8).segmentation.any()


def test_the_order_of_samples_and_people_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    scenes = [random_scene(rng, 4, 65, 65) for _ in range(2)]
    one = Encoder()(to_batch(scenes), 8)
    other = Encoder()(to_batch(scenes[::-1]), 8)
    backwards = [keypoints[::-1].copy() for keypoints, _ in scenes]
    shuffled = Encoder()(to_batch([(k, labels) for k, (_, labels) in zip(backwards, scenes, strict=True)]), 8)
    for name in NAMES:
        assert torch.equal(getattr(one, name), getattr(other, name).flip(0))
    assert torch.equal(one.short_offsets, shuffled.short_offsets)


@pytest.mark.parametrize("options", [{"disk_radius_px": 0.0}, {"disk_radius_px": float("nan")}])
def test_bad_options_are_refused(options) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        Encoder(**options)


def test_bad_calls_are_refused() -> None:
    batch = to_batch([(np.zeros((1, 3, 3), np.float32), np.zeros((3, 9, 9), np.uint8))])
    with pytest.raises(InputError, match="same skeleton"):
        Encoder()(batch, 8)
    with pytest.raises(InputError, match="stride"):
        Encoder(CHAIN)(batch, 0)
