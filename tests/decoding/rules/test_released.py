"""The rules of the released decoders give what these decoders gave on the golden scenes, in the same order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from personlab.decoding import BodyPixDecoder, TfjsDecoder
from personlab.decoding.rules.layout import read_fields
from tests.decoding.scenes import IDENTITY

pytestmark = pytest.mark.coco

SCENES = [
    f"n{people}_s{stride}_{variant}"
    for people in ("01", "02", "05", "10", "20", "50")
    for stride in ("08", "16")
    for variant in ("clean", "noisy", "missing", "flat")
    if (stride, variant) != ("08", "flat")
]
CONFIGS = ["all", "posenet_default", "bodypix_default", "nms5"]


def golden(shared: Path, scene: str) -> dict[str, Any]:
    """What the released decoders made of a scene."""
    return json.loads((shared / "golden" / "decoders" / f"{scene}.json").read_text())


def expected_people(poses: list[dict[str, Any]]) -> np.ndarray:
    """Poses as one array (person, 18, 3): keypoints, then the score in the last row."""
    rows = [[*pose["keypoints"], [0.0, 0.0, pose["score"]]] for pose in poses]
    return np.array(rows, dtype=np.float64).reshape(len(rows), 18, 3)


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found[..., :2], expected[..., :2], atol=2e-3, rtol=0)
    np.testing.assert_allclose(found[..., 2], expected[..., 2], atol=1e-5, rtol=0)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("scene", SCENES)
def test_tfjs_poses(shared: Path, scene: str, config: str) -> None:
    reference = golden(shared, scene)
    max_people, threshold, radius = reference["configs"][config]
    decoder = TfjsDecoder(max_people=max_people, score_threshold=threshold, nms_radius_px=radius)
    fields = read_fields(shared / "golden" / "decoders" / f"{scene}.npz")
    people = decoder(fields, IDENTITY, [(reference["height"], reference["width"])])[0]
    found = np.concatenate([people.keypoints, np.zeros((len(people), 1, 3))], axis=1)
    found[:, 17, 2] = people.scores
    expected = expected_people(reference["poses"][config])
    assert len(found) == len(expected)
    assert_same(found, expected)


@pytest.mark.parametrize(("key", "matched"), [("refine8_clamped", 5), ("refine8_clamped_kp17", 17)])
@pytest.mark.parametrize("scene", SCENES)
def test_bodypix_masks(shared: Path, scene: str, key: str, matched: int) -> None:
    reference = golden(shared, scene)
    size = (reference["height"], reference["width"])
    fields = read_fields(shared / "golden" / "decoders" / f"{scene}.npz")
    max_people, threshold, radius = reference["configs"]["all"]
    decoder = BodyPixDecoder(
        max_people=max_people, score_threshold=threshold, nms_radius_px=radius, matched_keypoints=matched
    )
    poses = decoder.poses(fields)
    labels = decoder.label_map(fields, poses)
    index = reference["instances"][key]["pose_index"]
    runs = np.array(reference["instances"][key]["label_rle"]).reshape(-1, 2)
    expected = np.repeat(runs[:, 0], runs[:, 1]).reshape(size)
    expected = np.array([-1, *index])[expected]
    assert (labels != expected).sum() == 0
