from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personlab.decoding import seeds as module
from personlab.decoding.seeds import find_seeds
from personlab.geometry.kernels import splat


@settings(deadline=None, max_examples=30)
@given(st.floats(12, 60), st.floats(12, 40), st.sampled_from([2.0, 4.0, 8.0]))
def test_peak_is_placed_between_cells(x: float, y: float, grid_px: float) -> None:
    votes = np.zeros((3, int(60 // grid_px) + 3, int(80 // grid_px) + 3), np.float32)
    splat(votes[1], x / grid_px, y / grid_px, 0.9)
    found = find_seeds(votes, 0.01, grid_px)
    assert found.keypoints.tolist() == [1]
    assert found.xy[0] == pytest.approx((x, y), abs=1e-4)


def test_all_types_share_one_queue_best_first() -> None:
    votes = np.zeros((3, 9, 9), np.float32)
    votes[2, 4, 4], votes[0, 1, 1], votes[1, 7, 7], votes[0, 7, 7] = 0.9, 0.5, 0.7, 0.005
    found = find_seeds(votes, 0.01, 4.0)
    assert found.keypoints.tolist() == [2, 1, 0]
    assert found.scores == pytest.approx([0.9, 0.7, 0.5])
    assert found.xy[1] == pytest.approx((28, 28))


def test_plateau_is_one_seed_and_ties_keep_reading_order() -> None:
    votes = np.zeros((2, 20, 20), np.float32)
    votes[:, 2:5, 3:6] = 0.5
    votes[:, 12:14, 12:16] = 0.5
    found = find_seeds(votes, 0.01, 4.0)
    assert found.keypoints.tolist() == [0, 0, 1, 1]
    assert found.xy[0, 1] < found.xy[1, 1]
    assert len(find_seeds(np.full((1, 20, 20), 0.5, np.float32), 0.01, 4.0).scores) == 1


def test_peaks_are_the_local_maxima_of_a_literal_search() -> None:
    votes = np.random.default_rng(0).integers(0, 6, (2, 15, 17)).astype(np.float32)
    expected = []
    for k, i, j in np.ndindex(votes.shape):
        window = [(a, b) for a in (i - 1, i, i + 1) for b in (j - 1, j, j + 1) if 0 <= a < 15 and 0 <= b < 17]
        rivals = [(-votes[k, a, b], a, b) for a, b in window]
        if votes[k, i, j] > 2 and min(rivals) == (-votes[k, i, j], i, j):
            expected.append((-votes[k, i, j], k))
    found = find_seeds(votes, 2.0, 4.0)
    assert list(zip(-found.scores, found.keypoints, strict=True)) == sorted(expected)


def test_noise_keeps_only_the_best_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SEEDS", 5)
    votes = np.random.default_rng(0).random((2, 30, 30), np.float32)
    found = find_seeds(votes, 0.01, 4.0)
    assert len(found.scores) == 5
    assert found.scores[0] == votes.max()


def test_wider_window_moves_the_place() -> None:
    votes = np.zeros((1, 9, 9), np.float32)
    votes[0, 4, 4], votes[0, 4, 6] = 0.6, 0.2
    near, wide = (find_seeds(votes, 0.3, 4.0, radius).xy[0] for radius in (4.0, 8.0))
    assert near == pytest.approx((16, 16))
    assert wide == pytest.approx((18, 16))
