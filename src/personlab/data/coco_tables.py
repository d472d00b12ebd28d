"""The tables of a COCO annotation file, checked: what reading for training and scoring have in common."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from personlab.data.imputed import MARK, Row
from personlab.errors import InputError

TABLES = ("images", "annotations", "categories")


def read_tables(path: Path, require_annotations: bool = True) -> dict[str, list[Row]]:
    """The tables of a file, see `check_tables`.

    Args:
        path: The file.
        require_annotations: Otherwise a file of images alone, as COCO publishes for its test sets, has none.

    Raises:
        InputError: If the file is missing, not JSON or not COCO.
    """
    return tables_of(path, read_content(path), require_annotations)


def read_content(path: Path) -> bytes:
    """The bytes of an annotation file.

    Raises:
        InputError: If it is missing or cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such annotation file; check the data root and the name of the split") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def tables_of(path: Path, content: bytes, require_annotations: bool = True) -> dict[str, list[Row]]:
    """The same as `read_tables` of a file that was read already.

    Raises:
        InputError: If it is not JSON or not COCO.
    """
    try:
        raw = json.loads(content)
    except ValueError as error:
        raise InputError(f"{path}: not JSON, or cut short ({error}); download it again") from None
    if not require_annotations and isinstance(raw, Mapping):
        raw = {"annotations": [], **raw}
    return check_tables(path, raw)


def check_tables(source: str | Path, raw: Any) -> dict[str, list[Row]]:
    """Images, annotations and categories, each a list of objects with ids as COCO has them; at least one image.

    Args:
        source: What to name in errors.
        raw: Content of an annotation file.

    Raises:
        InputError: If the content is anything else.
    """
    if not isinstance(raw, Mapping) or any(not isinstance(raw.get(t), list) for t in TABLES):
        raise InputError(f"{source}: not a COCO annotation file: it needs the lists images, annotations and categories")
    if not raw["images"]:
        raise InputError(f"{source}: lists no images; use a file with at least one")
    if any(not isinstance(row, Mapping) for t in TABLES for row in raw[t]):
        raise InputError(f"{source}: not a COCO annotation file: every entry of its lists must be an object")
    for i, row in enumerate(raw["images"]):
        whole_number(f"{source}: images[{i}]", row, "id")
    for i, row in enumerate(raw["categories"]):
        whole_number(f"{source}: categories[{i}]", row, "id")
        text(f"{source}: categories[{i}]", row, "name")
    for i, row in enumerate(raw["annotations"]):
        _check_annotation(f"{source}: annotations[{i}]", row)
    return {t: raw[t] for t in TABLES}


def _check_annotation(where: str, annotation: Row) -> None:
    if "id" in annotation:
        whole_number(where, annotation, "id")
    whole_number(where, annotation, "image_id")
    whole_number(where, annotation, "category_id")
    if annotation.get("iscrowd", 0) not in (0, 1):
        raise InputError(f"{where}: iscrowd must be 0 or 1, {found(annotation, 'iscrowd')}")
    if annotation.get(MARK, False) not in (False, True):
        raise InputError(f"{where}: {MARK} must be true or false, {found(annotation, MARK)}")


def whole_number(where: str, row: Row, key: str) -> int:
    """A field that must be an integer, as JSON has it.

    Raises:
        InputError: If it is missing, something else, or does not fit 64 bits; `where` names the entry.
    """
    value = row.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 2**63:
        raise InputError(f"{where}: {key} must be a whole number, {found(row, key)}")
    return value


def text(where: str, row: Row, key: str) -> str:
    """A field that must be a text and not empty.

    Raises:
        InputError: If it is missing or something else; `where` names the entry.
    """
    value = row.get(key)
    if not isinstance(value, str) or not value:
        raise InputError(f"{where}: {key} must be a text, {found(row, key)}")
    return value


def found(row: Row, key: str) -> str:
    """What is in a field, for an error."""
    return f"got {row[key]!r:.40}" if key in row else "it is missing"


def select_category(source: str | Path, tables: Mapping[str, list[Row]], name: str) -> tuple[Row, list[Row]]:
    """A category and its annotations.

    Raises:
        InputError: If there is no such category, or all annotations are of others.
    """
    category = next((c for c in tables["categories"] if c["name"] == name), None)
    if category is None:
        known = ", ".join(c["name"] for c in tables["categories"][:5])
        raise InputError(f"{source}: has no category {name!r} (it has: {known}); rename the one that means it")
    chosen = [a for a in tables["annotations"] if a["category_id"] == category["id"]]
    if tables["annotations"] and not chosen:
        raise InputError(f"{source}: no annotation has the category {name!r} (category_id {category['id']})")
    return category, chosen


def ids_of_images(source: str | Path, images: Sequence[Row]) -> NDArray[np.int64]:
    """`(image,)` ids in the file's order.

    Raises:
        InputError: If an id is there twice.
    """
    ids = np.array([image["id"] for image in images], dtype=np.int64)
    first = np.unique(ids, return_index=True)[1]
    if len(first) != len(ids):
        i = int(np.setdiff1d(np.arange(len(ids)), first)[0])
        raise InputError(f"{source}: images[{i}]: id {ids[i]} is not unique; give every image its own")
    return ids


def sizes_of_images(images: Sequence[Row]) -> dict[int, tuple[int, int]]:
    """(height, width) of images by id, in pixels; without those that do not tell theirs, which scores do not need."""
    sizes = {image["id"]: (image.get("height"), image.get("width")) for image in images}
    return {i: (h, w) for i, (h, w) in sizes.items() if isinstance(h, int) and isinstance(w, int)}


def image_of_each(source: str | Path, annotations: Sequence[Row], ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """`(annotation,)` index into `ids` of the image that each annotation is of.

    Raises:
        InputError: If an annotation is of an image that is not listed.
    """
    index = {int(image_id): i for i, image_id in enumerate(ids)}
    owner = np.array([index.get(a["image_id"], -1) for a in annotations], dtype=np.int64)
    if (owner < 0).any():
        a = annotations[int(np.argmin(owner))]
        raise InputError(
            f"{source}: annotation {a.get('id')} is of image {a['image_id']}, which is not listed; "
            "add the image or drop the annotation"
        )
    return owner
