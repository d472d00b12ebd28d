"""The metric at its anchors: COCO's own example, perfect, degenerate, and computed by hand."""

from __future__ import annotations

import copy
import json
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO as CocoIndex
from pycocotools.cocoeval import COCOeval

from personlab.errors import InputError
from personlab.evaluation import CocoAP, people_to_results
from personlab.skeleton import Skeleton
from personlab.structures import People

PAIR = Skeleton("pair", ("top", "bottom"), ((0, 1),), (0.1, 0.1))
BOX = {"left": (20, 20, 100, 50), "right": (220, 20, 100, 50)}  # x, y, width, height: medium area, 5000 pixels


def _rle(x: int, y: int, width: int, height: int) -> dict[str, Any]:
    mask = np.zeros((200, 400), np.uint8)
    mask[y : y + height, x : x + width] = 1
    return coco_mask.encode(np.asfortranarray(mask))


def _annotations(boxes: dict[int, list[tuple[int, int, int, int]]], first_id: int = 1) -> dict[str, Any]:
    annotations = [
        {
            "image_id": image_id,
            "category_id": 1,
            "area": w * h,
            "bbox": [x, y, w, h],
            "iscrowd": 0,
            "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
            "keypoints": [x, y, 2, x + w, y + h, 2],
            "num_keypoints": 2,
        }
        for image_id, rows in boxes.items()
        for x, y, w, h in rows
    ]
    for number, annotation in enumerate(annotations, first_id):
        annotation["id"] = number
    return {
        "images": [{"id": i, "height": 200, "width": 400} for i in boxes],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": annotations,
    }


def _people(*found: tuple[tuple[int, int, int, int], float], shift_px: float = 0.0) -> People:
    keypoints = [[[x + shift_px, y, 1], [x + w + shift_px, y + h, 1]] for (x, y, w, h), _ in found]
    return People(
        np.array(keypoints, np.float32).reshape(-1, 2, 3),
        np.array([score for _, score in found], np.float32),
        [_rle(*box) for box, _ in found],
    )


def _metric(boxes: dict[int, list[tuple[int, int, int, int]]], **options: Any) -> CocoAP:
    return CocoAP(_annotations(boxes, options.pop("first_id", 1)), skeleton=PAIR, **options)


def _ids(path: Path) -> list[int]:
    """All images of an annotation file: some have no result, which counts too."""
    return [image["id"] for image in json.loads(path.read_text())["images"]]


@pytest.mark.coco
def test_keypoints_of_cocos_own_example(shared) -> None:
    folder = shared / "golden" / "coco-eval"
    metric = CocoAP(folder / "person_keypoints_val2014_100.json", kinds=("keypoints",))
    results = json.loads((folder / "person_keypoints_val2014_fakekeypoints100_results.json").read_text())
    metric.update_results(results, _ids(folder / "person_keypoints_val2014_100.json"))
    figures = metric.compute()
    names = ("AP", "AP50", "AP75", "AP_medium", "AP_large", "AR", "AR50", "AR75", "AR_medium", "AR_large")
    assert list(figures) == [f"keypoints/{name}" for name in names]
    expected = [0.372, 0.636, 0.348, 0.384, 0.386, 0.514, 0.734, 0.504, 0.508, 0.522]
    assert [round(v, 3) for v in figures.values()] == expected


@pytest.mark.coco
def test_masks_of_cocos_own_example(shared, capsys) -> None:
    folder = shared / "golden" / "coco-eval"
    path, results_path = folder / "instances_val2014_100.json", folder / "instances_val2014_fakesegm100_results.json"
    metric = CocoAP(path, kinds=("segmentation",), category=None)
    results = json.loads(results_path.read_text())
    seen = _ids(path)
    metric.update_results(results, seen)
    figures = metric.compute()
    assert capsys.readouterr().out == ""
    expected = [0.320, 0.562, 0.299, 0.387, 0.310, 0.327, 0.268, 0.415, 0.417, 0.469, 0.377, 0.381]
    assert [round(v, 3) for v in figures.values()] == expected

    person = CocoAP(path, kinds=("segmentation",))
    person.update_results([r for r in results if r["category_id"] == 1], seen)
    truth = CocoIndex(str(path))
    direct = COCOeval(truth, truth.loadRes(str(results_path)), "segm")
    direct.params.imgIds, direct.params.catIds = seen, [1]
    direct.evaluate()
    direct.accumulate()
    direct.summarize()
    assert list(person.compute().values()) == pytest.approx(direct.stats.tolist(), abs=1e-12)


def test_perfect_people_score_one() -> None:
    metric = _metric({1: [BOX["left"], BOX["right"]], 2: [BOX["left"]]})
    metric.update([_people((BOX["left"], 0.9), (BOX["right"], 0.8)), _people((BOX["left"], 0.5))], [1, 2])
    figures = metric.compute()
    assert {k: figures[k] for k in ("keypoints/AP", "keypoints/AR", "keypoints/AP_medium", "segmentation/AP")} == (
        pytest.approx({"keypoints/AP": 1, "keypoints/AR": 1, "keypoints/AP_medium": 1, "segmentation/AP": 1})
    )
    assert math.isnan(figures["keypoints/AP_large"])
    assert math.isnan(figures["segmentation/AP_small"])


