"""Checks of image files: each is decoded once."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from personlab.data.doctor.findings import Findings, Place
from personlab.data.doctor.jpeg import damage
from personlab.data.doctor.tables import is_unsafe
from personlab.data.images import UnreadableImage, read_image
from personlab.data.imputed import Row
from personlab.data.loader import cpus

Progress = Callable[[Iterable[Any]], Iterable[Any]]
"""Passes things on, and shows how far they are."""
_ORIENTATION = 0x0112
_TURNED = (5, 6, 7, 8)
THUMBNAIL_PX = 16


@dataclass(frozen=True, eq=False)
class Picture:
    """What is kept of an image file.

    Attributes:
        split: Its split.
        row: Its entry in the annotation file.
        path: The file.
        size: (height, width) of the stored pixels, or None if it cannot be read.
        orientation: EXIF orientation; 1 is upright.
        digest: Hash of the bytes.
        thumbnail: `(16, 16)` grey.
        problem: Why it cannot be read, or None.
        damage: What is wrong with it though it can be read, or None.
    """

    split: str
    row: Row
    path: Path
    size: tuple[int, int] | None
    orientation: int = 1
    digest: bytes = b""
    thumbnail: NDArray[np.uint8] | None = None
    problem: str | None = None
    damage: str | None = None


def check_files(folder: Path, rows: list[Row], findings: Findings, decode: bool, progress: Progress) -> list[Picture]:
    """Check the image files of a split.

    Args:
        folder: Where they lie.
        rows: Images of the annotation file.
        findings: Gets what is found; its split is that of the images.
        decode: Read them; otherwise only whether they are there is checked.
        progress: Passes the images on and shows how far they are.

    Returns:
        One entry an image that was read.
    """
    if not folder.is_dir():
        findings.add("folder-missing", "no such folder", file=str(folder))
        return []
    there = {os.path.normpath(path) for path in _files(folder)}
    safe = [row for row in rows if not is_unsafe(row["file_name"])]
    named = {os.path.normpath(row["file_name"]) for row in safe}
    for name in sorted(there - named):
        findings.add("file-unnamed", name, file=str(folder / name))
    present = []
    for row in safe:
        if os.path.normpath(row["file_name"]) in there or (folder / row["file_name"]).is_file():
            present.append(row)
        else:
            findings.add("image-missing", row["file_name"], image=row["id"], file=str(folder / row["file_name"]))
    if not decode:
        return []
    split = findings.split or ""
    with ThreadPoolExecutor(cpus()) as pool:  # decoding and hashing leave the interpreter to the others
        looks = [pool.submit(look, split, folder, row) for row in present]
        pictures = [done.result() for done in progress(looks)]
    for picture in pictures:
        _tell(picture, findings)
    return pictures


def _files(folder: Path) -> Iterable[str]:
    for place, folders, names in os.walk(folder, followlinks=False):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith("."):
                yield os.path.relpath(os.path.join(place, name), folder)


def look(split: str, folder: Path, row: Row) -> Picture:
    """Read one image file, as training does."""
    path = folder / row["file_name"]
    try:
        pixels = read_image(path)
        data = path.read_bytes()
    except (OSError, UnreadableImage) as error:
        return Picture(split, row, path, None, problem=str(error).removeprefix(f"{path}: "))
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    thumbnail = cv2.resize(grey, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA).astype(np.uint8)
    digest = hashlib.sha256(data).digest()
    return Picture(split, row, path, pixels.shape[:2], _orientation(data), digest, thumbnail, damage=damage(data))


def _orientation(data: bytes) -> int:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as image:
                return int(image.getexif().get(_ORIENTATION, 1) or 1)
    except Exception:  # Pillow raises all sorts of errors for broken tags, and decoding is not its part
        return 1


def _tell(picture: Picture, findings: Findings) -> None:
    place: Place = {"image": picture.row["id"], "file": str(picture.path)}
    name = picture.row["file_name"]
    if picture.size is None:
        findings.add("image-unreadable", f"{name}: {picture.problem}", **place)
        return
    if picture.damage:
        findings.add("image-damaged", f"{name}: {picture.damage}", **place)
    said = (picture.row["height"], picture.row["width"])
    turned = picture.orientation in _TURNED
    sizes = f"{name}: {picture.size[1]} x {picture.size[0]} pixels, annotations say {said[1]} x {said[0]}"
    if picture.size == said:
        if picture.orientation != 1:
            findings.add("exif-orientation", f"{name}: orientation {picture.orientation}", **place)
    elif turned and picture.size == said[::-1]:
        findings.add("exif-rotated", f"{sizes}, orientation {picture.orientation}", **place)
    else:
        findings.add("image-size-unlike", sizes, **place)
