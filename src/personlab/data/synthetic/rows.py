"""The synthetic data set as rows of a COCO annotation file."""

from __future__ import annotations

from typing import Any

from personlab.data.synthetic.masks import measure, to_polygons, to_run_lengths
from personlab.data.synthetic.scene import Annotation
from personlab.skeleton import COCO

_BONES = (
    (16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9), (8, 10), (9, 11),
    (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7),
)  # fmt: skip
"""What viewers draw between keypoints, counted from 1 as in COCO's files; not the tree of the method."""


def annotation_row(annotation: Annotation, height: int, width: int) -> dict[str, Any]:
    """One entry of `annotations`, without its ids. Area and box are those of the stored segmentation."""
    segmentation = to_run_lengths(annotation.mask) if annotation.crowd else to_polygons(annotation.mask)
    area, box = measure(segmentation, height, width)
    keypoints = [int(v) if v == int(v) else v for v in annotation.keypoints.ravel().tolist()]
    return {
        "segmentation": segmentation,
        "num_keypoints": int((annotation.keypoints[:, 2] > 0).sum()),
        "area": area,
        "iscrowd": int(annotation.crowd),
        "keypoints": keypoints,
        "bbox": box,
    }


def document(images: list[dict[str, Any]], annotations: list[dict[str, Any]], version: str) -> dict[str, Any]:
    """COCO's document: info, licenses, images, annotations, categories."""
    category = {
        "supercategory": "person",
        "id": 1,
        "name": "person",
        "keypoints": list(COCO.keypoint_names),
        "skeleton": [list(bone) for bone in _BONES],
    }
    return {
        "info": {"description": "personlab synthetic people", "version": version},
        "licenses": [{"id": 1, "name": "made by a program, shows nobody", "url": ""}],
        "images": images,
        "annotations": annotations,
        "categories": [category],
    }


def count(images: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> dict[str, int]:
    """How many images, people with and without keypoints, and crowds."""
    return {
        "images": len(images),
        "people": sum(a["num_keypoints"] > 0 for a in annotations),
        "without_keypoints": sum(a["num_keypoints"] == 0 and not a["iscrowd"] for a in annotations),
        "crowds": sum(a["iscrowd"] for a in annotations),
    }