def test_nobody_found_scores_zero_and_nobody_there_is_undefined() -> None:
    metric = _metric({1: [BOX["left"]], 2: []})
    metric.update([_people((BOX["right"], 0.9))], [1])
    assert metric.compute()["keypoints/AP"] == 0
    metric.reset()
    assert (metric.results, metric.image_ids) == ([], [])
    metric.update([_people()], [1])
    assert metric.compute()["keypoints/AP"] == 0
    assert metric.compute()["segmentation/AR100"] == 0
    metric.reset()
    metric.update([_people((BOX["left"], 0.9))], [2])
    assert all(math.isnan(value) for value in metric.compute().values())


def test_half_found_scores_by_hand() -> None:
    # Recall 1/2 at precision 1, or at precision 1/2 behind a false alarm: 51 of the 101 recall levels are reached.
    alarm = (0, 120, 80, 60)
    for alarm_score, precision in ((0.1, 1.0), (0.95, 0.5)):
        metric = _metric({1: [BOX["left"], BOX["right"]]})
        metric.update([_people((BOX["left"], 0.9), (alarm, alarm_score))], [1])
        figures = metric.compute()
        assert figures["keypoints/AP"] == pytest.approx(precision * 51 / 101)
        assert figures["segmentation/AP"] == pytest.approx(precision * 51 / 101)
        assert figures["keypoints/AR"] == figures["segmentation/AR100"] == 0.5


def test_inexact_people_count_up_to_their_overlap() -> None:
    # OKS = exp(-d^2 / (2 (2 sigma)^2 area)) = 0.72 meets 0.50, 0.55 ... 0.70; a mask of 82 % meets 0.50 ... 0.80.
    x, y, w, h = BOX["left"]
    shift = math.sqrt(-2 * 0.2**2 * w * h * math.log(0.72))
    metric = _metric({1: [BOX["left"]]})
    people = _people((BOX["left"], 0.9), shift_px=shift)
    people.masks = [_rle(x, y, 82, h)]
    metric.update([people], [1])
    figures = metric.compute()
    assert figures["keypoints/AP"] == pytest.approx(0.5)
    assert (figures["keypoints/AP50"], figures["keypoints/AP75"]) == (pytest.approx(1), 0)
    assert figures["segmentation/AP"] == pytest.approx(0.7)


def test_the_sigmas_of_the_skeleton_count() -> None:
    strict = Skeleton("pair", PAIR.keypoint_names, PAIR.edges, (0.01, 0.01))
    scores = []
    for skeleton in (PAIR, strict):
        metric = CocoAP(_annotations({1: [BOX["left"]]}), kinds=("keypoints",), skeleton=skeleton)
        metric.update([_people((BOX["left"], 0.9), shift_px=3.0)], [1])
        scores.append(metric.compute()["keypoints/AP"])
    assert scores[0] == pytest.approx(1)
    assert scores[1] == 0


def test_only_seen_images_count_and_an_annotation_with_id_0_too() -> None:
    metric = _metric({1: [BOX["left"]], 2: [BOX["left"]]}, first_id=0)
    metric.update([_people((BOX["left"], 0.9))], [1])
    assert metric.compute()["keypoints/AP"] == pytest.approx(1)
    metric.update([_people()], [2])
    assert metric.compute()["keypoints/AP"] == pytest.approx(51 / 101)


def test_parts_of_several_processes_give_the_same_as_one() -> None:
    boxes = {i: [BOX["left"], BOX["right"]] for i in range(1, 5)}
    found = [_people((BOX["left"], 0.9 - 0.1 * i), (BOX["right"], 0.4), shift_px=3.0 * i) for i in range(4)]
    whole, parts, gathered = _metric(boxes), [_metric(boxes) for _ in range(2)], _metric(boxes)
    whole.update(found, range(1, 5))
    for n, part in enumerate(parts):
        part.update(found[n::2], range(1 + n, 5, 2))
    for part in parts[::-1]:
        gathered.update_results(json.loads(json.dumps(part.results)), part.image_ids)
    assert gathered.compute() == pytest.approx(whole.compute(), nan_ok=True)
    assert pickle.loads(pickle.dumps(gathered)).compute() == pytest.approx(whole.compute(), nan_ok=True)


def test_the_annotations_given_are_left_as_they_are() -> None:
    annotations = _annotations({1: [BOX["left"]]}, first_id=7)
    before = copy.deepcopy(annotations)
    metric = CocoAP(annotations, skeleton=PAIR)
    metric([_people((BOX["left"], 0.9))], [1])  # a call adds like update
    metric.compute()
    assert annotations == before
    assert metric.image_ids == [1]


def test_results_hold_plain_values_in_cocos_order() -> None:
    (result,) = people_to_results(_people((BOX["left"], 0.5)), 7, category_id=3)
    assert (result["image_id"], result["category_id"], result["score"]) == (7, 3, 0.5)
    assert result["keypoints"] == [20, 20, 1, 120, 70, 1]
    assert coco_mask.area(json.loads(json.dumps(result["segmentation"]))) == 5000


