"""The tables of an annotation file, taken apart without stopping at the first fault."""

from __future__ import annotations

import json
import ntpath
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from personlab.data.coco_rows import MAX_PIXELS
from personlab.data.coco_tables import TABLES, found, text, whole_number
from personlab.data.doctor.findings import Findings, Place
from personlab.data.imputed import MARK, Row
from personlab.errors import InputError

CATEGORY = "person"


@dataclass(frozen=True, eq=False)
class Tables:
    """What can be used of a file: rows whose ids, names and sizes are sound.

    Attributes:
        images: Images, each id once.
        sizes: `(image, 2)` int64: height and width in pixels.
        category: The category of people.
        people: Annotations of that category and of these images; crowds too.
        owner: `(annotation,)` int64: index into `images`.
    """

    images: list[Row]
    sizes: NDArray[np.int64]
    category: Row
    people: list[Row]
    owner: NDArray[np.int64]

    def place(self, annotation: int | np.integer[Any]) -> Place:
        """Ids of an annotation and of its image, for a finding."""
        row = self.people[int(annotation)]
        return {"annotation": row.get("id"), "image": row["image_id"]}


def read_tables(path: Path, findings: Findings) -> Tables | None:
    """Read a file and check everything but keypoints, boxes and masks.

    Args:
        path: The annotation file.
        findings: Gets what is found.

    Returns:
        The sound rows, or None where there is nothing to go on with.
    """
    try:
        raw = json.loads(path.read_bytes())
    except FileNotFoundError:
        findings.add("file-missing", "no such annotation file")
        return None
    except OSError as error:
        findings.add("file-broken", f"cannot be read: {error.strerror}")
        return None
    except (ValueError, RecursionError) as error:
        findings.add("file-broken", f"not JSON, or cut short: {error}")
        return None
    tables = _split_up(raw, findings)
    if tables is None:
        return None
    images = _images(tables["images"], findings)
    category, known = _categories(tables["categories"], findings)
    annotations = _annotations(tables["annotations"], findings)
    if category is None or not images:
        return None
    people, owner = _people(annotations, images, category, known, findings)
    sizes = np.array([(i["height"], i["width"]) for i in images], dtype=np.int64).reshape(-1, 2)
    _tell_unannotated(images, owner, findings)
    return Tables(images, sizes, category, people, owner)


def _split_up(raw: Any, findings: Findings) -> dict[str, list[tuple[int, Row]]] | None:
    """Each table with the places of its rows in the file, without rows that are no objects."""
    if not isinstance(raw, Mapping) or any(not isinstance(raw.get(t), list) for t in TABLES):
        lacking = [t for t in TABLES if not isinstance(raw, Mapping) or not isinstance(raw.get(t), list)]
        findings.add("not-coco", f"there is no list {', '.join(lacking)}")
        return None
    for table in TABLES:
        for i, row in enumerate(raw[table]):
            if not isinstance(row, dict):
                findings.add("not-coco", f"{table}[{i}] is no object")
    if not raw["images"]:
        findings.add("no-images", "it lists no images")
        return None
    return {t: [(i, row) for i, row in enumerate(raw[t]) if isinstance(row, dict)] for t in TABLES}


def _sound(findings: Findings, check: Any, where: str, row: Row, key: str) -> bool:
    try:
        check(where, row, key)
    except InputError as error:
        findings.add("field-wrong", str(error))
        return False
    return True


def _images(rows: list[tuple[int, Row]], findings: Findings) -> list[Row]:
    images: dict[int, Row] = {}
    names: dict[str, int] = {}
    for i, row in rows:
        where = f"images[{i}]"
        fields = [_sound(findings, whole_number, where, row, key) for key in ("id", "height", "width")]
        if not _sound(findings, text, where, row, "file_name") or not all(fields):
            continue
        name, number = row["file_name"], row["id"]
        if number in images:
            findings.add("image-id-duplicate", f"{where} has the id of another image", image=number)
            continue
        if name in names:
            findings.add("file-name-duplicate", f"{name} is image {names[name]} too", image=number)
        names.setdefault(name, number)
        if is_unsafe(name):
            findings.add("path-unsafe", f"{name!r:.80}", image=number)
        if min(row["height"], row["width"]) < 1 or row["height"] * row["width"] > MAX_PIXELS:
            findings.add("image-size", f"height {row['height']}, width {row['width']}", image=number)
            continue
        images[number] = row
    return list(images.values())


