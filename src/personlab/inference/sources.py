"""Where images come from: files, folders, patterns, videos and cameras, one frame at a time."""

from __future__ import annotations

import glob
import itertools
import math
import os
import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from personlab.data.images import UnreadableImage, read_image
from personlab.errors import InputError
from personlab.files import is_text

IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".jfif", ".png", ".apng", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp", ".avif", ".jp2",
    ".ppm", ".pgm", ".pbm", ".pnm",
)  # fmt: skip
VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
COUNTED_SUFFIXES = (".mp4", ".avi", ".mov", ".m4v")
"""Videos whose files tell how many frames they have; others only give an estimate."""
CAMERA = re.compile(r"camera(?::(\d{1,4}))?")
_MAX_NAME_BYTES = 200
"""File systems allow 255, from which an extension and the marks of an unfinished file must be taken."""


@dataclass(frozen=True)
class Frame:
    """One image, or why there is none.

    Attributes:
        path: File it is from; of a camera, `camera:N`.
        name: What its results are called, without an extension: its path below the folder that was named.
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


def expand(sources: Sequence[str], leave_out: Path | None = None) -> list[tuple[str, str]]:
    """Files of what a user named, in order, each once, with the names of their results.

    Args:
        sources: Images, videos, folders (with all folders below), patterns with `*`, or `camera:N`.
        leave_out: A folder below one of these that is not searched, as that of the results.

    Returns:
        (path, name) pairs. What of a folder is no image or video by its extension is among them, and so are folders
        that cannot be listed or are links to places outside, so that they can be told as skipped. Hidden files are not,
        and neither are links to folders that are searched anyway. No two names are equal, also where capitals do not
        count, and none is the path of a folder that another needs.

    Raises:
        InputError: If something does not exist, or a pattern or a folder matches nothing.
    """
    found: dict[str, str] = {}
    for source in sources:
        if CAMERA.fullmatch(source) and not os.path.lexists(source):
            found[source] = source.replace(":", "")
        elif os.path.isdir(source):
            if not os.access(source, os.R_OK | os.X_OK):
                raise InputError(f"{source}: the folder cannot be listed; ask for the right to read it")
            below = _files_below(Path(source), leave_out)
            if not below:
                raise InputError(f"{source}: the folder is empty; name one with images")
            for path in below:
                found.setdefault(str(path), str(path.relative_to(source).with_suffix("")))
        elif os.path.lexists(source):
            found.setdefault(str(Path(source)), Path(source).stem)
        elif glob.has_magic(source):
            matches = sorted(p for p in glob.glob(source, recursive=True) if not os.path.isdir(p))
            if not matches:
                raise InputError(f"{source}: matches no file")
            for match in matches:
                found.setdefault(str(Path(match)), Path(match).stem)
        elif source.startswith("camera:"):
            raise InputError(f"{source}: a camera has a number, as camera:0")
        else:
            raise InputError(f"{source}: no such file or folder")
    return _unique(found)


def frames(path: str, name: str) -> Generator[Frame]:
    """The image of a file, or the frames of a video or camera; what cannot be read gives a frame with a problem.

    A video of which less than nine tenths can be read gives the frames that there are, and a problem after them.

    Raises:
        InputError: If a camera cannot be opened.
    """
    suffix = Path(path).suffix.lower()
    camera = CAMERA.fullmatch(path)
    if camera and not os.path.lexists(path):
        yield from _captured(path, name, open_camera(path))
        return
    problem = None
    if os.path.isdir(path):
        told = "a link to a folder elsewhere; name that one, too" if os.path.islink(path) else "cannot be listed"
        problem = f"{path}: {told}"
    elif suffix not in VIDEO_SUFFIXES + IMAGE_SUFFIXES:
        problem = f"{path}: neither an image nor a video by its extension"
    elif suffix in VIDEO_SUFFIXES and not os.path.isfile(path):
        problem = f"{path}: no plain file, or a link that leads nowhere"
    elif suffix in VIDEO_SUFFIXES:
        yield from _filmed(path, name)
    else:
        try:
            yield Frame(path, name, read_image(path, upright=True))
        except UnreadableImage as error:
            problem = str(error)
    if problem is not None:
        yield Frame(path, name, problem=in_one_line(problem))


def open_camera(source: str) -> cv2.VideoCapture:
    """The camera of a source, as `camera:0`.

    Raises:
        InputError: If it cannot be opened.
    """
    camera = CAMERA.fullmatch(source)
    number = int(camera[1] or 0) if camera else 0
    capture = cv2.VideoCapture(number)
    if not capture.isOpened():
        capture.release()
        raise InputError(f"{source}: there is no camera {number}, or another program has it, or it is not allowed")
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # what waits in a queue while people are found is out of date
    return capture


def in_one_line(text: str) -> str:
    """A text with line breaks, bytes that are no text and orders to the terminal written as escapes: names have all."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def _filmed(path: str, name: str) -> Generator[Frame]:
    if not is_text(path):
        yield Frame(path, name, problem=in_one_line(f"{path}: OpenCV cannot take this name; rename the file"))
        return
    capture = cv2.VideoCapture(path)
    told = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    count = 0
    for frame in _captured(path, name, capture):
        count += 1
        yield frame
    if count == 0:
        problem = f"{path}: no frame can be read; is it a video that OpenCV decodes?"
    elif path.lower().endswith(COUNTED_SUFFIXES) and count < 0.9 * told:
        problem = f"{path}: only {count} of its {told:.0f} frames can be read; copy or download it again"
    else:
        return
    yield Frame(path, name, problem=in_one_line(problem))


