"""Scores of single images and keypoints, on people made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from personlab.evaluation import CocoAP
from personlab.evaluation.bootstrap import average_precision
from personlab.evaluation.image_scores import keypoint_scores, mask_scores
from personlab.skeleton import COCO

SIGMAS = np.array(COCO.sigmas)


def box_mask(x: int, y: int, width: int, height: int) -> dict[str, Any]:
    pixels = np.zeros((200, 200), np.uint8, order="F")
    pixels[y : y + height, x : x + width] = 1
    mask = coco_mask.encode(pixels)
    return {"size": mask["size"], "counts": mask["counts"].decode()}


def person(image_id: int, x: int, side: int = 40) -> dict[str, Any]:
    places = [(x + side * (n % 4) / 4, 20 + side * (n // 4) / 5) for n in range(17)]
    return {
        "image_id": image_id, "category_id": 1, "iscrowd": 0, "area": float(side * side), "bbox": [x, 20, side, side],
        "keypoints": [v for px, py in places for v in (px, py, 2)], "segmentation": box_mask(x, 20, side, side),
    }  # fmt: skip


def truth(*people: dict[str, Any], images: int = 2) -> dict[str, Any]:
    return {
        "images": [{"id": n + 1, "width": 200, "height": 200, "file_name": f"{n}.jpg"} for n in range(images)],
        "annotations": [{**p, "id": n + 1, "num_keypoints": 17} for n, p in enumerate(people)],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO.keypoint_names)}],
    }  # fmt: skip


def found(of: dict[str, Any], score: float = 0.9, **moved: float) -> dict[str, Any]:
    keypoints = list(of["keypoints"])
    for name, pixels in moved.items():
        keypoints[3 * COCO.keypoint_names.index(name)] += pixels
    kept = {key: of[key] for key in ("image_id", "category_id", "segmentation")}
    return {**kept, "keypoints": keypoints, "score": score}


def test_a_keypoint_counts_as_the_share_of_thresholds_that_it_reaches() -> None:
    one = person(1, 10)
    k = COCO.keypoint_names.index("nose")
    # A similarity of .72 reaches the thresholds .5, .55, .6, .65 and .7: five of ten.
    off = float(np.sqrt(-2 * np.log(0.72) * one["area"]) * 2 * SIGMAS[k])
    scores = keypoint_scores(truth(one, person(2, 50)), [found(one, nose=off)])
    assert scores.found[0, k] == pytest.approx(0.5)
    assert scores.found[0, 1:].tolist() == [1.0] * 16
    assert scores.labelled.tolist() == [[1] * 17] * 2
    recall = scores.recall()
    assert recall[k] == pytest.approx(0.25)
    assert recall[1:] == pytest.approx(0.5)  # the second image's person was not found
    assert scores.recall(np.array([2, 0]))[k] == pytest.approx(0.5)
    assert np.isnan(scores.recall(np.array([0, 0]))).all()
    assert scores.closeness[0] == pytest.approx((16 + 0.72) / 17)
    assert scores.closeness[1] == 0


def test_closeness_is_the_mean_over_the_people_who_count() -> None:
    one, two, crowd = person(1, 10), person(1, 100), {**person(1, 60), "iscrowd": 1}
    scores = keypoint_scores(truth(one, two, crowd), [found(one), found(crowd)])
    assert scores.closeness[0] == pytest.approx(0.5)
    assert np.isnan(scores.closeness[1])
    weak = keypoint_scores(truth(one, two, crowd), [found(one, score=0.1)], least_score=0.2)
    assert weak.closeness[0] == 0
    assert weak.found.sum() == 17  # recall asks for no score


def test_masks_are_measured_by_their_overlap() -> None:
    one = person(1, 10)
    half = {**found(one), "segmentation": box_mask(10, 20, 40, 20)}
    scores = mask_scores(truth(one), [half])
    assert scores.closeness[0] == pytest.approx(0.5)
    assert scores.found.shape == (2, 0)


def test_matches_by_size_give_cocos_figures_of_each_size() -> None:
    people = [person(1, 10), person(1, 60, side=110), person(2, 20), person(2, 80, side=100)]
    results = [found(p, score=0.9 - 0.1 * n, left_knee=3.0 + 4 * n) for n, p in enumerate(people)]
    metric = CocoAP(truth(*people))
    metric.update_results(results, [1, 2])
    figures = metric.compute()
    sizes = metric.matches_by_size("keypoints")
    assert list(sizes) == ["all", "medium", "large"]
    for size, matches in sizes.items():
        name = "keypoints/AP" if size == "all" else f"keypoints/AP_{size}"
        assert average_precision(matches.sorted()) == pytest.approx(figures[name])
    assert list(metric.matches_by_size("segmentation")) == ["all", "small", "medium", "large"]
