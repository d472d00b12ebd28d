from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonargparse import ArgumentParser
from pycocotools import mask as coco_mask

from personlab.decoding import PaperDecoder
from personlab.errors import InputError
from personlab.geometry.affine import compose, scaling, translation
from personlab.skeleton import COCO
from personlab.structures import Fields, People
from tests.decoding.scenes import IDENTITY, empty, errors_px, noisy, paint, standing

CROWD = standing((90, 80), (140, 90), (230, 84), (250, 86), (40, 130))
CROWD[3, 13:] = CROWD[2, 13:] + 3  # two people whose legs cannot be told apart


def decode(fields: Fields, size: tuple[int, int] = (201, 305), **options: Any) -> People:
    return PaperDecoder(**options)(fields, IDENTITY, [size])[0]


def same(a: People, b: People) -> bool:
    return np.array_equal(a.keypoints, b.keypoints) and np.array_equal(a.scores, b.scores) and a.masks == b.masks


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 999), st.sampled_from([4, 8, 16]))
def test_decodes_what_was_painted(seed: int, stride: int) -> None:
    rng = np.random.default_rng(seed)
    people = standing((80, 90), (250, 110)) + rng.uniform(-6, 6, (2, 17, 2))
    found = decode(paint(people, 208 // stride, 336 // stride, stride))
    assert len(found) == 2
    assert errors_px(found, people, np.ones((2, 17))).max() < 0.05
    assert (found.scores > 0.7).all()


def test_masks_of_separated_people() -> None:
    people = standing((80, 90), (250, 110))
    found = decode(paint(people, 51, 84, 4))
    for person, mask in zip(found.keypoints, found.masks or [], strict=True):
        left, top, right, bottom = *person[:, :2].min(axis=0), *person[:, :2].max(axis=0)
        box = np.zeros((201, 305), dtype=bool)
        box[round(top) : round(bottom) + 1, round(left) : round(right) + 1] = True
        pixels = coco_mask.decode(mask).astype(bool)
        assert (pixels & box).sum() / (pixels | box).sum() > 0.85  # half a cell at each border


def test_people_who_share_pixels_both_get_them() -> None:
    found = decode(paint(standing((120, 90), (132, 92)), 26, 39), cell_read="consistent")
    first, second = (coco_mask.decode(m).astype(bool) for m in found.masks or [])
    assert (first & second).sum() > 0.5 * first.sum() > 0


@settings(deadline=None, max_examples=8)
@given(st.integers(-2, 3), st.integers(-2, 3), st.sampled_from(["bilinear", "nearest", "consistent"]))
def test_moving_the_fields_by_cells_moves_the_people(right: int, down: int, cell_read: Any) -> None:
    scene = noisy(paint(standing((120, 120)), 32, 32))
    scene.segmentation_logits.clamp_(max=-1)  # leave the border free, also of votes
    scene.heatmap_logits[..., :5], scene.heatmap_logits[..., -5:] = -20, -20
    scene.heatmap_logits[..., :5, :], scene.heatmap_logits[..., -5:, :] = -20, -20
    moved = scene._map(lambda t: torch.roll(t, (down, right), (-2, -1)))
    before, after = (decode(f, (249, 249), cell_read=cell_read, masks=False) for f in (scene, moved))
    assert len(before) == len(after) > 0
    assert after.keypoints[0] - before.keypoints[0] == pytest.approx(
        np.broadcast_to((8 * right, 8 * down, 0), (17, 3)), abs=0.01
    )


def test_results_are_in_the_frame_of_the_image() -> None:
    people = standing((90, 90), (200, 100))
    matrix = compose(scaling(0.5), translation(7, 3))
    found = PaperDecoder()(paint(people, 26, 39), torch.from_numpy(matrix)[None], torch.tensor([[390, 600]]))[0]
    assert errors_px(found, (people - (7, 3)) * 2, np.ones((2, 17))).max() < 0.1
    pixels = coco_mask.decode((found.masks or [])[0])
    rows, columns = np.nonzero(pixels)
    assert pixels.shape == (390, 600)
    assert found.keypoints[0, :, 1].mean() == pytest.approx(rows.mean(), abs=20)
    assert found.keypoints[0, :, 0].mean() == pytest.approx(columns.mean(), abs=20)


def test_each_image_of_a_batch_is_decoded_alone() -> None:
    scenes = [noisy(paint(CROWD[:n], 26, 39), seed=n) for n in (1, 4)]
    names = [name for name, value in vars(scenes[0]).items() if isinstance(value, torch.Tensor)]
    both = replace(scenes[0], **{name: torch.cat([getattr(s, name) for s in scenes]) for name in names})
    sizes = [(201, 305), (150, 299)]
    together = PaperDecoder()(both, np.repeat(IDENTITY, 2, axis=0), sizes)
    for scene, size, people in zip(scenes, sizes, together, strict=True):
        assert same(people, PaperDecoder()(scene, IDENTITY, [size])[0])


def test_best_first_complete_and_bounded() -> None:
    scene = noisy(paint(CROWD, 26, 39))
    every, two = decode(scene), decode(scene, max_people=2)
    assert len(every) >= 5
    assert (np.diff(every.scores) <= 0).all()
    assert every.keypoints.shape == (len(every), 17, 3)
    assert every.keypoints.dtype == every.scores.dtype == np.float32
    assert len(every.masks or []) == len(every)
    assert np.array_equal(two.keypoints, every.keypoints[:2])
    threshold = float(every.scores[2])
    assert len(decode(scene, score_threshold=threshold)) == 3


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (20, 30)])
@pytest.mark.parametrize("offset", [0.0, float("nan"), float("inf"), -1e30, 1e9])
@pytest.mark.parametrize("heat", [-torch.inf, torch.inf, float("nan"), 0.0])
def test_strange_fields_do_no_harm(shape: tuple[int, int], offset: float, heat: float) -> None:
    for cell_read in ("bilinear", "nearest", "consistent"):
        found = decode(empty(*shape, heat=heat, offset=offset), cell_read=cell_read, hough_grid_px=8.0)
        assert np.isfinite(found.keypoints).all()
        assert np.isfinite(found.scores).all()
        assert all(mask["size"] == [201, 305] for mask in found.masks or [])


