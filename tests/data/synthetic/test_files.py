from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO as CocoApi

from personlab.data.synthetic import files as synthetic
from personlab.data.synthetic.figure import draw_figure
from personlab.data.synthetic.files import MARKER, SPLITS, generate
from personlab.data.synthetic.look import sample_look
from personlab.data.synthetic.pose import Angles, pose
from personlab.errors import InputError
from personlab.skeleton import COCO
from tests.data.synthetic.golden import GOLDEN, current

NAMES = COCO.keypoint_names


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "set"
    generate(folder, train_images=100, val_images=6, seed=3)
    return folder


@pytest.fixture(scope="module")
def api(root: Path) -> CocoApi:
    return CocoApi(str(root / "annotations" / "person_keypoints_train2017.json"))


def digests(folder: Path) -> dict[str, str]:
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != MARKER]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def people(api: CocoApi) -> list[dict[str, Any]]:
    return [a for a in api.anns.values() if a["num_keypoints"] > 0]


def box_iou(a: list[float], b: list[float]) -> float:
    return float(coco_mask.iou([a], [b], [0])[0, 0])


def test_files_have_cocos_layout(root: Path, api: CocoApi) -> None:
    assert len(api.imgs) == 100
    assert api.cats[1]["keypoints"] == list(NAMES)
    assert sorted(n for bone in api.cats[1]["skeleton"] for n in set(bone))[0] == 1
    assert max(max(bone) for bone in api.cats[1]["skeleton"]) == 17
    for row in api.imgs.values():
        image = cv2.imread(str(root / "train2017" / row["file_name"]))
        assert image.shape == (row["height"], row["width"], 3)
        assert min(image.shape[:2]) == 257
        assert image.std() > 3  # not a blank sheet
    val = CocoApi(str(root / "annotations" / "person_keypoints_val2017.json"))
    assert len(list((root / "val2017").glob("*.jpg"))) == len(val.imgs) == 6
    assert not set(val.imgs) & set(api.imgs)
    assert not set(val.anns) & set(api.anns)


def test_boxes_areas_and_counts_fit_the_masks(api: CocoApi) -> None:
    for annotation in api.anns.values():
        mask = api.annToMask(annotation)
        assert mask.any()
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        expected = [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1]
        np.testing.assert_allclose(annotation["bbox"], expected)
        assert annotation["area"] == mask.sum()
        visibility = annotation["keypoints"][2::3]
        assert annotation["num_keypoints"] == sum(v > 0 for v in visibility)


def test_keypoints_lie_in_the_image_and_visible_ones_on_their_person(api: CocoApi) -> None:
    far = 0
    for annotation in people(api):
        image = api.imgs[annotation["image_id"]]
        keypoints = np.array(annotation["keypoints"]).reshape(17, 3)
        outside = 1 - api.annToMask(annotation)
        distance_px = cv2.distanceTransform(np.pad(outside, 1, constant_values=1), cv2.DIST_L2, 3)[1:-1, 1:-1]
        for x, y, v in keypoints:
            assert v in (0, 1, 2)
            if v == 0:
                assert (x, y) == (0, 0)
                continue
            assert 0 <= x <= image["width"] - 1
            assert 0 <= y <= image["height"] - 1
            if v == 2:
                distance = distance_px[round(y), round(x)]
                assert distance <= 3
                far += distance > 1.5
    assert far <= 5  # a polygon may cut the tip of a nose or an ear, not more


def test_masks_are_of_visible_pixels_only(api: CocoApi) -> None:
    for image_id in api.imgs:
        masks = [api.annToMask(a).astype(int) for a in api.imgToAnns[image_id]]
        if len(masks) > 1:
            # Polygons are rounded, so neighbours may share a seam, but not areas.
            shared = (sum(masks) > 1).astype(np.uint8)
            assert not cv2.erode(shared, np.ones((5, 5), np.uint8)).any()


def test_the_set_has_what_makes_grouping_hard(api: CocoApi) -> None:
    by_image = [[a for a in api.imgToAnns[i] if a["num_keypoints"] > 0] for i in api.imgs]
    overlapping = [any(box_iou(a["bbox"], b["bbox"]) > 0.1 for n, a in enumerate(g) for b in g[:n]) for g in by_image]
    assert np.mean(overlapping) > 0.3
    assert {len(g) for g in by_image} >= {1, 2, 3, 4}
    visibility = np.array([a["keypoints"][2::3] for a in people(api)])
    assert 0.5 < (visibility == 2).mean() < 0.85
    assert (visibility == 1).mean() > 0.04
    assert (visibility == 0).mean() > 0.05
    heights = np.array([a["bbox"][3] for a in people(api)])
    assert np.percentile(heights, 95) > 2.5 * np.percentile(heights, 5)
    crowds = [a for a in api.anns.values() if a["iscrowd"]]
    small = [a for a in api.anns.values() if not a["iscrowd"] and not a["num_keypoints"]]
    assert crowds
    assert small
    assert all(isinstance(a["segmentation"]["counts"], list) for a in crowds)
    assert all(isinstance(a["segmentation"], list) for a in [*small, *people(api)])
    assert any(len(a["segmentation"]) > 1 for a in people(api))
    cut = [a for a in people(api) if a["bbox"][0] == 0 or a["bbox"][1] == 0]
    assert cut


def _drawn(yaw: float) -> Any:
    rng = np.random.default_rng(1)
    figure = pose(Angles(yaw=yaw), rng)
    layer = draw_figure(figure, sample_look(rng), np.array([100.0, 110.0]), 180.0, (220, 200), np.array([0.5, -0.8]))
    assert layer is not None
    return layer


