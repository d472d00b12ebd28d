"""A COCO data set of a few small images, written to a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from personlab.skeleton import COCO


def person(identity: int, image: int, box: tuple[int, int, int, int], **other: Any) -> dict[str, Any]:
    """A rectangular person with all keypoints labelled, or any field replaced; None leaves the field out."""
    x, y, w, h = box
    places = [(x + (k % 4) * w // 4, y + k * h // 17, 2) for k in range(17)]
    fields = {
        "id": identity,
        "image_id": image,
        "category_id": 1,
        "bbox": [x, y, w, h],
        "area": w * h,
        "iscrowd": 0,
        "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
        "keypoints": [value for place in places for value in place],
        "num_keypoints": 17,
        **other,
    }
    return {key: value for key, value in fields.items() if value is not None}


def document(sizes: list[tuple[int, int]], people: list[dict[str, Any]]) -> dict[str, Any]:
    """A COCO annotation file; images have the ids 10, 11, ... and sizes (height, width)."""
    return {
        "images": [
            {"id": 10 + i, "file_name": f"{10 + i:03d}.jpg", "height": h, "width": w} for i, (h, w) in enumerate(sizes)
        ],
        "annotations": people,
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO.keypoint_names), "skeleton": []}],
    }


def write_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def write_root(root: Path, count: int = 6, splits: tuple[str, ...] = ("train2017", "val2017")) -> Path:
    """A root in COCO's layout: `count` images a split, the last one without people."""
    sizes = [(40 + 2 * i, 60 - 3 * i) for i in range(count)]
    people = [person(100 + i, 10 + i, (5, 4, 20, 30)) for i in range(count - 1)]
    for s, split in enumerate(splits):
        write_json(root / "annotations" / f"person_keypoints_{split}.json", document(sizes, people))
        folder = root / split
        folder.mkdir(parents=True)
        for i, (h, w) in enumerate(sizes):
            noise = np.random.default_rng(100 * s + i).integers(0, 256, (h // 4 + 1, w // 4 + 1, 3), dtype=np.uint8)
            cv2.imwrite(str(folder / f"{10 + i:03d}.jpg"), cv2.resize(noise, (w, h)))
    return root