def _captured(path: str, name: str, capture: cv2.VideoCapture) -> Generator[Frame]:
    try:
        rate = capture.get(cv2.CAP_PROP_FPS)
        rate = rate if math.isfinite(rate) and 0 < rate <= 1000 else 25.0
        for position in itertools.count():
            ok, image = capture.read()
            if not ok:
                break
            rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
            yield Frame(path, name, rgb, position=position, rate=rate)
    finally:
        capture.release()


def _files_below(folder: Path, leave_out: Path | None) -> list[Path]:
    """All files, hidden ones left out, and folders that cannot be searched.

    Links to folders are not followed, so that none can lead round in circles or out of what was named.
    """
    found: list[Path] = []
    top = folder.resolve()
    left_out = leave_out.resolve() if leave_out is not None else None

    def unlisted(error: OSError) -> None:
        found.append(Path(error.filename))

    for parent, folders, names in os.walk(folder, onerror=unlisted, followlinks=False):
        below = [Path(parent, name) for name in sorted(folders) if not name.startswith(".")]
        found += [path for path in below if path.is_symlink() and not path.resolve().is_relative_to(top)]
        folders[:] = [path.name for path in below if not path.is_symlink() and path.resolve() != left_out]
        found += [Path(parent, name) for name in sorted(names) if not name.startswith(".")]
    return found


def _unique(found: dict[str, str]) -> list[tuple[str, str]]:
    """Names that no two files share: from the second on, with a number."""
    names = {path: str(Path(*map(_plain, Path(name).parts))) for path, name in found.items()}
    folders = {str(folder).casefold() for name in names.values() for folder in Path(name).parents}
    taken: set[str] = set()
    pairs = []
    for path, name in names.items():
        unique, number = name, 2
        while (key := unique.casefold()) in taken or {f"{key}.jpg", f"{key}.mp4"} & folders:
            unique, number = f"{name}-{number}", number + 1
        taken.add(key)
        pairs.append((path, unique))
    return pairs


def _plain(name: str) -> str:
    """A file's name of printable text, of a length that leaves room for extensions."""
    printable = "".join(c if c.isprintable() else "_" for c in name)
    return printable.encode()[:_MAX_NAME_BYTES].decode(errors="ignore")
