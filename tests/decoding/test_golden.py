"""The golden scenes have the fields of people whose places are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from personlab.decoding import PaperDecoder
from personlab.skeleton import COCO
from tests.decoding.scenes import IDENTITY, errors_px, golden

pytestmark = pytest.mark.coco


def reachable(labelled: np.ndarray) -> np.ndarray:
    """Of labelled keypoints (K,), the largest part of the tree that hangs together: offsets cannot cross a gap."""
    parts: list[set[int]] = []
    for start in np.flatnonzero(labelled):
        part = {int(start)}
        for _, source, target in COCO.walk(int(start)):
            if source in part and labelled[target]:
                part.add(int(target))
        parts.append(part)
    best = max(parts, key=len)
    return np.isin(np.arange(len(labelled)), list(best))


@pytest.mark.parametrize("stride", ["08", "16"])
@pytest.mark.parametrize("people", ["01", "02", "05", "10", "20", "50"])
@pytest.mark.parametrize(("variant", "cell_read", "limit_px"), [
    ("clean", "bilinear", 0.5), ("clean", "consistent", 0.2), ("noisy", "bilinear", 3.0),
])  # fmt: skip
def test_everybody_is_found(
    shared: Path, people: str, stride: str, variant: str, cell_read: str, limit_px: float
) -> None:
    fields, truth = golden(shared, f"n{people}_s{stride}_{variant}")
    size = truth["instances"].shape
    decoder = PaperDecoder(max_people=60, masks=False, cell_read=cell_read)  # type: ignore[arg-type]
    found = decoder(fields, IDENTITY, [size])[0]
    labelled = np.stack([reachable(v) for v in truth["keypoints"][..., 2] > 0])
    errors = errors_px(found, truth["keypoints"][..., :2], labelled)
    assert len(errors) == int(people)
    assert errors.max() < limit_px
    assert (found.scores[: int(people)] > 0.2).all()


@pytest.mark.parametrize(("name", "iou"), [("n01_s08_clean", 0.95), ("n05_s08_noisy", 0.85), ("n10_s08_clean", 0.85)])
def test_masks_cover_the_instances(shared: Path, name: str, iou: float) -> None:
    fields, truth = golden(shared, name)
    found = PaperDecoder()(fields, IDENTITY, [truth["instances"].shape])[0]
    masks = [coco_mask.decode(m).astype(bool) for m in found.masks or []]
    best = []
    for label in range(1, len(truth["keypoints"]) + 1):
        instance = truth["instances"] == label
        best.append(max((m & instance).sum() / (m | instance).sum() for m in masks))
    assert np.mean(best) > iou
