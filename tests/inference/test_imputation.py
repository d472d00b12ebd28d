"""Imputing one person: what is cut out, which pose is taken, which of its keypoints are labelled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO as CocoIndex
from pycocotools.cocoeval import COCOeval

from personlab.errors import InputError
from personlab.geometry import affine
from personlab.inference import Prediction
from personlab.inference.imputation import Imputer, cut_out, mask_fit, near_mask
from personlab.inference.imputation_quality import Checked, imputation_quality, similarity
from personlab.skeleton import COCO
from personlab.structures import FIRST, People

H, W = 90, 120


def _rectangle(x: int, y: int, w: int, h: int) -> np.ndarray:
    covered = np.zeros((H, W), dtype=bool)
    covered[y : y + h, x : x + w] = True
    return covered


def _pose(x: int, y: int, w: int, h: int, score: float = 1.0) -> np.ndarray:
    """Keypoints spread over a rectangle, its corners included."""
    places = [(x + (k % 2) * (w - 1), y + k * (h - 1) / 16, score) for k in range(17)]
    return np.array(places, np.float32)


def _rle(mask: np.ndarray) -> dict[str, Any]:
    return coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))


class Finder:
    """Finds the same people, told in the frame of the image, in every crop."""

    def __init__(self, poses: list[np.ndarray], masks: list[np.ndarray] | None, scores: list[float]) -> None:
        self.poses, self.masks, self.scores = poses, masks, scores
        self.sizes: list[tuple[int, int]] = []

    def of(self, person: np.ndarray, **options: Any) -> Imputer:
        """An imputer for a person; like a predictor, it is given pixels alone, so it is told the crop's place."""
        self.crop = cut_out(np.zeros((H, W, 3), np.uint8), person, options.get("enlarge", 2.0))
        return Imputer(self, **options)

    def __call__(self, image: np.ndarray) -> Prediction:
        self.sizes.append(image.shape[:2])
        assert image.shape == self.crop.image.shape
        dx, dy = (-self.crop.image_to_crop[:, 2]).astype(int)
        rows, columns = slice(dy, dy + image.shape[0]), slice(dx, dx + image.shape[1])
        poses = np.array(self.poses, np.float32).reshape(-1, 17, 3) - np.array([dx, dy, 0], np.float32)
        masks = None if self.masks is None else [_rle(mask[rows, columns]) for mask in self.masks]
        return Prediction(image, People(poses, np.array(self.scores, np.float32), masks), {"network": 1.0}, COCO)


PERSON, NEIGHBOUR = (40, 30, 20, 40), (64, 28, 20, 40)
IMAGE = np.zeros((H, W, 3), np.uint8)


def test_the_crop_is_a_part_of_the_image_with_a_margin_on_each_side() -> None:
    image = np.random.default_rng(0).integers(0, 256, (H, W, 3), dtype=np.uint8)
    mask = _rectangle(40, 30, 10, 20)
    crop = cut_out(image, mask, enlarge=2.0)
    np.testing.assert_array_equal(crop.image, image[20:60, 30:60])  # half of 20 pixels beyond each side
    np.testing.assert_array_equal(crop.label_map[..., FIRST], mask[20:60, 30:60])
    np.testing.assert_array_equal(cut_out(image, mask, enlarge=1.0).image, image[30:50, 40:50])
    np.testing.assert_array_equal(cut_out(image, mask, enlarge=100.0).image, image)
    corner = cut_out(image, _rectangle(0, 0, 4, 6), enlarge=2.0)
    np.testing.assert_array_equal(corner.image, image[:9, :7])


@settings(deadline=None, max_examples=30)
@given(
    x=st.integers(0, W - 9), y=st.integers(0, H - 9), w=st.integers(1, 9), h=st.integers(1, 9),
    enlarge=st.floats(1, 6), u=st.floats(0, 1), v=st.floats(0, 1),
)  # fmt: skip
def test_places_come_back_from_the_crop(x, y, w, h, enlarge, u, v) -> None:
    crop = cut_out(IMAGE, _rectangle(x, y, w, h), enlarge)
    height, width = crop.image.shape[:2]
    place_xy = np.array([x + u * (w - 1), y + v * (h - 1)])
    inside_xy = affine.apply(crop.image_to_crop, place_xy)
    assert (inside_xy >= 0).all()
    assert (inside_xy <= [width - 1, height - 1]).all()
    np.testing.assert_allclose(affine.apply(affine.invert(crop.image_to_crop), inside_xy), place_xy, atol=1e-9)


