"""COCO files in, flat arrays out, and one clear line for every bad file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from personlab.data.coco import read_annotations
from personlab.errors import InputError
from personlab.skeleton import COCO
from tests.data.tiny_coco import document, person, write_json


def test_people_are_found_by_image_whatever_the_order_of_the_file(tmp_path: Path) -> None:
    people = [
        person(3, 11, (1, 1, 8, 8)),
        person(1, 10, (0, 0, 5, 5)),
        person(4, 11, (2, 2, 8, 8), iscrowd=1),
        person(2, 10, (1, 1, 5, 5), keypoints=[0] * 51, num_keypoints=0),
    ]
    found = read_annotations(write_json(tmp_path / "a.json", document([(20, 30), (25, 35), (5, 6)], people)))
    assert len(found) == 3
    assert found.image_ids.tolist() == [10, 11, 12]
    assert found.size(1) == (25, 35)
    assert found.file_name(2) == "012.jpg"
    assert found.annotation_ids[found.people(0)].tolist() == [1, 2]
    assert found.annotation_ids[found.people(1)].tolist() == [3]
    assert found.annotation_ids[found.crowds(1)].tolist() == [4]
    assert len(found.people(2)) == 0
    assert found.has_keypoints[found.people(0)].tolist() == [True, False]
    assert found.images_with_keypoints().tolist() == [0, 1]
    assert found.keypoints.dtype == np.float32
    np.testing.assert_array_equal(found.keypoints[found.people(1)[0]].reshape(-1), people[0]["keypoints"])


def test_missing_optional_fields_mean_what_is_left(tmp_path: Path) -> None:
    bare = {"id": 1, "image_id": 10, "category_id": 1}
    found = read_annotations(write_json(tmp_path / "a.json", document([(20, 30)], [bare])))
    assert len(found.people(0)) == 1
    assert not found.has_keypoints[0]
    assert found.segmentations.rle(0, 20, 30) is None


def test_other_categories_are_left_out(tmp_path: Path) -> None:
    content = document([(20, 30)], [person(1, 10, (0, 0, 5, 5)), person(2, 10, (0, 0, 5, 5), category_id=7)])
    content["categories"].append({"id": 7, "name": "dog"})
    assert read_annotations(write_json(tmp_path / "a.json", content)).annotation_ids.tolist() == [1]


def test_coordinates_of_unlabelled_keypoints_are_zero(tmp_path: Path) -> None:
    content = document([(20, 30)], [person(1, 10, (0, 0, 5, 5), keypoints=[4, 5, 0] + [3, 3, 1] * 16)])
    keypoints = read_annotations(write_json(tmp_path / "a.json", content)).keypoints[0]
    assert keypoints[0].tolist() == [0, 0, 0]
    assert keypoints[1].tolist() == [3, 3, 1]


def _broken(**changes: Any) -> dict[str, Any]:
    return {**document([(20, 30)], [person(1, 10, (0, 0, 5, 5))]), **changes}


def _with_person(**changes: Any) -> dict[str, Any]:
    return document([(20, 30)], [person(1, 10, (0, 0, 5, 5), **changes)])


def _null(key: str) -> dict[str, Any]:
    return {**person(1, 10, (0, 0, 5, 5)), key: None}


def _with_image(**changes: Any) -> dict[str, Any]:
    image = {**_broken()["images"][0], **changes}
    return _broken(images=[image])


def _code(height: int, width: int) -> str:
    """COCO's compressed run-length code of some pixels."""
    pixels = np.random.default_rng(0).random((height, width)) > 0.5
    return coco_mask.encode(np.asfortranarray(pixels.astype(np.uint8)))["counts"].decode()


def _swapped_names() -> list[dict[str, Any]]:
    names = list(COCO.keypoint_names)
    return [{"id": 1, "name": "person", "keypoints": [names[1], names[0], *names[2:]]}]