def is_unsafe(name: str) -> bool:
    """Whether a file name may lead out of its folder, on any system."""
    return (
        "\\" in name
        or "\0" in name
        or bool(ntpath.splitdrive(name)[0])
        or name.startswith(("/", "~"))
        or ".." in PurePosixPath(name).parts
    )


def _categories(rows: list[tuple[int, Row]], findings: Findings) -> tuple[Row | None, set[int]]:
    """The category of people, and the ids of all."""
    known: dict[int, Row] = {}
    names: set[str] = set()
    for i, row in rows:
        where = f"categories[{i}]"
        if not _sound(findings, whole_number, where, row, "id") or not _sound(findings, text, where, row, "name"):
            continue
        if row["id"] in known or row["name"] in names:
            findings.add("category-duplicate", f"{where}: id {row['id']}, name {row['name']!r:.40}")
            continue
        known[row["id"]] = row
        names.add(row["name"])
    person = next((row for row in known.values() if row["name"] == CATEGORY), None)
    if person is None:
        findings.add("category-missing", f"it has {', '.join(sorted(names)[:5]) or 'none'}")
    return person, set(known)


def _annotations(rows: list[tuple[int, Row]], findings: Findings) -> list[Row]:
    """Rows whose ids and flags are sound."""
    sound = []
    seen: set[int] = set()
    for i, row in rows:
        where = f"annotations[{i}]"
        if [key for key in ("image_id", "category_id") if not _sound(findings, whole_number, where, row, key)]:
            continue
        if "id" not in row:
            findings.add("annotation-id-missing", f"{where} has no id", image=row["image_id"])
        elif not _sound(findings, whole_number, where, row, "id"):
            continue
        elif row["id"] in seen:
            findings.add(
                "annotation-id-duplicate", f"{where}: not the first", annotation=row["id"], image=row["image_id"]
            )
        else:
            seen.add(row["id"])
        for key in ("iscrowd", MARK):
            if row.get(key, 0) not in (0, 1):
                findings.add("field-wrong", f"{where}: {key} must be 0 or 1, {found(row, key)}", image=row["image_id"])
        sound.append(row)
    return sound


def _people(
    annotations: list[Row], images: list[Row], category: Row, known: set[int], findings: Findings
) -> tuple[list[Row], NDArray[np.int64]]:
    """Annotations of people whose image is sound, and the image of each."""
    index = {image["id"]: i for i, image in enumerate(images)}
    people, owner = [], []
    for row in annotations:
        if row["category_id"] not in known:
            what = f"category_id {row['category_id']} is not listed"
            findings.add("category-unknown", what, annotation=row.get("id"), image=row["image_id"])
        if row["image_id"] not in index:
            what = f"image {row['image_id']} is not listed, or not usable"
            findings.add("annotation-image-unknown", what, annotation=row.get("id"))
        elif row["category_id"] == category["id"]:
            people.append(row)
            owner.append(index[row["image_id"]])
    if annotations and not people:
        findings.add("category-empty", f"category_id {category['id']} is in no annotation of a listed image")
    return people, np.array(owner, dtype=np.int64)


def _tell_unannotated(images: list[Row], owner: NDArray[np.int64], findings: Findings) -> None:
    counts = np.bincount(owner, minlength=len(images))
    for i in np.flatnonzero(counts == 0):
        findings.add("image-unannotated", images[i]["file_name"], image=images[i]["id"])