def test_people_without_any_score_are_dropped() -> None:
    scores = np.broadcast_to(np.array([[0.0], [0.2], [0.5]]), (3, 17))
    best = PaperDecoder()._best(standing((0, 0), (50, 0), (99, 0)), np.ones((3, 17)), scores)
    assert best.scores == pytest.approx([0.5, 0.2])
    assert best.crop_xy[:, 0, 0].tolist() == [99, 50]


def test_nothing_gives_nobody() -> None:
    found = decode(empty(20, 30))
    assert len(found) == 0
    assert found.keypoints.shape == (0, 17, 3)
    assert found.masks == []


OPTIONS = {
    "skeleton": replace(COCO, sigmas=(0.01,) * 17),
    "disk_radius_px": 20.0,
    "hough_grid_px": 2.0,
    "seed_threshold": 0.9,
    "nms_radius_px": 2.0,
    "max_people": 1,
    "score_threshold": 0.6,
    "expected_oks": False,
    "soft_nms": False,
    "hard_nms_oks": 0.01,
    "cell_read": "nearest",
    "short_refinements": 0,
    "segmentation_threshold": 0.9,
    "mask_distance_threshold": 0.1,
    "masks": False,
}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_changes_the_result(name: str) -> None:
    scene = noisy(paint(CROWD, 26, 39))
    assert same(decode(scene), decode(scene))
    assert not same(decode(scene), decode(scene, **{name: OPTIONS[name]}))


def test_radius_is_that_of_the_fields_unless_given() -> None:
    scene = noisy(paint(CROWD, 26, 39))
    small = replace(scene, disk_radius_px=20.0)
    assert same(decode(small), decode(scene, disk_radius_px=20.0))
    assert not same(decode(small), decode(scene))


def test_options_come_from_yaml() -> None:
    parser = ArgumentParser()
    parser.add_class_arguments(PaperDecoder, "decoder")
    parsed = parser.parse_string("decoder: {hough_grid_px: 2, cell_read: consistent, skeleton: {name: mine}}")
    decoder = parser.instantiate_classes(parsed).decoder
    assert (decoder.hough_grid_px, decoder.cell_read, decoder.skeleton.name) == (2.0, "consistent", "mine")
    assert decoder.skeleton.edges == COCO.edges


@pytest.mark.parametrize(
    "options", [{"hough_grid_px": 0.0}, {"disk_radius_px": float("nan")}, {"cell_read": "cubic"}, {"max_people": -1}]
)
def test_bad_options_are_told(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        PaperDecoder(**options)


def test_fields_of_another_skeleton_are_told() -> None:
    fields = replace(empty(3, 3), heatmap_logits=torch.zeros(1, 5, 3, 3))
    with pytest.raises(InputError, match="5 keypoints"):
        decode(fields)