@pytest.mark.parametrize(("shrink", "atol"), [(1.0, 1e-4), (0.5, 0.3), (0.2, 1.0)])
def test_what_is_seen_in_the_crop_is_told_in_the_image(shrink: float, atol: float) -> None:
    """Three coloured spots, found by their colour, wherever and however large they are in the crop."""
    image, spots_xy = np.zeros((H, W, 3), np.uint8), [(45, 38), (55, 47), (49, 60)]
    for channel, (x, y) in enumerate(spots_xy):
        image[y - 3 : y + 4, x - 3 : x + 4, channel] = 255

    def find(crop: np.ndarray) -> Prediction:
        rows, columns = np.indices(crop.shape[:2])
        others = np.stack([np.delete(crop, c, axis=-1).max(axis=-1) for c in range(3)], -1).astype(float)
        spots = np.maximum(crop - others - 25, 0)  # a grey rim is what lies beside the image
        places = [((columns * spots[..., c]).sum(), (rows * spots[..., c]).sum()) for c in range(3)]
        places = [(x / spots[..., c].sum(), y / spots[..., c].sum(), 1.0) for c, (x, y) in enumerate(places)]
        pose = np.array([*places, *[(*places[0][:2], 0.0)] * 14], np.float32)
        return Prediction(crop, People(pose[None], np.ones(1, np.float32)), {}, COCO)

    found = Imputer(find, min_fit=0.0)(image, _rectangle(*PERSON), shrink)
    assert found is not None
    assert found.keypoints[:, 2].tolist() == [2, 2, 2] + [0] * 14
    np.testing.assert_allclose(found.keypoints[:3, :2], spots_xy, atol=atol)
    assert not found.keypoints[3:].any()


def test_the_pose_that_fits_the_mask_is_taken_and_not_the_best_scored() -> None:
    person = _rectangle(*PERSON)
    half = (40, 30, 20, 12)
    boxes = [NEIGHBOUR, half, PERSON, (20, 10, 60, 70)]
    scores = [0.9, 0.8, 0.5, 0.7]
    for masks in ([_rectangle(*box) for box in boxes], None):
        found = Finder([_pose(*box) for box in boxes], masks, scores).of(person)(IMAGE, person)
        assert found is not None
        assert found.score == pytest.approx(0.5)
        assert found.fit == pytest.approx(1.0)
        np.testing.assert_allclose(found.keypoints[:, :2], _pose(*PERSON)[:, :2], atol=1e-4)
        assert (found.keypoints[:, 2] == 2).all()


def test_a_pose_of_another_person_under_the_right_outline_loses() -> None:
    person = _rectangle(*PERSON)
    finder = Finder([_pose(*NEIGHBOUR), _pose(*PERSON)], [person, _rectangle(40, 30, 20, 30)], [0.9, 0.6])
    found = finder.of(person)(IMAGE, person)
    assert found is not None
    assert (found.score, found.fit) == (pytest.approx(0.6), pytest.approx(0.75))


def test_keypoints_are_labelled_if_they_are_sure_and_near_the_mask_and_in_the_image() -> None:
    mask = _rectangle(0, 30, 20, 40)  # at the left border
    pose = _pose(0, 30, 20, 40, score=0.5)
    pose[0, 2] = 0.05  # unsure
    pose[1, :2] = 22, 40  # 3 px beside the mask: near enough with .1 of 40 px, not with .05
    pose[2, :2] = -1, 40  # outside the image
    pose[3, :2] = 40, 40  # far away

    def labelled(**options: Any) -> list[int]:
        found = Finder([pose], [mask], [0.9]).of(mask, **options)(IMAGE, mask)
        assert found is not None
        assert not found.keypoints[found.keypoints[:, 2] == 0].any()
        return np.flatnonzero(found.keypoints[:4, 2]).tolist()

    assert labelled() == []
    assert labelled(tolerance=0.1) == [1]
    assert labelled(keypoint_score=0.04) == [0]
    assert labelled(keypoint_score=0.04, tolerance=1.0) == [0, 1, 3]


def test_bad_poses_are_refused() -> None:
    person = _rectangle(*PERSON)

    def found(pose: np.ndarray, score: float = 0.9, **options: Any) -> bool:
        return Finder([pose], None, [score]).of(person, **options)(IMAGE, person) is not None

    half = _pose(40, 30, 20, 20)
    assert found(half)
    assert not found(half, min_fit=0.6)
    assert not found(half, score=0.1)
    assert found(half, score=0.1, min_score=0.05)
    unsure = _pose(*PERSON, score=0.05)
    assert not found(unsure)
    unsure[:3, 2] = 0.5
    assert found(unsure)
    unsure[2, 2] = 0.05
    assert not found(unsure)  # two keypoints are no pose
    assert Finder([], None, []).of(person)(IMAGE, person) is None
    finder = Finder([half], None, [0.9])
    for enlarge in (1.0, 3.0):
        finder.of(person, enlarge=enlarge)(IMAGE, person)
    assert finder.sizes == [(40, 20), (H, 100)]


