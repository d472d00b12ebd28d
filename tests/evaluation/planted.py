"""Images of people whom anybody can score by hand, and what might be found there."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from personlab.skeleton import Skeleton

TRIO = Skeleton("trio", ("head", "left_hand", "right_hand"), ((0, 1), (0, 2)), (0.1, 0.1, 0.1))
FIRST, SECOND = (20, 20, 100, 100), (260, 20, 100, 100)
"""Boxes: x, y, width, height. Similarity to a keypoint at a distance of d pixels is exp(-d² / 800)."""
ELSEWHERE = (140, 180, 100, 100)
HEIGHT, WIDTH = 300, 400


def pose(box: tuple[int, int, int, int]) -> list[list[float]]:
    """The keypoints of a person: head above, a hand in each lower corner."""
    x, y, w, h = box
    return [[x + w / 2, y + 10.0], [x + 10.0, y + h - 10.0], [x + w - 10.0, y + h - 10.0]]


def away(similarity: float) -> float:
    """Pixels at which a keypoint has this similarity."""
    return math.sqrt(-800 * math.log(similarity))


def rectangle(x: int, y: int, w: int, h: int) -> dict[str, Any]:
    """A mask."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[y : y + h, x : x + w] = 1
    code = coco_mask.encode(np.asfortranarray(mask))
    return {"size": code["size"], "counts": code["counts"].decode("ascii")}


def annotations(*people: dict[str, Any], images: int = 1) -> dict[str, Any]:
    """A file of these people, on image 1 unless they say otherwise."""
    return {
        "images": [{"id": i, "height": HEIGHT, "width": WIDTH} for i in range(1, images + 1)],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [{"image_id": 1, **person, "id": n} for n, person in enumerate(people, 1)],
    }


def person(box: tuple[int, int, int, int], visible: tuple[int, ...] = (2, 2, 2), **fields: Any) -> dict[str, Any]:
    """Somebody who fills a box."""
    x, y, w, h = box
    rows = [(kx, ky, v) if v else (0, 0, 0) for (kx, ky), v in zip(pose(box), visible, strict=True)]
    keypoints = [value for row in rows for value in row]
    return {
        "category_id": 1, "area": w * h, "bbox": [x, y, w, h], "iscrowd": 0, "keypoints": keypoints,
        "num_keypoints": sum(v > 0 for v in visible),
        "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
    } | fields  # fmt: skip


def found_pose(xy: list[list[float]], score: float, image_id: int = 1) -> dict[str, Any]:
    """A result with keypoints."""
    flat = [value for x, y in xy for value in (x, y, 1.0)]
    return {"image_id": image_id, "category_id": 1, "score": score, "keypoints": flat}


def found_mask(box: tuple[int, int, int, int], score: float, image_id: int = 1) -> dict[str, Any]:
    """A result with a mask."""
    return {"image_id": image_id, "category_id": 1, "score": score, "segmentation": rectangle(*box)}


def moved(xy: list[list[float]], keypoint: int, to: tuple[float, float] | list[float]) -> list[list[float]]:
    """A pose with one keypoint elsewhere."""
    return [list(to) if k == keypoint else place for k, place in enumerate(xy)]


def shifted(xy: list[list[float]], similarity: float) -> list[list[float]]:
    """A pose of which every keypoint has this similarity."""
    return [[x + away(similarity), y] for x, y in xy]


def crowded(seed: int, images: int = 6) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Many people at random places, some not to be counted, and all sorts of things found, with poses and masks."""
    random = np.random.default_rng(seed)
    people, found = [], []

    def box() -> tuple[int, int, int, int]:
        w, h = random.integers(20, 150, 2)
        return int(random.integers(0, WIDTH - w)), int(random.integers(0, HEIGHT - h)), int(w), int(h)

    for image_id in range(1, images + 1):
        boxes = [box() for _ in range(random.integers(0, 6))]
        for place in boxes:
            visible = tuple(random.choice([0, 1, 2], 3).tolist())
            crowd = {"iscrowd": 1, "segmentation": rectangle(*place)} if random.random() < 0.15 else {}
            people.append(person(place, (0, 0, 0) if crowd else visible, image_id=image_id, **crowd))
        for _ in range(random.integers(0, 26)):
            x, y, w, h = boxes[random.integers(len(boxes))] if boxes and random.random() < 0.8 else box()
            off = random.integers(-12, 13, 2) * random.integers(0, 3)
            at = (int(np.clip(x + off[0], 0, WIDTH - w)), int(np.clip(y + off[1], 0, HEIGHT - h)), w, h)
            xy = np.array(pose(at)) + random.normal(0, 8, (3, 2)) * random.integers(0, 3)
            order = random.permutation(3) if random.random() < 0.3 else np.arange(3)
            score = float(random.choice([0.5, random.random()]))  # some are equal
            found.append(found_pose(xy[order].tolist(), score, image_id) | {"segmentation": rectangle(*at)})
    return annotations(*people, images=images), found
