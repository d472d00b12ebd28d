"""What must hold between annotations, fields and people, whatever the scene."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from torch import Tensor

from personlab.encoding import Encoder
from personlab.evaluation import true_fields, true_fields_decoder
from personlab.skeleton import COCO
from personlab.structures import FIRST, Batch, Fields, Targets
from tests.encoding.scenes import random_scene, to_batch

STRIDE = 8
seeds = st.integers(0, 2**32 - 1)
MAPS = [f.name for f in fields(Targets) if f.name not in ("stride", "disk_radius_px")]


def _flip_batch(batch: Batch) -> Batch:
    """Mirror the places that are labelled, swap left and right, mirror the label maps."""
    keypoints = batch.keypoints[:, :, COCO.flip_permutation].clone()
    keypoints[..., 0] = (batch.label_maps.shape[-1] - 1) - keypoints[..., 0]
    return replace(batch, keypoints=keypoints, label_maps=batch.label_maps.flip(-1))


def _flip_target(name: str, target: Tensor) -> Tensor:
    """Mirror a map, swap its channels, turn its offsets round."""
    target = target.flip(-1)
    if name.startswith("mid"):
        target = target[:, COCO.edge_flip_permutation]
    elif not name.startswith("segmentation"):
        target = target[:, COCO.flip_permutation]
    if name.endswith("offsets"):
        target = target * torch.tensor([-1.0, 1.0])[:, None, None]
    return target


@settings(deadline=None, max_examples=15)
@given(seed=seeds, people=st.integers(1, 4), unlabelled=st.sampled_from(["negative", "ignore"]), area=st.booleans())
def test_encoding_a_flipped_scene_is_flipping_the_targets(seed, people, unlabelled, area) -> None:
    batch = to_batch([random_scene(np.random.default_rng(seed), people, 81, 97)])
    encoder = Encoder(disk_radius_px=20.0, unlabelled=unlabelled, area_segmentation=area)
    of_flipped, flipped = encoder(_flip_batch(batch), STRIDE), encoder(batch, STRIDE)
    for name in MAPS:
        expected = _flip_target(name, getattr(flipped, name)).float()
        torch.testing.assert_close(getattr(of_flipped, name).float(), expected, atol=1e-4, rtol=0, msg=name)


@settings(deadline=None, max_examples=15)
@given(seed=seeds, people=st.integers(1, 4), down=st.integers(0, 2), right=st.integers(0, 2), complete=st.booleans())
def test_a_shift_by_whole_strides_moves_the_targets_by_cells(seed, people, down, right, complete) -> None:
    keypoints, label_map = random_scene(np.random.default_rng(seed), people, 65, 81)

    def place(top: int, left: int) -> Batch:
        canvas = np.zeros((3, 65 + 4 * STRIDE, 81 + 4 * STRIDE), np.uint8)
        canvas[:, top : top + 65, left : left + 81] = label_map
        return to_batch([(keypoints + np.array([left, top, 0], np.float32), canvas)])

    encoder = Encoder(disk_radius_px=20.0, complete_tree=complete)
    here = encoder(place(STRIDE, STRIDE), STRIDE)
    there = encoder(place(STRIDE * (1 + down), STRIDE * (1 + right)), STRIDE)
    for name in MAPS:
        before, after = getattr(here, name).float(), getattr(there, name).float()
        height, width = before.shape[-2:]
        before = before[..., : height - down, : width - right]
        torch.testing.assert_close(after[..., down:, right:], before, atol=1e-4, rtol=0, msg=name)


def _separated_people(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """People side by side: keypoints anywhere inside an ellipse that is the person's mask."""
    height, width = 321, 240 * count + 1
    keypoints, label_map = np.full((count, 17, 3), 2, np.float32), np.zeros((3, height, width), np.uint8)
    y, x = np.mgrid[:height, :width]
    for j in range(count):
        centre = np.array([240 * j + 120, 160]) + rng.uniform(-10, 10, 2)
        radii = rng.uniform([65, 90], [95, 140])
        label_map[FIRST][((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 <= 1] = j + 1
        angle, distance = rng.uniform(0, 2 * np.pi, 17), np.sqrt(rng.uniform(0.1, 1, 17))
        keypoints[j, :, :2] = centre + radii * (distance * [np.cos(angle), np.sin(angle)]).T
    return keypoints, label_map


@settings(deadline=None, max_examples=8)
@given(seed=seeds, count=st.integers(1, 3))
@pytest.mark.parametrize("make_fields", [true_fields, lambda batch, s: Fields.from_targets(Encoder()(batch, s))])
def test_decoding_true_fields_gives_the_people_back(make_fields, seed, count) -> None:
    keypoints, label_map = _separated_people(np.random.default_rng(seed), count)
    batch = to_batch([(keypoints, label_map)])
    (people,) = true_fields_decoder()(make_fields(batch, STRIDE), batch.image_to_crop, batch.image_sizes)
    assert len(people) == count
    found = people.keypoints[:, :, 0].mean(axis=1).argsort()
    assert np.abs(people.keypoints[found, :, :2] - keypoints[:, :, :2]).max() < 0.5
    if make_fields is true_fields:
        for j, n in enumerate(found):
            mask = coco_mask.encode(np.asfortranarray((label_map[FIRST] == j + 1).astype(np.uint8)))
            assert coco_mask.iou([people.masks[n]], [mask], [0])[0, 0] >= 0.95
