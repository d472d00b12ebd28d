from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from personlab.decoding import PaperDecoder
from personlab.decoding.hough import hough_maps
from personlab.decoding.scoring import MIN_SCALE_PX, person_scale, score_keypoints
from personlab.decoding.suppression import hard_nms, soft_nms_scores
from personlab.skeleton import COCO
from personlab.structures import Fields
from tests.decoding.scenes import noisy, paint, standing
from tests.reference import decoding as reference

KAPPAS = 2 * np.array(COCO.sigmas)


@pytest.mark.parametrize(("stride", "grid_px"), [(8, 4.0), (8, 3.0), (16, 8.0)])
def test_matches_eq_3(stride: int, grid_px: float) -> None:
    people = standing((100, 80), (150.2, 70.4), (20, 0)) + np.random.default_rng(0).normal(0, 3, (3, 17, 2))
    fields = noisy(paint(people, 160 // stride + 1, 200 // stride + 1, stride))
    heatmaps = fields.heatmaps[0].numpy()
    votes = hough_maps(heatmaps, fields.short_offsets[0].numpy(), stride, grid_px, 32.0)
    probabilities, scores = score_keypoints(people, heatmaps, stride, votes, grid_px, 32.0, KAPPAS)
    for n, k in np.ndindex(3, 17):
        x, y = people[n, k]
        p = reference.bilinear(heatmaps[k], x / stride, y / stride)
        scale = reference.box_scale(people[n], MIN_SCALE_PX)
        assert probabilities[n, k] == pytest.approx(p, abs=1e-5)
        expected = reference.expected_oks(p, votes[k], x, y, grid_px, 32.0, scale, KAPPAS[k])
        assert scores[n, k] == pytest.approx(expected, abs=1e-4)
    assert 0.1 < scores.mean() < 1
    plain = score_keypoints(people, heatmaps, stride, votes, grid_px, 32.0, KAPPAS, expected_oks=False)[1]
    assert np.array_equal(plain, probabilities)


def test_no_votes_or_no_probability_is_no_score() -> None:
    people = standing((40, 40), (5000, -5000), (40, 40))
    heatmaps = np.full((17, 12, 12), 0.5, np.float32)
    heatmaps[3] = np.nan
    votes = np.zeros((17, 23, 23), np.float32)
    probabilities, scores = score_keypoints(people, heatmaps, 8, votes, 4.0, 32.0, KAPPAS)
    assert not scores.any()
    assert not probabilities[:, 3].any()
    assert (np.delete(probabilities, 3, axis=1) == 0.5).all()


def test_scale_of_a_point_and_a_line_is_guarded() -> None:
    line = np.stack([np.linspace(0, 100, 17), np.full(17, 7.0)], axis=1)
    assert person_scale(np.zeros((17, 2))) == person_scale(line) == MIN_SCALE_PX
    assert person_scale(standing((0, 0))[0]) == pytest.approx(np.sqrt(40 * 110))


def test_matches_eq_4() -> None:
    rng = np.random.default_rng(0)
    people = rng.integers(0, 40, (12, 17, 2)).astype(np.float64)
    scores = rng.random((12, 17))
    assert soft_nms_scores(people, scores, 10.0) == pytest.approx(reference.soft_nms(people, scores, 10.0))


def test_copy_of_a_better_person_scores_nothing() -> None:
    people = standing((100, 80), (100, 80), (300, 80))
    scores = np.array([[0.5], [0.7], [0.2]]) * np.ones(17)
    assert soft_nms_scores(people, scores, 10.0) == pytest.approx([0, 0.7, 0.2])
    assert soft_nms_scores(people[:0], scores[:0], 10.0).shape == (0,)


@pytest.mark.parametrize("most", [0.1, 0.3, 0.5])
def test_hard_nms_matches_a_loop(most: float) -> None:
    rng = np.random.default_rng(1)
    people = standing(*rng.uniform(60, 180, (40, 2))) + rng.normal(0, 4, (40, 17, 2))
    order = list(rng.permutation(40))
    kept = reference.hard_nms(people, order, COCO.sigmas, most)
    assert 5 < len(kept) < 40
    np.testing.assert_array_equal(hard_nms(people, np.array(order), 2 * np.array(COCO.sigmas), most), kept)


def test_hard_nms_keeps_the_better_of_two_and_nobody_of_none() -> None:
    people = standing((100, 80), (101, 80), (300, 80))
    kappas = 2 * np.array(COCO.sigmas)
    assert hard_nms(people, np.array([2, 1, 0]), kappas, 0.5).tolist() == [2, 1]
    assert hard_nms(people, np.array([], dtype=np.int64), kappas, 0.5).tolist() == []


def test_small_people_on_a_coarse_grid_score_in_both_engines() -> None:
    """A Gaussian far narrower than a cell of the grid: its factors underflow."""
    small = replace(COCO, sigmas=(0.005,) * COCO.num_keypoints)
    generator = torch.Generator().manual_seed(0)
    maps = {"heatmap_logits": (17,), "short_offsets": (17, 2), "mid_offsets": (32, 2), "long_offsets": (17, 2)}
    fields = Fields(
        **{name: torch.randn(1, *shape, 9, 9, generator=generator) for name, shape in maps.items()},
        segmentation_logits=torch.zeros(1, 1, 9, 9),
        stride=8,
        disk_radius_px=32.0,
    )
    for grid_px, skeleton in ((4.0, small), (16.0, COCO), (32.0, COCO)):
        decoders = [PaperDecoder(skeleton, hough_grid_px=grid_px, masks=False, engine=e) for e in ("numba", "torch")]
        ours, theirs = (d(fields, np.eye(2, 3)[None], [(65, 65)])[0] for d in decoders)
        kept, expected = (np.sort(found.scores[found.scores > 1e-6]) for found in (ours, theirs))
        assert len(kept) > 0
        np.testing.assert_allclose(kept, expected, atol=1e-6)
        assert np.isfinite(ours.scores).all()
