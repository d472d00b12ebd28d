"""The rules of the decoder for edge devices: its published check values, and the rules word by word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from personlab.decoding import CoralDecoder
from personlab.decoding.grouping import walk
from personlab.decoding.reads import follow
from personlab.decoding.rules.coral import CLAMPED
from personlab.decoding.rules.layout import read_fields
from personlab.decoding.suppression import soft_nms_scores
from tests.decoding.scenes import IDENTITY
from tests.reference import coral


def ramp(height: int, width: int, channels: int, scale: float, shift: float) -> np.ndarray:
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(channels), indexing="ij")
    return ((y + x + c + 0.1) * scale + shift).astype(np.float32)


@pytest.mark.parametrize(("steps", "y", "x"), [
    (0, 4.161290, 3.819355), (1, 4.639046, 4.439290), (2, 5.168825, 5.111249), (3, 5.755558, 5.840163),
])  # fmt: skip
def test_published_displaced_places(steps: int, y: float, x: float) -> None:
    """Three keypoints, 10x8 cells, edge 1 to keypoint 2, from (4.1, 3.5)."""
    short = ramp(10, 8, 6, 1 / 21.1, 0.0)
    mid = ramp(10, 8, 16, 2 / 31, -0.5)
    mid_edge = np.ascontiguousarray(mid[..., [5, 1]].transpose(2, 0, 1))
    short_target = np.ascontiguousarray(short[..., [5, 2]].transpose(2, 0, 1))
    unread = short_target[0]
    place = follow(mid_edge, unread, short_target, 3.5, 4.1, 1, CLAMPED)
    for _ in range(steps):
        place = follow(short_target, unread, short_target, *place, 1, CLAMPED)
    assert place == pytest.approx((x, y), abs=2e-6)


def test_published_walk_along_a_chain() -> None:
    """0 - 1 - 2, all mid offsets (-1, -1), all short offsets (1, 1), two refinements, from keypoint 1."""
    shape = (10, 8)
    short, mid = np.ones((3, 2, *shape), np.float32), -np.ones((4, 2, *shape), np.float32)
    person = np.full((3, 2), np.nan)
    person[1] = 5.5, 7.1
    order = np.array([[3, 1, 0], [1, 1, 2]])
    walk(np.full((3, *shape), 0.8, np.float32), short, mid, 1, order, 2, CLAMPED, CLAMPED, person)
    np.testing.assert_allclose(person, [[6.5, 8.1], [5.5, 7.1], [6.5, 8.1]])


@pytest.mark.parametrize(("squared_radius", "weaker"), [(0.9, 0.15), (1.5, 0.1), (2.1, 0.0)])
def test_published_soft_nms(squared_radius: float, weaker: float) -> None:
    people = np.array([[[0.0, 0], [1, 1]], [[1, 0], [2, 2]]])
    scores = np.array([[0.1, 0.2], [0.3, 0.4]])
    np.testing.assert_allclose(soft_nms_scores(people, scores, squared_radius**0.5), [weaker, 0.35])


@pytest.mark.coco
@pytest.mark.parametrize("scene", ["n02_s16_noisy", "n05_s16_missing", "n10_s16_noisy", "n20_s16_clean"])
def test_poses_follow_the_rules_word_by_word(shared: Path, scene: str) -> None:
    fields = read_fields(shared / "golden" / "decoders" / f"{scene}.npz")
    logits = np.clip(fields.heatmap_logits[0].numpy(), -50, 50)
    found_xy, _, found_scores, scores = CoralDecoder(max_people=30, score_threshold=0.4).poses(fields)
    short, mid = fields.short_offsets[0].numpy() / 16, fields.mid_offsets[0].numpy() / 16
    expected = coral.decode(logits, short, mid, 30, 0.4, 10 / 16, 5)
    assert len(expected) == len(found_xy) >= 2
    for n, (score, places, keypoint_scores) in enumerate(expected):
        assert scores[n] == pytest.approx(score, abs=1e-5)
        np.testing.assert_allclose(found_xy[n], np.array(places)[:, ::-1] * 16, atol=2e-3)
        np.testing.assert_allclose(found_scores[n], keypoint_scores, atol=1e-5)


@pytest.mark.coco
def test_masks_follow_the_rules_word_by_word(shared: Path) -> None:
    fields = read_fields(shared / "golden" / "decoders" / "n02_s16_noisy.npz")
    decoder = CoralDecoder()
    poses = decoder.poses(fields)
    labels = decoder.label_map(fields, poses)
    long, inside = fields.long_offsets[0].numpy() / 16, fields.segmentation[0, 0].numpy() >= 0.5
    seen = set()
    for i, j in np.argwhere(inside):
        seen.add(int(labels[16 * i, 16 * j]))
        assert labels[16 * i, 16 * j] == coral.owner(long, poses.crop_xy / 16, i, j, 2)
    assert seen == {0, 1}
    assert (labels[::16, ::16][~inside] == -1).all()


@pytest.mark.coco
def test_the_threshold_holds_for_people_too(shared: Path) -> None:
    fields = read_fields(shared / "golden" / "decoders" / "n02_s16_noisy.npz")
    assert len(CoralDecoder(score_threshold=0.99)(fields, IDENTITY, [(401, 401)])[0]) == 0
