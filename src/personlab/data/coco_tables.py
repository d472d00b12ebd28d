"""The tables of a COCO annotation file, checked: what reading for training and scoring have in common."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from personlab.errors import InputError

Row = dict[str, Any]
TABLES = ("images", "annotations", "categories")


def read_tables(path: Path) -> dict[str, list[Row]]:
    """The tables of a file, see `check_tables`.

    Raises:
        InputError: If the file is missing, not JSON or not COCO.
    """
    try:
        raw = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path}: no such annotation file; check the data root and the name of the split") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{path}: not JSON, or cut short ({error}); download it again") from None
    return check_tables(path, raw)


def check_tables(source: str | Path, raw: Any) -> dict[str, list[Row]]:
    """Images, annotations and categories, each a list of objects; at least one image.

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
    return {t: raw[t] for t in TABLES}


def select_category(source: str | Path, tables: Mapping[str, list[Row]], name: str) -> tuple[Row, list[Row]]:
    """A category and its annotations.

    Raises:
        InputError: If there is no such category, or all annotations are of others.
    """
    category = next((c for c in tables["categories"] if c.get("name") == name), None)
    if category is None or "id" not in category:
        known = ", ".join(str(c.get("name")) for c in tables["categories"][:5])
        raise InputError(f"{source}: has no category {name!r} (it has: {known}); rename the one that means it")
    chosen = [a for a in tables["annotations"] if a.get("category_id") == category["id"]]
    if tables["annotations"] and not chosen:
        raise InputError(f"{source}: no annotation has the category {name!r} (category_id {category['id']})")
    return category, chosen


def ids_of_images(source: str | Path, images: Sequence[Row]) -> NDArray[np.int64]:
    """`(image,)` ids in the file's order.

    Raises:
        InputError: If an id is missing, not a number or there twice.
    """
    try:
        ids = np.array([image["id"] for image in images], dtype=np.int64)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{source}: an image lacks its id, or the id is no number: {error}") from None
    if len(np.unique(ids)) != len(ids):
        raise InputError(f"{source}: image ids must be unique; mend the file's `images`")
    return ids


def image_of_each(source: str | Path, annotations: Sequence[Row], ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """`(annotation,)` index into `ids` of the image that each annotation is of.

    Raises:
        InputError: If an annotation is of an image that is not listed.
    """
    index: dict[Any, int] = {int(image_id): i for i, image_id in enumerate(ids)}
    owner = np.array([index.get(a.get("image_id"), -1) for a in annotations], dtype=np.int64)
    if (owner < 0).any():
        a = annotations[int(np.argmin(owner))]
        raise InputError(
            f"{source}: annotation {a.get('id')} is of image {a.get('image_id')}, which is not listed; "
            "add the image or drop the annotation"
        )
    return owner