BAD = {
    "list": ([], "not a COCO"),
    "no tables": ({"images": []}, "not a COCO"),
    "entries": (_broken(images=[3]), "not a COCO"),
    "no images": (_broken(images=[]), "lists no images"),
    "no size": (_broken(images=[{"id": 10, "file_name": "a.jpg"}]), "images[0]: height"),
    "same id": (_broken(images=_broken()["images"] * 2), "images[1]: id 10 is not unique"),
    "image id": (_with_image(id="x"), "images[0]: id must be a whole number, got 'x'"),
    "huge id": (_with_image(id=10**30), "images[0]: id must be a whole number"),
    "height text": (_with_image(height="20"), "images[0]: height must be a whole number, got '20'"),
    "height float": (_with_image(height=20.5), "images[0]: height must be a whole number, got 20.5"),
    "no height": (_with_image(height=0), "images[0]: height 0"),
    "huge": (_with_image(height=10**9, width=10**9), "images[0]: height 1000000000"),
    "file name": (_with_image(file_name=None), "images[0]: file_name must be a text, got None"),
    "nameless category": (_broken(categories=[*_broken()["categories"], {"id": 3}]), "categories[1]: name"),
    "category of no id": (_broken(categories=[{"name": "person"}]), "categories[0]: id"),
    "17": (_broken(categories=[{"id": 1, "name": "person", "keypoints": 17}]), "list of names, got 17"),
    "annotation id": (_with_person(id="abc"), "annotations[0]: id must be a whole number, got 'abc'"),
    "annotation id null": (_broken(annotations=[_null("id")]), "annotations[0]: id must be a whole number, got None"),
    "list of images": (_with_person(image_id=[1]), "annotations[0]: image_id must be a whole number, got [1]"),
    "no category id": (
        _with_person(category_id=None),
        "annotations[0]: category_id must be a whole number, it is miss",
    ),
    "crowd": (_with_person(iscrowd="no"), "annotations[0]: iscrowd must be 0 or 1, got 'no'"),
    "no person": (_broken(categories=[{"id": 1, "name": "dog"}]), "no category 'person'"),
    "category id": (_with_person(category_id=4), "category_id 1"),
    "14 names": (_broken(categories=[{"id": 1, "name": "person", "keypoints": ["nose"] * 14}]), "14 keypoints"),
    "order": (_broken(categories=_swapped_names()), "order"),
    "14 keypoints": (_with_person(keypoints=[1] * 42), "51 numbers, got 42"),
    "visibility": (_with_person(keypoints=[1, 1, 3] * 17), "visibility"),
    "not finite": (_with_person(bbox=[0, 0, float("nan"), 1]), "bbox"),
    "unknown image": (_with_person(image_id=99), "image 99"),
    "too many": (document([(20, 30)], [person(i, 10, (0, 0, 5, 5)) for i in range(255)]), "255 people"),
    "odd polygon": (_with_person(segmentation=[[1, 2, 3, 4, 5, 6, 7]]), "polygon"),
    "text keypoints": (_with_person(keypoints=["1"] * 51), "annotation 1: keypoints needs 51 numbers"),
    "huge box": (_with_person(bbox=[10**400, 0, 1, 1]), "annotation 1: bbox"),
    "text polygon": (_with_person(segmentation=[["a"] * 6]), "annotation 1"),
    "far polygon": (_with_person(segmentation=[[1e300, 2, 3, 4, 5, 6]]), "annotation 1: a polygon"),
    "huge polygon": (_with_person(segmentation=[[10**400, 2, 3, 4, 5, 6]]), "annotation 1"),
    "nan polygon": (
        document(
            [(20, 30)],
            [person(1, 10, (0, 0, 5, 5), segmentation=[[float("nan")] * 6]), person(2, 10, (0, 0, 5, 5))],
        ),
        "annotation 1: a polygon",
    ),
    "rle float": (_with_person(segmentation={"size": [20, 30], "counts": [0.5, 599.5]}), "annotation 1: the counts"),
    "rle negative": (_with_person(segmentation={"size": [20, 30], "counts": [-1, 601]}), "annotation 1: the counts"),
    "rle text": (
        _with_person(segmentation={"size": [20, 30], "counts": "zzzzzz"}),
        "annotation 1: the run-length code",
    ),
    "rle cut": (_with_person(segmentation={"size": [20, 30], "counts": "P"}), "ends within a number"),
    "rle alphabet": (_with_person(segmentation={"size": [20, 30], "counts": "0 0"}), "not one of its characters"),
    "rle empty": (_with_person(segmentation={"size": [20, 30], "counts": ""}), "covers 0 pixels"),
    "rle of another image": (
        _with_person(segmentation={"size": [20, 30], "counts": _code(20, 31)}),
        "covers 620 pixels",
    ),
    "rle size": (_with_person(segmentation={"size": [2, 3], "counts": [6]}), "size"),
    "rle sum": (_with_person(segmentation={"size": [20, 30], "counts": [6]}), "covers 6 pixels"),
    "segmentation": (_with_person(segmentation="x"), "str"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_told_in_one_line_that_names_the_file(tmp_path: Path, name: str) -> None:
    content, said = BAD[name]
    path = write_json(tmp_path / "bad.json", content)
    with pytest.raises(InputError) as error:
        read_annotations(path)
    assert said in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99, 1.0])
def test_compressed_codes_of_any_mask_are_kept(tmp_path: Path, share: float) -> None:
    pixels = np.random.default_rng(1).random((200, 300)) < share
    pixels[50:150] = share > 0.5  # long runs take several characters
    code = coco_mask.encode(np.asfortranarray(pixels.astype(np.uint8)))
    segmentation = {"size": [200, 300], "counts": code["counts"].decode()}
    content = document([(200, 300)], [person(1, 10, (0, 0, 5, 5), segmentation=segmentation)])
    rle = read_annotations(write_json(tmp_path / "a.json", content)).segmentations.rle(0, 200, 300)
    np.testing.assert_array_equal(coco_mask.decode(rle), pixels)


def test_missing_and_truncated_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json: no such"):
        read_annotations(tmp_path / "none.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_annotations(tmp_path)
    path = write_json(tmp_path / "a.json", document([(20, 30)], []))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="cut short"):
        read_annotations(path)


def test_detection_files_only_where_keypoints_are_not_required(tmp_path: Path) -> None:
    content = document([(20, 30)], [person(1, 10, (0, 0, 5, 5), keypoints=None, num_keypoints=None)])
    del content["categories"][0]["keypoints"]
    path = write_json(tmp_path / "instances.json", content)
    with pytest.raises(InputError, match="person_keypoints"):
        read_annotations(path)
    assert len(read_annotations(path, require_keypoints=False).people(0)) == 1


@pytest.mark.coco
@pytest.mark.parametrize(
    ("split", "images", "annotations", "without_keypoints", "crowds"),
    [("train2017", 948, 2313, 579, 43), ("val2017", 150, 422, 106, 6)],
)
def test_counts_of_the_coco_sample(
    shared: Path, split: str, images: int, annotations: int, without_keypoints: int, crowds: int
) -> None:
    found = read_annotations(shared / f"data/coco-sample/annotations/person_keypoints_{split}.json")
    assert len(found) == images
    assert len(found.annotation_ids) == annotations
    assert np.sum(~found.has_keypoints & ~found.is_crowd) == without_keypoints
    assert found.is_crowd.sum() == crowds
    assert sum(len(found.people(i)) + len(found.crowds(i)) for i in range(images)) == annotations
