"""Seeds of the released decoders: which cells, and in which order their queue hands them out."""

from __future__ import annotations

import numpy as np
import pytest

from personlab.decoding.rules.cells import cell_seeds, queue_order


@pytest.mark.parametrize(("scores", "order"), [
    ([], []),
    ([0.5], [0]),
    ([0.2, 0.8, 0.5], [1, 2, 0]),
    ([1, 1], [0, 1]),
    ([1, 1, 1], [0, 2, 1]),
    ([1, 1, 1, 1, 1, 1, 1, 1], [0, 7, 6, 5, 4, 3, 2, 1]),
    ([0.5, 0.9, 0.5, 0.9, 0.7, 0.9, 0.5, 0.9, 0.7, 0.7], [1, 3, 5, 7, 9, 8, 4, 2, 6, 0]),
    ([0.7, 0.7, 0.9, 0.9, 0.9, 0.5, 0.5, 0.5, 0.7, 0.9, 0.9, 0.7], [2, 3, 4, 9, 10, 8, 1, 11, 0, 5, 6, 7]),
])  # fmt: skip
def test_equal_scores_leave_the_queue_as_in_the_released_one(scores: list[float], order: list[int]) -> None:
    """The expected orders are those of the released queue, run on the same scores."""
    assert queue_order(np.array(scores, dtype=np.float32)).tolist() == order


def test_distinct_scores_leave_the_queue_best_first() -> None:
    scores = np.random.default_rng(0).permutation(1000).astype(np.float32)
    np.testing.assert_array_equal(queue_order(scores), np.argsort(-scores))


def test_tied_peaks_enter_the_queue_row_by_row_then_column_then_keypoint() -> None:
    heatmaps = np.zeros((3, 4, 4), dtype=np.float32)
    heatmaps[2, 0, 0] = heatmaps[0, 0, 3] = heatmaps[1, 0, 3] = heatmaps[0, 3, 1] = 0.75
    short_offsets = np.zeros((3, 2, 4, 4), dtype=np.float32)
    seeds = cell_seeds(heatmaps, short_offsets, 8, 0.5)
    # They enter as a, b, c, d and, all alike, leave as a, d, c, b.
    assert seeds.keypoints.tolist() == [2, 0, 1, 0]
    assert seeds.xy.tolist() == [[0, 0], [8, 24], [24, 0], [24, 0]]
