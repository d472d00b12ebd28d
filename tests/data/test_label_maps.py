"""Label maps keep overlaps, crowds and people without keypoints, with COCO's own pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO as PycocotoolsCoco

from personlab.data.coco import read_annotations
from personlab.data.label_maps import rasterise
from personlab.errors import InputError
from personlab.structures import CROWD, FIRST, IGNORE, SECOND, UNANNOTATED, UNMASKED
from tests.data.tiny_coco import document, person, write_json

H, W = 20, 30


def _label_map(tmp_path: Path, people: list[dict[str, Any]]) -> np.ndarray:
    return rasterise(read_annotations(write_json(tmp_path / "a.json", document([(H, W)], people))), 0)


def _rectangle(x: int, y: int, w: int, h: int) -> np.ndarray:
    covered = np.zeros((H, W), dtype=bool)
    covered[y : y + h, x : x + w] = True
    return covered


def test_overlaps_are_kept_and_a_third_person_is_not(tmp_path: Path) -> None:
    boxes = [(0, 0, 10, 10), (5, 5, 10, 10), (7, 0, 6, 20)]
    label_map = _label_map(tmp_path, [person(i, 10, box) for i, box in enumerate(boxes)])
    inside = [_rectangle(*box) for box in boxes]
    for y in range(H):
        for x in range(W):
            here = [p + 1 for p in range(3) if inside[p][y, x]] + [0, 0]
            assert label_map[y, x].tolist() == [here[0], here[1], 0]
    assert label_map[8, 8].tolist() == [1, 2, 0]
    assert label_map.flags.c_contiguous


def test_a_person_without_keypoints_is_a_person_and_unannotated(tmp_path: Path) -> None:
    label_map = _label_map(tmp_path, [person(1, 10, (2, 3, 5, 6), keypoints=[0] * 51)])
    inside = _rectangle(2, 3, 5, 6)
    np.testing.assert_array_equal(label_map[..., FIRST], inside * 1)
    np.testing.assert_array_equal(label_map[..., IGNORE], inside * UNANNOTATED)


@pytest.mark.parametrize("labelled", [True, False])
def test_a_person_without_a_mask_marks_the_box(tmp_path: Path, labelled: bool) -> None:
    keypoints = {} if labelled else {"keypoints": [0] * 51}
    label_map = _label_map(tmp_path, [person(1, 10, (2, 3, 5, 6), segmentation=[], **keypoints)])
    assert not label_map[..., FIRST].any()
    bits = UNMASKED if labelled else UNMASKED | UNANNOTATED
    np.testing.assert_array_equal(label_map[..., IGNORE], _rectangle(2, 3, 5, 6) * bits)


def test_a_person_without_mask_and_box_marks_the_box_of_the_keypoints(tmp_path: Path) -> None:
    places = [0, 0, 0] * 14 + [4, 3, 2, 9.5, 6, 1, 7, 12, 2]
    label_map = _label_map(tmp_path, [person(1, 10, (0, 0, 0, 0), segmentation=None, bbox=None, keypoints=places)])
    np.testing.assert_array_equal(label_map[..., IGNORE], _rectangle(4, 3, 7, 10) * UNMASKED)
    nothing = _label_map(tmp_path, [person(1, 10, (0, 0, 0, 0), segmentation=None, bbox=None, keypoints=[0] * 51)])
    assert not nothing.any()


def _runs(inside: np.ndarray) -> list[int]:
    """Uncompressed run lengths, column by column, zeros first."""
    runs, value = [0], False
    for here in inside.T.reshape(-1):
        if here != value:
            runs.append(0)
            value = here
        runs[-1] += 1
    return runs


@pytest.mark.parametrize("kind", ["list", "str", "polygon", "box"])
def test_crowds_set_their_bit_only(tmp_path: Path, kind: str) -> None:
    inside = _rectangle(4, 2, 11, 9)
    compressed = coco_mask.encode(np.asfortranarray(inside.astype(np.uint8)))["counts"].decode()
    segmentation = {
        "list": {"size": [H, W], "counts": _runs(inside)},
        "str": {"size": [H, W], "counts": compressed},
        "polygon": [[4, 2, 15, 2, 15, 11, 4, 11]],
        "box": None,
    }[kind]
    crowd = person(2, 10, (4, 2, 11, 9), iscrowd=1, segmentation=segmentation, keypoints=[0] * 51)
    label_map = _label_map(tmp_path, [crowd, person(1, 10, (0, 0, 6, 6), keypoints=[0] * 51)])
    other = _rectangle(0, 0, 6, 6)
    np.testing.assert_array_equal(label_map[..., FIRST], other * 1)
    assert not label_map[..., SECOND].any()
    np.testing.assert_array_equal(label_map[..., IGNORE], inside * CROWD | other * UNANNOTATED)


def test_rings_of_one_person_are_merged_and_degenerate_ones_left_out(tmp_path: Path) -> None:
    rings = [[1, 1, 4, 1, 4, 4, 1, 4], [10, 10, 14, 10, 14, 14, 10, 14], [0, 0, 20, 20], []]
    label_map = _label_map(tmp_path, [person(1, 10, (1, 1, 13, 13), segmentation=rings)])
    np.testing.assert_array_equal(label_map[..., FIRST], (_rectangle(1, 1, 3, 3) | _rectangle(10, 10, 4, 4)) * 1)


def test_a_corrupt_code_is_told(tmp_path: Path) -> None:
    too_long = coco_mask.encode(np.ones((H, 2 * W), dtype=np.uint8, order="F"))["counts"].decode()
    bad = person(5, 10, (4, 2, 11, 9), iscrowd=1, segmentation={"size": [H, W], "counts": too_long})
    with pytest.raises(InputError, match=r"a\.json: annotation 5"):
        _label_map(tmp_path, [bad])


@pytest.mark.coco
def test_pixels_equal_pycocotools_on_coco(shared: Path) -> None:
    path = shared / "data/coco-sample/annotations/person_keypoints_val2017.json"
    ours, theirs = read_annotations(path), PycocotoolsCoco(str(path))
    seen_second = 0
    for image in range(len(ours)):
        label_map = rasterise(ours, image)
        count = np.zeros(ours.size(image), dtype=int)
        for p, annotation in enumerate(ours.people(image)):
            covered = theirs.annToMask(theirs.anns[int(ours.annotation_ids[annotation])]).astype(bool)
            assert (label_map[covered & (count == 0)][:, FIRST] == p + 1).all()
            assert (label_map[covered & (count == 1)][:, SECOND] == p + 1).all()
            assert ((label_map[covered][:, IGNORE] & UNANNOTATED) > 0).all() or ours.has_keypoints[annotation]
            count += covered
        np.testing.assert_array_equal(label_map[..., FIRST] > 0, count > 0)
        np.testing.assert_array_equal(label_map[..., SECOND] > 0, count > 1)
        seen_second += (count > 1).sum()
        crowd = np.zeros(ours.size(image), dtype=bool)
        for annotation in ours.crowds(image):
            crowd |= theirs.annToMask(theirs.anns[int(ours.annotation_ids[annotation])]).astype(bool)
        np.testing.assert_array_equal(label_map[..., IGNORE] & CROWD, crowd * CROWD)
    assert seen_second > 0
