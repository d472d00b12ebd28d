"""The oracle: true fields give the people back, on made scenes and on COCO."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from personlab.decoding import PaperDecoder
from personlab.errors import InputError
from personlab.evaluation import run_oracle
from personlab.structures import People

PLACES = np.array(
    [
        (50, 10), (55, 5), (45, 5), (60, 8), (40, 8), (70, 40), (30, 40), (80, 75), (20, 75), (85, 110), (15, 110),
        (62, 110), (38, 110), (64, 155), (36, 155), (65, 195), (35, 195),
    ]
)  # fmt: skip


def _annotation(number: int, left: float, unlabelled: tuple[int, ...] = ()) -> dict[str, Any]:
    visibility = np.full((17, 1), 2)
    visibility[list(unlabelled)] = 0
    keypoints = np.concatenate([np.add(PLACES, [left, 15]), visibility], axis=1) * (visibility > 0)
    return {
        "id": number,
        "image_id": 1 + number // 3,
        "category_id": 1,
        "iscrowd": 0,
        "area": 18000,
        "bbox": [left, 10, 100, 210],
        "segmentation": [[left, 10, left + 100, 10, left + 100, 220, left, 220]],
        "keypoints": keypoints.ravel().tolist(),
        "num_keypoints": int((visibility > 0).sum()),
    }


@pytest.fixture
def root(tmp_path) -> Path:
    """Two images: two people, one of them without nose and hips; one person, and one without any keypoint."""
    content = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "height": 240, "width": 320} for i in (1, 2)],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [
            _annotation(1, 20),
            _annotation(2, 180, (0, 11, 12)),
            _annotation(3, 20),
            _annotation(4, 200, tuple(range(17))),
        ],
    }
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "person_keypoints_made.json").write_text(json.dumps(content))
    return tmp_path


@pytest.mark.parametrize("options", [{}, {"scale": 2.0}, {"size": 481}])
def test_everybody_is_found_again_without_the_images(root, options) -> None:
    shown = []
    report = run_oracle(root, "made", 8, progress=lambda images: shown.append(list(images)) or shown[0], **options)
    assert shown == [[0, 1]]
    assert (report["images"], report["people"]) == (2, 3)
    assert report["keypoints"]["AP"] == pytest.approx(1)
    assert report["segmentation"]["AP50"] == pytest.approx(1)
    assert report["segmentation"]["AP"] > 0.85
    assert report["seconds"]["decode"] > 0


def test_the_decoder_and_the_number_of_images_can_be_chosen(root) -> None:
    calls = []

    def blind(fields, image_to_crop, image_sizes) -> list[People]:
        calls.append((fields.stride, image_sizes.tolist()))
        return [People(np.zeros((0, 17, 3), np.float32), np.zeros(0, np.float32), [])]

    report = run_oracle(root, "made", 16, max_images=1, decoder=blind)
    assert calls == [(16, [[240, 320]])]
    assert (report["images"], report["keypoints"]["AP"]) == (1, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"scale": 2.0, "size": 401}, "one of them"), ({"max_images": 0}, "max_images"), ({"annotations": "x"}, "x")],
)
def test_bad_options_are_told(root, options, message) -> None:
    with pytest.raises(InputError, match=message):
        run_oracle(root, "made", 8, **options)


@pytest.mark.coco
@pytest.mark.parametrize(
    ("stride", "scale", "images", "keypoints", "masks"),
    [(8, 1.0, None, 0.983, 0.84), (16, 1.0, None, 0.965, 0.59), (8, 2.0, 40, 0.995, 0.92)],
)
def test_the_bound_on_coco(shared, stride, scale, images, keypoints, masks) -> None:
    report = run_oracle(shared / "data" / "coco-sample", "val2017", stride, scale, max_images=images)
    assert report["keypoints"]["AP"] >= keypoints
    assert report["segmentation"]["AP"] >= masks


@pytest.mark.coco
def test_a_decoder_that_does_not_suit_true_fields_is_worse(shared) -> None:
    root = shared / "data" / "coco-sample"
    scores = [
        run_oracle(root, "val2017", 16, max_images=60, decoder=decoder)["keypoints"]["AP"]
        for decoder in (None, PaperDecoder(max_people=100))
    ]
    assert scores[0] > scores[1]
