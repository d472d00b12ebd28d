"""Statistics of a data set, against numbers counted by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from personlab.data.coco import read_annotations
from personlab.data.statistics import data_statistics
from personlab.skeleton import COCO
from personlab.visualization.data_figure import draw_statistics
from tests.data.tiny_coco import document, person, write_json


@pytest.fixture
def path(tmp_path: Path) -> Path:
    half = [2, 2, 2, 1, 1, 1] + [0, 0, 0] * 15
    people = [
        person(1, 10, (0, 0, 40, 40)),
        person(2, 10, (20, 0, 40, 40), keypoints=half, num_keypoints=2),  # overlaps the first by a third
        person(3, 11, (0, 0, 50, 20), keypoints=[0] * 51, num_keypoints=0),
        person(4, 11, (0, 60, 100, 40), iscrowd=1, keypoints=[0] * 51, num_keypoints=0),
        person(5, 11, (60, 0, 10, 10), segmentation=None),
    ]
    return write_json(tmp_path / "a.json", document([(100, 100), (100, 100), (50, 80)], people))


def test_everything_is_counted(path: Path) -> None:
    found = data_statistics(read_annotations(path), COCO)
    assert {k: found[k] for k in ("images", "images_with_people", "images_with_keypoints")} == {
        "images": 3, "images_with_people": 2, "images_with_keypoints": 2,
    }  # fmt: skip
    assert (found["people"], found["people_with_keypoints"], found["crowds"], found["people_imputed"]) == (4, 3, 1, 0)
    histogram = found["people_per_image"]["histogram"]
    assert list(histogram) == [str(n) for n in range(10)] + ["10+"]
    assert {n: count for n, count in histogram.items() if count} == {"0": 1, "2": 2}
    assert found["people_per_image"]["mean"] == pytest.approx(4 / 3)
    assert found["keypoints"]["nose"] == {"unlabelled": 0, "hidden": 0, "visible": 3}
    assert found["keypoints"]["left_eye"] == {"unlabelled": 0, "hidden": 1, "visible": 2}
    assert found["keypoints"]["right_ankle"] == {"unlabelled": 1, "hidden": 0, "visible": 2}
    # Scales 40, 40 and sqrt(1000) = 31.6, all of people with a mask.
    edges = found["scales_px"]["edges"]
    assert dict(zip(edges, found["scales_px"]["people"], strict=True)) == {e: {32: 2, 16: 1}.get(e, 0) for e in edges}
    assert dict(zip(edges, found["scales_px"]["with_keypoints"], strict=True)) == {e: 2 * (e == 32) for e in edges}
    assert found["scales_px"]["spread"]["max"] == 40
    assert found["sizes"] == {"small": 1, "medium": 2, "large": 0}
    assert found["longer_side_px"]["min"] == 80


def test_shares_of_pixels_and_overlaps(path: Path) -> None:
    found = data_statistics(read_annotations(path), COCO)
    pixels = 2 * 100 * 100 + 50 * 80
    assert found["pixels"] == {
        "people": pytest.approx((60 * 40 + 50 * 20) / pixels),
        "crowd": pytest.approx(100 * 40 / pixels),
        "unannotated": pytest.approx(50 * 20 / pixels),
        "unmasked": pytest.approx(10 * 10 / pixels),
        "ignored": pytest.approx((100 * 40 + 50 * 20 + 10 * 10) / pixels),
        "shared_of_people": pytest.approx(20 * 40 / (60 * 40 + 50 * 20)),
    }
    assert found["overlaps"] == {"0.1": pytest.approx(1 / 3), "0.3": pytest.approx(1 / 3), "0.5": 0.0}


def test_some_images_alone(path: Path) -> None:
    found = data_statistics(read_annotations(path), COCO, np.array([2]))
    assert (found["images"], found["people"], found["pixels"]["people"]) == (1, 0, 0.0)
    assert found["scales_px"]["spread"] == {}


def test_the_picture_is_drawn_for_one_split_or_several(path: Path, tmp_path: Path) -> None:
    found = data_statistics(read_annotations(path), COCO)
    empty = data_statistics(read_annotations(path), COCO, np.array([2]))
    for splits in ({"one": found}, {"one": found, "none": empty, "again": found}):
        target = tmp_path / "pictures" / f"{len(splits)}.svg"
        draw_statistics(splits, target)
        text = target.read_text()
        assert text.rstrip().endswith("</svg>")