def test_left_is_on_the_right_of_the_screen_in_front_and_on_the_left_from_behind() -> None:
    front = _drawn(0)
    back = _drawn(180)
    for left in [n for n in NAMES if n.startswith("left")]:
        k, other = NAMES.index(left), NAMES.index(left.replace("left", "right"))
        assert front.keypoints[k, 0] > front.keypoints[other, 0]
        assert back.keypoints[k, 0] < back.keypoints[other, 0]
    assert not front.hidden[:5].any() or front.hidden[3:5].any()  # long hair may cover ears only
    assert not front.hidden[:3].any()
    assert back.hidden[:3].all()
    assert not front.hidden[[5, 6, 11, 12, 13, 14, 15, 16]].any()


def test_a_profile_hides_the_far_side() -> None:
    for yaw, near, gaze in ((90, "left", -1), (-90, "right", 1)):
        layer = _drawn(yaw)
        far = "right" if near == "left" else "left"
        nose, ear = layer.keypoints[0], layer.keypoints[NAMES.index(f"{near}_ear")]
        assert np.sign(nose[0] - ear[0]) == gaze
        for part in ("eye", "ear", "shoulder", "hip"):
            assert layer.hidden[NAMES.index(f"{far}_{part}")]
        for part in ("eye", "shoulder"):
            assert not layer.hidden[NAMES.index(f"{near}_{part}")]


def test_seeds_and_processes(tmp_path: Path) -> None:
    for name, seed, processes in (("one", 5, 1), ("two", 5, 2), ("other", 6, 1)):
        generate(tmp_path / name, train_images=33, val_images=1, size=96, seed=seed, processes=processes)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    one, other = digests(tmp_path / "one"), digests(tmp_path / "other")
    assert all(one[name] != other[name] for name in one)


def test_other_output_needs_another_version() -> None:
    golden, now = json.loads(GOLDEN.read_text()), current()
    mend = (
        "the output changed: raise VERSION in data/synthetic/files.py, then run python -m tests.data.synthetic.golden"
    )
    assert now["version"] == golden["version"], "run python -m tests.data.synthetic.golden"
    for split in SPLITS:
        for name, tolerance in (("keypoints", 0.5), ("boxes", 3), ("tiles", 2.5)):
            expected = np.array(golden[split][name], dtype=float)
            found = np.array(now[split][name], dtype=float)
            assert found.shape == expected.shape, mend
            np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance, err_msg=mend)


def test_a_set_of_another_version_is_not_reused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generate(tmp_path, train_images=2, val_images=1, size=96)
    monkeypatch.setattr(synthetic, "VERSION", synthetic.VERSION + 1)
    with pytest.raises(InputError, match="another version"):
        generate(tmp_path, train_images=2, val_images=1, size=96)


def test_people_range_is_kept(tmp_path: Path) -> None:
    generate(tmp_path, train_images=20, val_images=0, size=120, people=(2, 2), processes=1)
    rows = json.loads((tmp_path / "annotations" / "person_keypoints_train2017.json").read_text())["annotations"]
    counts = np.bincount([a["image_id"] for a in rows if a["num_keypoints"]])
    assert counts.max() == 2


def test_progress_and_reuse(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    arguments: dict[str, Any] = {"train_images": 3, "val_images": 2, "size": 96}
    first = generate(tmp_path, **arguments, progress=lambda done, total: calls.append((done, total)))
    assert calls[0] == (0, 5)
    assert calls[-1] == (5, 5)
    assert not first["reused"]
    assert first["train2017"]["images"] == 3
    image = tmp_path / "train2017" / "000000000001.jpg"
    before = image.stat().st_mtime_ns
    again = generate(tmp_path, **arguments)
    assert again["reused"]
    assert again["train2017"] == first["train2017"]
    assert image.stat().st_mtime_ns == before
    image.unlink()  # somebody took a file away: the set is made whole again
    assert not generate(tmp_path, **arguments)["reused"]
    assert image.is_file()


def test_an_interrupted_set_is_written_again(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path, train_images=20, val_images=1, size=96, progress=stop, processes=1)
    result = generate(tmp_path, train_images=2, val_images=1, size=96)
    assert not result["reused"]
    assert result["train2017"]["images"] == 2


def test_a_set_with_other_arguments_is_not_replaced_unasked(tmp_path: Path) -> None:
    generate(tmp_path, train_images=2, val_images=1, size=96)
    with pytest.raises(InputError, match="another seed"):
        generate(tmp_path, train_images=2, val_images=1, size=96, seed=1)
    assert not generate(tmp_path, train_images=2, val_images=1, size=96, seed=1, overwrite=True)["reused"]
    assert json.loads((tmp_path / MARKER).read_text())["seed"] == 1


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=r"not empty.*overwrite"):
        generate(tmp_path, train_images=1, val_images=1, size=96)
    generate(tmp_path, train_images=1, val_images=1, size=96, overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"size": 40}, "size: 40"),
        ({"size": 5000}, "size: 5000"),
        ({"train_images": -1}, "train_images: -1"),
        ({"train_images": 0, "val_images": 0}, "both 0"),
        ({"seed": -3}, "seed: -3"),
        ({"people": (3, 2)}, "people"),
        ({"people": (0, 2)}, "people"),
        ({"processes": 0}, "processes: 0"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        generate(tmp_path / "set", **{"train_images": 1, "val_images": 1, "size": 96, **changed})
    assert not (tmp_path / "set").exists()


def test_a_root_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(InputError, match="not a folder"):
        generate(file, train_images=1, val_images=1, size=96)
    with pytest.raises(InputError, match="cannot write"):
        generate(file / "set", train_images=1, val_images=1, size=96)
