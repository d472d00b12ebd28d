"""Imputed keypoints: read as training says, and what each way makes of the targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from personlab.data.coco import CocoAnnotations, read_annotations
from personlab.data.collate import collate
from personlab.data.datamodule import CocoDataModule
from personlab.data.dataset import CocoDataset
from personlab.data.imputed import Imputed, without_imputed
from personlab.encoding import Encoder
from personlab.errors import InputError
from personlab.structures import OFFSETS_ONLY, Targets
from tests.data.tiny_coco import document, person, write_json, write_root

LABELLED, IMPUTED = (2, 2, 10, 30), (30, 6, 20, 26)
"""Boxes of a person with keypoints and of one whose keypoints were imputed, in an image of 40 x 60 pixels."""


def _marked(identity: int, image: int, box: tuple[int, int, int, int]) -> dict[str, Any]:
    return person(identity, image, box, imputed=True, imputation={"score": 0.5, "fit": 0.7})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two training images: one with both people, one with an imputed person only."""
    root = write_root(tmp_path / "coco", count=3)
    people = [person(1, 10, LABELLED), _marked(2, 10, IMPUTED), _marked(3, 11, (5, 4, 20, 30))]
    content = document([(40, 60), (42, 57), (44, 54)], people)
    write_json(root / "annotations" / "train_imputed.json", content)
    plain = {**content, "annotations": [without_imputed(row) for row in people]}
    write_json(root / "annotations" / "train_plain.json", plain)
    return root


def _read(root: Path, imputed: Imputed, name: str = "imputed") -> CocoAnnotations:
    return read_annotations(root / "annotations" / f"train_{name}.json", imputed=imputed)


def _targets(root: Path, imputed: Imputed, name: str = "imputed") -> Targets:
    sample = CocoDataset(_read(root, imputed, name), root / "train2017").load(0)
    return Encoder(disk_radius_px=6.0)(collate([sample]), 1)


def _box(box: tuple[int, int, int, int]) -> tuple[slice, slice]:
    x, y, w, h = box
    return slice(y, y + h), slice(x, x + w)


def test_keypoints_are_read_as_asked_and_the_mark_stays(root: Path) -> None:
    found = {how: _read(root, how) for how in get_args(Imputed)}
    for how, read in found.items():
        assert read.is_imputed.tolist() == [False, True, True]
        np.testing.assert_array_equal(read.keypoints[0], found["use"].keypoints[0])
        assert read.images_with_keypoints().tolist() == [0, 1], how
    assert found["use"].has_keypoints.tolist() == [True, True, True]
    np.testing.assert_array_equal(found["offsets"].keypoints[1:, :, :2], found["use"].keypoints[1:, :, :2])
    assert (found["offsets"].keypoints[1:, :, 2] == OFFSETS_ONLY).all()
    assert found["offsets"].has_keypoints.tolist() == [True, False, False]
    for how in ("ignore", "mask"):
        assert not found[how].keypoints[1:].any()
        assert found[how].is_crowd[1:].tolist() == [how == "mask"] * 2
    assert _read(root, "use", "plain").images_with_keypoints().tolist() == [0]


def test_what_does_not_say_otherwise_ignores_them(root: Path) -> None:
    path = root / "annotations" / "train_imputed.json"
    assert not read_annotations(path).keypoints[1:].any()


def test_ignored_people_give_the_targets_of_people_without_keypoints(root: Path) -> None:
    ignored, plain = _targets(root, "ignore"), _targets(root, "ignore", "plain")
    for name, value in vars(plain).items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(getattr(ignored, name), value), name


def test_every_way_makes_other_targets(root: Path) -> None:
    targets = {how: _targets(root, how) for how in get_args(Imputed)}
    inside = (0, slice(None), *_box(IMPUTED))

    def shares(what: str) -> dict[str, float]:
        return {how: float(getattr(t, what)[inside].float().mean()) for how, t in targets.items()}

    assert shares("heatmap_valid") == {"use": 1, "offsets": 0, "ignore": 0, "mask": 0}
    assert shares("segmentation_valid") == {"use": 1, "offsets": 1, "ignore": 1, "mask": 0}
    assert shares("segmentation")["mask"] == 0 < shares("segmentation")["ignore"]
    assert shares("long_valid") == {"use": 1, "offsets": 1, "ignore": 0, "mask": 0}
    for what in ("short_valid", "mid_valid"):
        share = shares(what)
        assert share["use"] == share["offsets"] > 0
        assert share["ignore"] == share["mask"] == 0
    for field in ("short_offsets", "mid_offsets", "long_offsets"):
        assert torch.equal(getattr(targets["use"], field), getattr(targets["offsets"], field))


def test_offsets_alone_leave_disks_out_of_the_heatmaps_even_beside_the_mask(root: Path) -> None:
    use, offsets, ignored = (_targets(root, how) for how in ("use", "offsets", "ignore"))
    beside = torch.zeros(offsets.heatmaps.shape, dtype=torch.bool)
    beside[..., : IMPUTED[1], IMPUTED[0] : IMPUTED[0] + IMPUTED[2]] = True  # above the person
    disks = beside & (use.heatmaps > 0)
    assert disks.any()
    assert not offsets.heatmaps[disks].any()
    assert not offsets.heatmap_valid[disks].any()
    assert ignored.heatmap_valid[disks].all()
    other = (0, slice(None), *_box(LABELLED))
    assert torch.equal(offsets.heatmaps[other], use.heatmaps[other])


def test_training_takes_what_it_is_told_and_validation_ignores(root: Path) -> None:
    options = {"root": str(root), "workers": 0, "batch_size": 2, "eval_size": None}
    path = "annotations/train_imputed.json"
    module = CocoDataModule(**options, train_annotations=path, imputed="offsets")
    batch = next(iter(module.train_dataloader()))
    assert set(batch.keypoints[..., 2].unique().tolist()) == {0, 2, OFFSETS_ONLY}
    assert [int(b.image_ids) for b in module.val_dataloader()] == [10, 11, 12]  # the file of `annotations`
    both = CocoDataModule(**options, annotations=path, val_split="train2017")
    assert (next(iter(both.train_dataloader())).keypoints[:, :, 0, 2] == 2).sum() == 3
    assert [int((b.keypoints[..., 0, 2] > 0).sum()) for b in both.val_dataloader()] == [1, 0, 0]


def test_bad_marks_and_options_are_refused(root: Path) -> None:
    content = document([(20, 30)], [person(7, 10, (1, 1, 9, 9), imputed="no")])
    with pytest.raises(InputError, match=r"annotations\[0\]: imputed must be true or false, got 'no'"):
        read_annotations(write_json(root / "bad.json", content))
    with pytest.raises(InputError, match="'drop' is unknown, give use, offsets, ignore, mask"):
        CocoDataModule(str(root), imputed="drop")  # type: ignore[arg-type]
