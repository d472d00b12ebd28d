"""Where images come from: files, folders, patterns, videos and cameras, one frame at a time."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from personlab.data.images import UnreadableImage, read_image
from personlab.errors import InputError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".jp2")
VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
CAMERA = "camera"


@dataclass(frozen=True)
class Frame:
    """One image, or why there is none.

    Attributes:
        path: File it is from; of a camera, `camera:N`.
        name: What its results are called, without an ending: its path below the folder that was named.
        image: `(height, width, 3)` uint8, RGB; None if it cannot be had.
        problem: Why not, in one line.
        position: Number of the frame in its video; None for images.
        rate: Frames a second of the video.
    """

    path: str
    name: str
    image: NDArray[np.uint8] | None = None
    problem: str | None = None
    position: int | None = None
    rate: float = 0.0


def expand(sources: Sequence[str]) -> list[tuple[str, str]]:
    """Files of what a user named, in order, each once, with the names of their results.

    Args:
        sources: Images, videos, folders (with all folders below), patterns with `*`, or `camera:N`.

    Returns:
        (path, name) pairs. Files of a folder that are no image or video by their ending are among them, so that they
        can be told as skipped.

    Raises:
        InputError: If something does not exist, or a pattern or a folder matches nothing.
    """
    found: dict[str, str] = {}
    for source in sources:
        if source == CAMERA or source.startswith(f"{CAMERA}:"):
            found[source] = source.replace(":", "")
        elif os.path.isdir(source):
            below = _files_below(Path(source))
            if not below:
                raise InputError(f"{source}: the folder is empty; name one with images")
            for path in below:
                found.setdefault(str(path), str(path.relative_to(source).with_suffix("")))
        elif os.path.lexists(source):
            found.setdefault(source, Path(source).stem)
        elif glob.has_magic(source):
            matches = sorted(p for p in glob.glob(source, recursive=True) if not os.path.isdir(p))
            if not matches:
                raise InputError(f"{source}: matches no file")
            for match in matches:
                found.setdefault(match, Path(match).stem)
        else:
            raise InputError(f"{source}: no such file or folder")
    return _unique(found)


def frames(path: str, name: str) -> Iterator[Frame]:
    """The image of a file, or the frames of a video or camera; a file that cannot be read gives one with a problem."""
    suffix = Path(path).suffix.lower()
    if path.startswith(CAMERA) and not os.path.exists(path):
        yield from _captured(path, name, int(path.partition(":")[2] or 0))
    elif suffix in VIDEO_SUFFIXES:
        yield from _captured(path, name, path)
    elif suffix not in IMAGE_SUFFIXES:
        yield Frame(path, name, problem=f"{path}: neither an image nor a video by its ending")
    else:
        try:
            yield Frame(path, name, read_image(path, upright=True))
        except UnreadableImage as error:
            yield Frame(path, name, problem=str(error))


def _captured(path: str, name: str, source: str | int) -> Iterator[Frame]:
    capture = cv2.VideoCapture(source)
    try:
        rate = capture.get(cv2.CAP_PROP_FPS) or 25.0
        position = 0
        while True:
            ok, image = capture.read()
            if not ok:
                break
            rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
            yield Frame(path, name, rgb, position=position, rate=rate)
            position += 1
        if position == 0:
            yield Frame(path, name, problem=f"{path}: no frame can be read; is it a video that OpenCV decodes?")
    finally:
        capture.release()


def _files_below(folder: Path) -> list[Path]:
    """All files, hidden ones left out; links to folders are not followed, so that none can lead round in circles."""
    files = []
    for parent, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        files += [Path(parent, name) for name in sorted(names) if not name.startswith(".")]
    return files


def _unique(found: dict[str, str]) -> list[tuple[str, str]]:
    """Names that no two files share: from the second on, with a number."""
    taken: set[str] = set()
    pairs = []
    for path, name in found.items():
        unique, number = name, 2
        while unique in taken:
            unique, number = f"{name}-{number}", number + 1
        taken.add(unique)
        pairs.append((path, unique))
    return pairs
