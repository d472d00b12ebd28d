"""Which images a file of results is of."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from personlab.errors import InputError
from personlab.evaluation.image_sets import ImageSet, check_covered, companion, read_image_set, write_results_of
from personlab.evaluation.results import read_results

IMAGES = ImageSet((5, 3, 9), ("keypoints",), "val2017", "person_keypoints_val2017.json", "c0ffee")


def result(image_id: int) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": 1, "score": 0.5, "keypoints": [1.0, 2.0, 0.5]}


def test_the_images_come_back_and_the_results_stay_a_plain_list(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.b.json"
    write_results_of(path, [result(5)], IMAGES)
    assert read_results(path) == json.loads(path.read_text()) == [result(5)]
    assert companion(path) == tmp_path / "folder" / "a.b.images.json"
    assert read_image_set(path, [result(5)]) == IMAGES


def test_a_pipe_gets_results_alone(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_results_of(pipe, [result(5)], IMAGES)
    reader.join(timeout=10)
    assert json.loads(read[0]) == [result(5)]
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "does not tell which images"),
        ("[1, 2]", "tells no images"),
        ('{"image_ids": [1, "2"]}', "tells no images"),
        ('{"image_ids": [true]}', "tells no images"),
        ('{"image_ids": [5, 5]}', "tells no images, expected .*, each once"),
        ('{"image_ids": [1, 2]}', "tells the images of other results than those in .*results.json"),
        ('{"image_ids": [5], "results_sha256": "00"}', "tells the images of other results"),
        (
            '{"image_ids": [5], "kinds": ["keypoints", "segmentation"]}',
            "says that segmentation was looked for, and no result in .*results.json has any",
        ),
    ],
)
def test_a_companion_that_is_none_or_that_of_others_is_told(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps([result(5)]))
    companion(path).write_text(content)
    with pytest.raises(InputError, match=rf"results\.images\.json: {told}.*; write the results again by evaluate"):
        read_image_set(path, [result(5)])


def test_nothing_tells_the_images_of_foreign_results(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text("[]")
    assert read_image_set(path, []) is None
    # Annotation files and lists of others may have that name, too.
    for content in ({"images": []}, [{"id": 1}], [{"id": "a", "people": 0}], [{"id": 1, "people": 2}]):
        (tmp_path / "images.json").write_text(json.dumps(content))
        assert read_image_set(path, []) is None
    (tmp_path / "images.json").write_text(json.dumps([{"id": 1, "people": 0}, {"id": 2, "people": 0}]))
    assert read_image_set(path, []) == ImageSet((1, 2), ("keypoints",))
    assert read_image_set(tmp_path / "others.json", []) is None


@pytest.mark.parametrize(
    ("found", "refused"),
    [
        (range(20), False),
        (range(1, 20, 2), False),  # half of them
        (range(1, 20, 3), True),  # less than half
        (range(18), False),  # the last two may have none by chance
        (range(17), True),  # the last three not
        ([*range(10), 19], False),
        ([], True),
    ],
)
def test_results_of_too_few_images_are_refused(tmp_path: Path, found: list[int], refused: bool) -> None:
    # Images are not in the order of their numbers, and every other one has no people, so that it has no say.
    ids = list(range(40, 20, -1))
    every = [number for pair in zip(ids, range(100, 120), strict=True) for number in pair]
    results = [result(ids[n]) for n in found]
    if refused:
        with pytest.raises(InputError, match=rf"some\.json: seems .*: {20 - len(results)} of the 20 images"):
            check_covered(tmp_path / "some.json", results, every, set(ids))
    else:
        check_covered(tmp_path / "some.json", results, every, set(ids))