def test_bad_input_is_told_in_one_line(tmp_path) -> None:
    metric = _metric({1: [BOX["left"]]})
    metric.update([], [])
    with pytest.raises(InputError, match="no image was evaluated"):
        metric.compute()
    with pytest.raises(InputError, match="no image 9"):
        metric.update([_people()], [9])
    metric.update([_people()], [1])
    with pytest.raises(InputError, match="twice"):
        metric.update([_people()], [1])
    with pytest.raises(InputError, match="image 5"):
        _metric({1: []}).update_results(people_to_results(_people((BOX["left"], 1.0)), 5), [1])
    with pytest.raises(InputError, match="2 keypoints, skeleton coco has 17"):
        CocoAP(_annotations({1: [BOX["left"]]}))
    with pytest.raises(InputError, match="category 'dog'"):
        _metric({1: []}, category="dog")
    with pytest.raises(InputError, match="cannot be evaluated"):
        _metric({1: []}, kinds=("boxes",))
    with pytest.raises(InputError, match=r"nowhere\.json"):
        CocoAP(tmp_path / "nowhere.json")
    bare = _annotations({1: [BOX["left"]]})
    del bare["annotations"][0]["area"]
    with pytest.raises(InputError, match="annotation 1 has no area"):
        CocoAP(bare, skeleton=PAIR)
    bare["annotations"][0] |= {"area": 1, "segmentation": []}
    with pytest.raises(InputError, match="annotation 1 has an empty segmentation"):
        CocoAP(bare, skeleton=PAIR)
    assert CocoAP(bare, ("keypoints",), PAIR).kinds == ("keypoints",)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"images": [', "cut short"),
        ("[]", "not a COCO annotation file"),
        ('{"images": [], "annotations": [], "categories": {}}', "not a COCO annotation file"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1, "name": "person"}]}', "lists no images"),
        ('{"images": [3], "annotations": [], "categories": [{"id": 1, "name": "person"}]}', "must be an object"),
        ('{"images": [{"height": 4}], "annotations": [], "categories": [{"id": 1, "name": "person"}]}', "id"),
        ('{"images": [{"id": "a"}], "annotations": [], "categories": [{"id": 1, "name": "person"}]}', "id"),
        (
            '{"images": [{"id": 1}, {"id": 1}], "annotations": [], "categories": [{"id": 1, "name": "person"}]}',
            "unique",
        ),
        ('{"images": [{"id": 1}], "annotations": [], "categories": [{"id": 1}]}', "name must be a text"),
        (
            '{"images": [{"id": 1}], "annotations": [{"id": 5}], "categories": [{"id": 1, "name": "person"}]}',
            "annotation",
        ),
    ],
)
def test_bad_annotation_files_are_told_in_one_line(tmp_path, text, told) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"bad\.json: .*{told}") as error:
        CocoAP(path)
    assert "\n" not in str(error.value)


def test_leaving_out_people_without_keypoints_is_about_masks_alone() -> None:
    content = _annotations({1: [BOX["left"], BOX["right"]]})
    content["annotations"][1].update(keypoints=[0] * 6, num_keypoints=0)
    scores = {}
    for left_out in (False, True):
        metric = CocoAP(content, skeleton=PAIR, only_with_keypoints=left_out)
        metric.update([_people((BOX["right"], 0.9), (BOX["left"], 0.8))], [1])
        scores[left_out] = metric.compute()
    # COCO's evaluation of keypoints neither rewards nor punishes who is found on somebody without any.
    assert scores[False]["keypoints/AP"] == scores[True]["keypoints/AP"] == pytest.approx(1)
    assert scores[False]["segmentation/AP"] == pytest.approx(1)
    assert scores[True]["segmentation/AP"] == pytest.approx(0.5, abs=0.01)


def test_imputed_people_count_as_people_without_keypoints() -> None:
    boxes = {1: [BOX["left"], BOX["right"]], 2: [BOX["left"]]}
    plain = _annotations(boxes)
    plain["annotations"][1] |= {"keypoints": [0] * 6, "num_keypoints": 0}
    imputed, careless = copy.deepcopy(plain), _annotations(boxes)
    mark = {"imputed": True, "imputation": {"score": 0.9, "fit": 0.9}}
    imputed["annotations"][1] |= {"keypoints": [230, 30, 2, 300, 60, 2], "num_keypoints": 2, **mark}

    def figures(annotations: dict[str, Any], **options: Any) -> list[float]:
        metric = CocoAP(annotations, skeleton=PAIR, **options)
        metric.update([_people((BOX["left"], 0.9), (BOX["right"], 0.8), shift_px=5.0), _people()], [1, 2])
        return [value for value in metric.compute().values() if not math.isnan(value)]

    for options in ({}, {"only_with_keypoints": True}):
        assert figures(imputed, **options) == figures(plain, **options)
        assert figures(plain, **options) != figures(careless, **options)
    assert imputed["annotations"][1]["num_keypoints"] == 2  # what was given stays as it is
