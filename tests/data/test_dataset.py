"""The data set: what a ticket gives, and what becomes of images that cannot be read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from personlab.data.coco import read_annotations
from personlab.data.dataset import CocoDataset
from personlab.data.images import UnreadableImage
from personlab.data.sampler import Ticket
from personlab.data.warp import Resize
from personlab.structures import Sample
from tests.data.tiny_coco import write_root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_root(tmp_path)


def _dataset(root: Path, **options: object) -> CocoDataset:
    annotations = read_annotations(root / "annotations/person_keypoints_train2017.json")
    return CocoDataset(annotations, root / "train2017", **options)  # type: ignore[arg-type]


def brighten(sample: Sample, generator: np.random.Generator) -> Sample:
    """A view that shows the generator it was given."""
    return replace(sample, image=sample.image + np.uint8(generator.integers(0, 200)))


def test_a_sample_without_a_view_is_what_lies_on_disk(root: Path) -> None:
    dataset = _dataset(root)
    sample = dataset[2]
    assert len(dataset) == 6
    assert dataset.image_ids.tolist() == [10, 11, 12, 13, 14, 15]
    assert sample.image_id == 12
    on_disk = cv2.imread(str(root / "train2017/012.jpg"))
    np.testing.assert_array_equal(sample.image[..., ::-1], on_disk)
    assert sample.image_size == sample.image.shape[:2] == sample.label_map.shape[:2] == (44, 54)
    assert sample.keypoints.shape == (1, 17, 3)
    np.testing.assert_array_equal(sample.image_to_crop, np.eye(2, 3))
    assert sample.valid
    assert dataset[5].keypoints.shape == (0, 17, 3)


def test_images_chosen_by_index(root: Path) -> None:
    dataset = _dataset(root, images=np.array([4, 1]))
    assert [dataset[0].image_id, dataset[1].image_id] == [14, 11]


def test_the_content_hash_is_that_of_the_files_in_use(root: Path) -> None:
    first = _dataset(root).content_hash()
    assert len(first) == 16
    assert _dataset(root, view=brighten, seed=3).content_hash() == first
    some = _dataset(root, images=np.array([0, 1])).content_hash()
    image = root / "train2017" / "015.jpg"
    image.write_bytes(image.read_bytes() + b"x")
    longer = _dataset(root).content_hash()
    assert longer != first
    assert _dataset(root, images=np.array([0, 1])).content_hash() == some != first, "of images in use only"
    annotations = root / "annotations/person_keypoints_train2017.json"
    annotations.write_text(annotations.read_text() + " ")
    assert _dataset(root).content_hash() not in (first, longer)
    image.unlink()
    assert len(_dataset(root).content_hash()) == 16


def test_the_view_depends_on_seed_epoch_and_position(root: Path) -> None:
    dataset = _dataset(root, view=brighten, seed=5)

    def image(ticket: Ticket | int, data: CocoDataset = dataset) -> bytes:
        return data[ticket].image.tobytes()

    first = image(Ticket(0, 3, 1))
    assert first == image(Ticket(0, 3, 1))
    others = {image(Ticket(1, 3, 1)), image(Ticket(0, 4, 1)), image(Ticket(0, 3, 1), _dataset(root, view=brighten))}
    assert len(others | {first}) == 4
    assert image(3) == image(Ticket(0, 3, 3))


@pytest.mark.parametrize("harm", ["missing", "truncated", "other size"])
def test_unreadable_images(root: Path, harm: str) -> None:
    path = root / "train2017/011.jpg"
    if harm == "missing":
        path.unlink()
    elif harm == "truncated":
        path.write_bytes(path.read_bytes()[:-40])
    else:
        path.write_bytes((root / "train2017/012.jpg").read_bytes())
    with pytest.raises(UnreadableImage, match=r"011\.jpg"):
        _dataset(root)[1]

    def view(sample: Sample, generator: np.random.Generator) -> Sample:
        return brighten(Resize(33)(sample), generator)

    stand_in = _dataset(root, skip_broken=True, view=view)[1]
    assert not stand_in.valid
    assert stand_in.image_id == 11
    assert max(stand_in.image.shape) == 33
    assert (stand_in.image == 127).all()
    assert not stand_in.label_map.any()
    assert stand_in.keypoints.shape == (0, 17, 3)
    assert _dataset(root, skip_broken=True)[0].valid


def test_a_broken_image_is_named_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "train2017/011.jpg").unlink()
    told: list[str] = []
    monkeypatch.setattr("personlab.data.dataset.logger.warning", lambda text, *values: told.append(text % values))
    dataset = _dataset(root, skip_broken=True)
    for _ in range(2):
        assert not dataset[1].valid
    assert len(told) == 1
    assert "011.jpg" in told[0]
