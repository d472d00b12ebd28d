"""A synthetic data set in COCO's layout: articulated people who overlap, with masks and keypoints.

It serves demonstrations, tests and continuous integration, where no real images can be had. Every image depends only on
(seed, split, index), so any number of processes writes the same files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from personlab.data.synthetic.background import MAX_SIDE
from personlab.data.synthetic.rows import annotation_row, count, document
from personlab.data.synthetic.scene import SceneBuilder
from personlab.errors import InputError
from personlab.files import write_atomically

Row = dict[str, Any]

VERSION = 2
"""Raised whenever the same arguments would give other files; a test compares them with the files of this version."""
MARKER = "synthetic.json"
SPLITS = ("train2017", "val2017")
MIN_SIZE = 96
_SHAPES = ((1.0, 1.0), (1.0, 1.125), (1.0, 1.25), (1.125, 1.0))
"""(height, width) of the images, times the shorter side."""
_SPLIT_ID_STEP = 1_000_000


def generate(
    root: str | Path,
    train_images: int = 3000,
    val_images: int = 200,
    size: int = 257,
    seed: int = 0,
    people: tuple[int, int] = (1, 4),
    progress: Callable[[int, int], None] | None = None,
    processes: int | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write a synthetic data set, or recognise that it is there already.

    Writes `{root}/train2017`, `{root}/val2017` and `{root}/annotations/person_keypoints_{split}.json`. People have a
    mask of their visible pixels and 17 keypoints; some images have crowd regions, people without keypoints, or nobody.

    Args:
        root: Folder to write to; made if need be.
        train_images: Number of images in `train2017`.
        val_images: Number of images in `val2017`.
        size: Shorter side of the images in pixels; the longer side is up to 1.25 times that.
        seed: Everything follows from it.
        people: Least and largest number of people with keypoints, before those are left out whom others would hide.
        progress: Called with (images done, images in all), once at the start and then after every few images.
        processes: Worker processes; None takes one for each CPU, 1 works in this process.
        overwrite: Write even where `root` holds something else. Files of the same name are replaced, others stay.

    Returns:
        `root`, `reused`, and for each split the counts `images`, `people`, `without_keypoints` and `crowds`.

    Raises:
        InputError: If an argument is out of range, or `root` cannot be written or holds something else.
    """
    root = Path(root)
    arguments = _check(train_images, val_images, size, seed, people, processes)
    counts = _existing(root, arguments, overwrite)
    if counts is not None:
        return {"root": str(root), "reused": True, **counts}
    total, done = train_images + val_images, 0
    report = progress or (lambda done, total: None)
    report(0, total)
    try:
        for folder in (*SPLITS, "annotations"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        counts = {}
        _write_json(root / MARKER, {**arguments, "complete": False})
        for split, number in enumerate((train_images, val_images)):
            make = partial(_make_image, root / SPLITS[split], seed, split, size, arguments["people"])
            made = []
            for image in _each(make, number, processes):
                made.append(image)
                done += 1
                if done % 20 == 0 or done == total:
                    report(done, total)
            counts[SPLITS[split]] = _write_annotations(root, split, made)
        _write_json(root / MARKER, {**arguments, "complete": True, "counts": counts})
    except OSError as error:
        raise InputError(f"{root}: cannot write the synthetic data set: {error.strerror or error}") from error
    return {"root": str(root), "reused": False, **counts}


def _write_annotations(root: Path, split: int, made: list[tuple[Row, list[Row]]]) -> dict[str, int]:
    """Give ids to the annotations of a split and write its file; returns the counts."""
    annotations: list[Row] = []
    for image, rows in made:
        for row in rows:
            identity = split * _SPLIT_ID_STEP * 100 + len(annotations) + 1
            annotations.append({**row, "image_id": image["id"], "category_id": 1, "id": identity})
    images = [image for image, _ in made]
    path = root / "annotations" / f"person_keypoints_{SPLITS[split]}.json"
    _write_json(path, document(images, annotations, str(VERSION)))
    return count(images, annotations)


def _check(
    train_images: int, val_images: int, size: int, seed: int, people: tuple[int, int], processes: int | None
) -> dict[str, Any]:
    """Refuse arguments out of range; what is left goes into the marker file."""
    largest = int(MAX_SIDE / max(max(shape) for shape in _SHAPES))
    if not MIN_SIZE <= size <= largest:
        raise InputError(f"size: {size} is not between {MIN_SIZE} and {largest} pixels")
    for name, number in (("train_images", train_images), ("val_images", val_images)):
        if not 0 <= number < _SPLIT_ID_STEP:
            raise InputError(f"{name}: {number} is not between 0 and {_SPLIT_ID_STEP - 1}")
    if train_images + val_images == 0:
        raise InputError("train_images and val_images are both 0: ask for at least one image")
    if seed < 0:
        raise InputError(f"seed: {seed} is negative, give 0 or more")
    if len(people) != 2 or not 1 <= people[0] <= people[1] <= 12:
        raise InputError(f"people: {tuple(people)} is not (least, largest) with 1 <= least <= largest <= 12")
    if processes is not None and processes < 1:
        raise InputError(f"processes: {processes} is less than 1")
    return {
        "kind": "personlab synthetic data set",
        "version": VERSION,
        "train_images": train_images,
        "val_images": val_images,
        "size": size,
        "seed": seed,
        "people": [int(n) for n in people],
    }


def _existing(root: Path, arguments: dict[str, Any], overwrite: bool) -> dict[str, Any] | None:
    """Counts of an identical complete set at `root`, None if one must be written.

    Raises:
        InputError: If something else is there and must not be overwritten.
    """
    if root.exists() and not root.is_dir():
        raise InputError(f"{root}: is not a folder, choose another root")
    if not root.exists() or not any(root.iterdir()):
        return None
    try:
        marker = json.loads((root / MARKER).read_text())
    except (OSError, ValueError):
        marker = None
    if not isinstance(marker, dict) or marker.get("kind") != arguments["kind"]:
        if overwrite:
            return None
        raise InputError(f"{root}: is not empty and holds no synthetic data set, choose another root or overwrite it")
    differing = [key for key, value in arguments.items() if marker.get(key) != value]
    if not differing and marker.get("complete") and not _missing(root, arguments):
        return marker["counts"]
    if differing and marker.get("complete") and not overwrite:
        raise InputError(
            f"{root}: holds a synthetic set with another {', '.join(differing)}, choose another root or overwrite it"
        )
    return None


def _missing(root: Path, arguments: dict[str, Any]) -> bool:
    """Whether files of a set that was complete have been removed since."""
    for split, number in zip(SPLITS, (arguments["train_images"], arguments["val_images"]), strict=True):
        if not (root / "annotations" / f"person_keypoints_{split}.json").is_file():
            return True
        if sum(1 for name in os.listdir(root / split) if name.endswith(".jpg")) < number:
            return True
    return False


def _start_worker() -> None:
    cv2.setNumThreads(0)


def _each(make: Callable[[int], Any], number: int, processes: int | None) -> Iterator[Any]:
    """Results of `make` for 0, 1, ... in this order; few images are not worth starting processes for."""
    workers = min(processes or os.cpu_count() or 1, number // 16)
    if workers <= 1:
        yield from map(make, range(number))
        return
    with ProcessPoolExecutor(workers, initializer=_start_worker) as pool:
        yield from pool.map(make, range(number), chunksize=max(1, min(16, number // (4 * workers))))


def _make_image(folder: Path, seed: int, split: int, size: int, people: list[int], index: int) -> tuple[Row, list[Row]]:
    """Write one image; returns its row for `images` and the rows for `annotations`, still without ids."""
    rng = np.random.default_rng([seed, split, index])
    height, width = (round(side * size) for side in _SHAPES[rng.choice(4, p=[0.3, 0.3, 0.25, 0.15])])
    scene = SceneBuilder(rng, height, width, (people[0], people[1])).build()
    identity = split * _SPLIT_ID_STEP + index + 1
    name = f"{identity:012d}.jpg"
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(82, 96))]
    encoded = cv2.imencode(".jpg", cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR), quality)[1]
    (folder / name).write_bytes(encoded.tobytes())
    row = {"license": 1, "file_name": name, "height": height, "width": width, "id": identity}
    return row, [annotation_row(a, height, width) for a in scene.annotations]


def _write_json(path: Path, content: dict[str, Any]) -> None:
    """In one line without spaces: an annotation file has millions of numbers."""
    write_atomically(path, json.dumps(content, separators=(",", ":")).encode())
