from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from personlab.data.synthetic.masks import measure, to_polygons, to_run_lengths


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_segmentations_cover_the_mask(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros((60, 70), np.uint8)
    for _ in range(rng.integers(1, 6)):
        x, y, r = rng.integers(5, 60), rng.integers(5, 50), rng.integers(4, 14)
        cv2.circle(mask, (int(x), int(y)), int(r), 1, -1)
        if rng.random() < 0.6:
            cv2.circle(mask, (int(x), int(y)), int(r) // 2, 0, -1)
    true = mask.astype(bool)
    if true.sum() < 30:
        return
    for segmentation, least in ((to_polygons(true), 0.9), (to_run_lengths(true), 1.0)):
        run_lengths = coco_mask.frPyObjects(segmentation, 60, 70)
        drawn = coco_mask.decode(coco_mask.merge(run_lengths) if isinstance(run_lengths, list) else run_lengths) > 0
        assert (drawn & true).sum() >= least * (drawn | true).sum()
        assert measure(segmentation, 60, 70)[0] == drawn.sum()


@pytest.mark.parametrize(
    "pixels", [[(0, 0)], [(3, 4), (8, 9)], [(3, x) for x in range(4, 14)], [(i, i) for i in range(9)]]
)
def test_crumbs_and_lines_keep_a_polygon(pixels: list[tuple[int, int]]) -> None:
    mask = np.zeros((20, 20), bool)
    mask[tuple(np.array(pixels).T)] = True
    assert measure(to_polygons(mask), 20, 20)[0] == len(pixels)
