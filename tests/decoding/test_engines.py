"""Both engines find the same people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from personlab.decoding import PaperDecoder
from personlab.decoding.rules.layout import read_fields
from personlab.structures import Fields, People
from tests.decoding.scenes import IDENTITY

SCENES = [
    f"n{people}_s{stride}_{variant}"
    for people in ("01", "02", "05", "10", "20", "50")
    for stride in ("08", "16")
    for variant in ("clean", "noisy", "missing", "flat")
    if (stride, variant) != ("08", "flat")
]


def decode(
    fields: Fields, engine: Any, matrix: Any = IDENTITY, size: tuple[int, int] | None = None, **options: Any
) -> list[People]:
    shape = [(n - 1) * fields.stride + 1 for n in fields.heatmap_logits.shape[-2:]]
    images = len(fields.heatmap_logits)
    matrices = np.broadcast_to(np.asarray(matrix), (images, 2, 3))
    return PaperDecoder(engine=engine, max_people=60, **options)(fields, matrices, [size or shape] * images)


def assert_same(first: People, second: People) -> None:
    assert len(first) == len(second)
    np.testing.assert_allclose(first.scores, second.scores, atol=1e-5)
    np.testing.assert_allclose(first.keypoints, second.keypoints, atol=2e-3)
    for a, b in zip(first.masks or [], second.masks or [], strict=True):
        assert a["size"] == b["size"]
        assert (coco_mask.decode(a) != coco_mask.decode(b)).mean() < 1e-5


@pytest.mark.coco
@pytest.mark.parametrize("scene", SCENES)
def test_golden_scenes(shared: Path, scene: str) -> None:
    fields = read_fields(shared / "golden" / "decoders" / f"{scene}.npz")
    for options in ({}, {"cell_read": "consistent", "hough_grid_px": 2.0}):
        found = [decode(fields, engine, **options)[0] for engine in ("numba", "torch")]
        assert len(found[0]) >= int(scene[1:3])
        assert_same(*found)