def test_the_fit_is_what_literal_loops_say() -> None:
    rng = np.random.default_rng(3)
    mask = rng.random((12, 15)) < 0.2
    mask[5:9, 4:8] = True
    poses = np.concatenate([rng.uniform(-4, 18, (3, 17, 2)), rng.uniform(0, 1, (3, 17, 1))], -1).astype(np.float32)
    poses[..., :2] = np.round(poses[..., :2])
    masks = [rng.random(mask.shape) < 0.3 for _ in poses]
    covered = np.argwhere(mask)[:, ::-1]
    longer = (covered.max(axis=0) - covered.min(axis=0) + 1).max()
    near = near_mask(poses[..., :2], mask, 0.1)
    for p in range(3):
        inside = 0.0
        for k, (x, y, score) in enumerate(poses[p]):
            nearest = min(np.hypot(x - u, y - v) for u, v in covered)
            if 0 <= x < 15 and 0 <= y < 12:  # outside, the way is bounded from above
                assert near[p, k] == (nearest <= 0.1 * longer + 0.5), (x, y)
            elif near[p, k]:
                assert nearest <= 0.1 * longer + 0.5
            inside += score * near[p, k]
        overlap = (masks[p] & mask).sum() / (masks[p] | mask).sum()
        fits = mask_fit(poses, near, [_rle(m) for m in masks], mask)
        assert fits[p] == pytest.approx(inside / poses[p, :, 2].sum() * overlap)


@pytest.mark.parametrize(
    "options", [{"enlarge": 0.9}, {"min_fit": 1.1}, {"min_score": -1}, {"tolerance": float("nan")}]
)
def test_bad_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(options))}: .* must lie between"):
        Imputer(Finder([], None, []), **options)


def test_similarity_is_cocos() -> None:
    rng = np.random.default_rng(1)
    truth = np.concatenate([rng.uniform(0, 80, (17, 2)), np.full((17, 1), 2)], -1).astype(np.float32)
    found = truth + np.concatenate([rng.normal(0, 4, (17, 2)), np.zeros((17, 1))], -1).astype(np.float32)
    truth[3] = 0
    row = {"id": 1, "image_id": 1, "category_id": 1, "area": 2000, "bbox": [0, 0, 80, 80], "iscrowd": 0}
    index = [CocoIndex(), CocoIndex()]
    for api, keypoints in zip(index, (truth, found), strict=True):
        person = {**row, "keypoints": keypoints.reshape(-1).tolist(), "num_keypoints": 16, "score": 1}
        api.dataset = {"images": [{"id": 1}], "categories": [{"id": 1}], "annotations": [person]}
        api.createIndex()
    evaluation = COCOeval(*index, "keypoints")
    evaluation.params.kpt_oks_sigmas = np.array(COCO.sigmas)
    evaluation._prepare()
    expected = evaluation.computeOks(1, 1).item()
    each = similarity(found, truth, 2000, COCO)
    assert each[truth[:, 2] > 0].mean() == pytest.approx(expected, abs=1e-6)
    found[5, 2] = 0
    assert similarity(found, truth, 2000, COCO)[[3, 5]].tolist() == [0, 0]


def test_quality_counts_what_was_refused_and_what_was_not_labelled() -> None:
    person = _rectangle(*PERSON)
    truth = np.column_stack([_pose(*PERSON)[:, :2], np.full(17, 2)]).astype(np.float32)
    pose = _pose(*PERSON)
    pose[:4, 2] = 0.0
    found = Finder([pose], [person], [0.9]).of(person)(IMAGE, person)
    assert found is not None
    checked = Checked(COCO)
    checked.add(truth, 800, (found, None))
    checked.add(truth, 800, (None, None))
    report = imputation_quality(checked)
    assert report["as_they_are"] == {
        "people": 2, "imputed": 1, "mean_oks": pytest.approx(13 / 17), "share_above_50": 1.0,
        "mean_similarity": pytest.approx(1.0), "labelled": pytest.approx(13 / 17),
    }  # fmt: skip
    refused = report["as_small_as_imputed"]
    assert (refused["people"], refused["imputed"], refused["mean_oks"]) == (2, 0, None)
