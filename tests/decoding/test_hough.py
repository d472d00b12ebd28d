from __future__ import annotations

import numpy as np
import pytest

from personlab.decoding.hough import MIN_VOTE_PROBABILITY, hough_maps
from tests.decoding.scenes import paint, standing
from tests.reference import decoding as reference


@pytest.mark.parametrize(("stride", "grid_px"), [(8, 4.0), (8, 8.0), (16, 3.0)])
def test_matches_eq_1(stride: int, grid_px: float) -> None:
    rng = np.random.default_rng(0)
    heatmaps = rng.uniform(0.01, 1, (2, 5, 6)).astype(np.float32)
    short = rng.normal(0, 12, (2, 2, 5, 6)).astype(np.float32)
    expected = reference.hough(heatmaps, short, stride, grid_px, 32.0)
    assert np.abs(hough_maps(heatmaps, short, stride, grid_px, 32.0) - expected).max() < 1e-5


@pytest.mark.parametrize("stride", [4, 8, 16])
def test_a_whole_disk_scores_one_at_any_stride(stride: int) -> None:
    fields = paint(standing((200, 200)), 400 // stride + 1, 400 // stride + 1, stride)
    votes = hough_maps(fields.heatmaps[0].numpy(), fields.short_offsets[0].numpy(), stride, 4.0, 32.0)
    assert votes.sum(axis=(1, 2)) == pytest.approx(np.ones(17), abs=0.15)


def test_votes_outside_or_undefined_are_lost() -> None:
    heatmaps = np.ones((1, 3, 3), np.float32)
    short = np.zeros((1, 2, 3, 3), np.float32)
    short[0, :, 0] = np.nan
    short[0, 0, 1] = 1e30
    short[0, 1, 2] = -1000
    short[:, :, 2, 2] = 0
    votes = hough_maps(heatmaps, short, 8, 8.0, 32.0)
    assert votes[0, 2, 2] == votes.sum() == pytest.approx(64 / (np.pi * 32**2))


def test_improbable_cells_do_not_vote() -> None:
    heatmaps = np.full((1, 3, 3), MIN_VOTE_PROBABILITY / 2, np.float32)
    assert not hough_maps(heatmaps, np.zeros((1, 2, 3, 3), np.float32), 8, 4.0, 32.0).any()
