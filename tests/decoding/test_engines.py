"""Both engines find the same people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from personlab.decoding import PaperDecoder
from personlab.decoding.rules.layout import read_fields
from personlab.structures import Fields, People
from tests.decoding.scenes import IDENTITY, empty, noisy, paint, standing

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


def stack(*scenes: Fields) -> Fields:
    """Fields of several images as one batch."""
    names = ("heatmap_logits", "short_offsets", "mid_offsets", "segmentation_logits", "long_offsets")
    joined = {name: torch.cat([getattr(scene, name) for scene in scenes]) for name in names}
    return Fields(**joined, stride=scenes[0].stride, disk_radius_px=scenes[0].disk_radius_px)


@pytest.mark.parametrize("cell_read", ["bilinear", "nearest", "consistent"])
@pytest.mark.parametrize("options", [
    {}, {"expected_oks": False, "soft_nms": False}, {"soft_nms": False, "hard_nms_oks": 0.3},
    {"short_refinements": 0, "nms_radius_px": 30.0},
    {"seed_threshold": 0.3, "score_threshold": 0.2}, {"hough_grid_px": 3.0, "disk_radius_px": 24.0},
    {"segmentation_threshold": 0.7, "mask_distance_threshold": 0.5},
])  # fmt: skip
def test_a_batch_of_unlike_images_with_every_option(cell_read: Any, options: dict[str, Any]) -> None:
    crowd = paint(standing((70, 80), (90, 84), (140, 90)), 26, 32)
    fields = noisy(stack(crowd, empty(26, 32), paint(standing((120, 100)), 26, 32)))
    matrix, size = [[0.5, 0.0, 10.0], [0.0, 0.5, 4.0]], (410, 480)
    found = [decode(fields, engine, matrix, size, cell_read=cell_read, **options) for engine in ("numba", "torch")]
    assert [len(people) > 0 for people in found[0]] == [True, False, True]
    for first, second in zip(*found, strict=True):
        assert_same(first, second)


@pytest.mark.parametrize("value", [0.0, 1e8, -1e8, float("nan"), float("inf")])
@pytest.mark.parametrize("heat", [-20.0, 0.0, 20.0, float("nan"), float("inf")])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 12)])
def test_degenerate_fields(shape: tuple[int, int], heat: float, value: float) -> None:
    fields = empty(*shape, heat=heat, offset=value)
    found = [decode(fields, engine)[0] for engine in ("numba", "torch")]
    assert_same(*found)
    assert np.isfinite(found[0].keypoints).all()


def test_auto_is_numba_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = paint(standing((70, 80)), 24, 32)

    def unexpected(*_: Any) -> None:
        raise AssertionError("the torch engine was asked")

    monkeypatch.setattr(PaperDecoder, "_batch_poses", unexpected)
    assert len(decode(fields, "auto")[0]) == 1
    with pytest.raises(AssertionError, match="torch engine"):
        decode(fields, "torch")


@pytest.mark.gpu
def test_a_batch_on_a_gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    crowd = paint(standing((70, 80), (90, 84), (140, 90)), 26, 32)
    fields = noisy(stack(crowd, empty(26, 32), paint(standing((120, 100)), 26, 32)))
    for options in ({}, {"cell_read": "consistent", "hough_grid_px": 2.0}):
        found = [decode(fields.to(device), "auto", **options) for device in ("cpu", "cuda")]
        for first, second in zip(*found, strict=True):
            assert_same(first, second)


@pytest.mark.gpu
def test_golden_scenes_on_a_gpu(shared: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    for scene in SCENES:
        fields = read_fields(shared / "golden" / "decoders" / f"{scene}.npz")
        assert_same(decode(fields, "numba")[0], decode(fields.to("cuda", torch.float32), "auto")[0])
