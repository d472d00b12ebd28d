"""Videos, written frame by frame."""

from __future__ import annotations

import math
import os
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from personlab.errors import InputError
from personlab.files import is_text

Image = NDArray[np.uint8]


class Film:
    """A video without sound (MPEG-4), written frame by frame; it appears when it is closed, whole or not at all.

    Args:
        path: The file, ending in `.mp4`. Folders are made, an older file is replaced.
        rate: Frames a second.
        size: (height, width) of the video; an odd side grows by a pixel, as the format wants. Frames of another size
            are fitted into it.

    Raises:
        InputError: If it cannot be written.
    """

    def __init__(self, path: Path, rate: float, size: tuple[int, int]) -> None:
        """See the class."""
        self.path = path
        self.size = (size[0] + size[0] % 2, size[1] + size[1] % 2)
        self.frames = 0
        self._unfinished = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
        if not is_text(path.absolute()):
            raise InputError(f"{path}: cannot write a video of this name; choose another place")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = cv2.VideoWriter(
                str(self._unfinished), cv2.VideoWriter.fourcc(*"mp4v"), _writable(rate), self.size[::-1]
            )
        except (OSError, cv2.error) as error:
            raise InputError(f"{path}: cannot write the video: {error}; choose another place") from error
        if not self._writer.isOpened():
            self._unfinished.unlink(missing_ok=True)
            raise InputError(
                f"{path}: cannot write a video of {size[1]}x{size[0]} pixels; check the disk, or write no pictures"
            )

    def write(self, image: Image) -> None:
        """Add a frame, `(height, width, 3)` uint8, RGB."""
        fitted = _fitted(np.ascontiguousarray(image), self.size)
        self._writer.write(cv2.cvtColor(fitted, cv2.COLOR_RGB2BGR))
        self.frames += 1

    def close(self) -> None:
        """End the video; it is now where it should be.

        Raises:
            InputError: If it has not all its frames: OpenCV does not tell when a frame could not be written.
        """
        self._writer.release()
        written = cv2.VideoCapture(str(self._unfinished))
        frames = written.get(cv2.CAP_PROP_FRAME_COUNT) if written.isOpened() else 0
        written.release()
        try:
            if frames < self.frames:
                raise InputError(f"{self.path}: {frames:.0f} of {self.frames} frames were written; is the disk full?")
            self._unfinished.replace(self.path)
        except OSError as error:
            raise InputError(f"{self.path}: cannot write the video: {error.strerror or error}") from error
        finally:
            self._unfinished.unlink(missing_ok=True)


def _writable(rate: float) -> float:
    """The nearest rate that MPEG-4 can have: a fraction of two numbers below 65536."""
    if not math.isfinite(rate) or not 0.01 <= rate <= 65000:
        return 25.0
    return round(rate, max(digits for digits in range(4) if rate * 10**digits <= 65535))


def _fitted(image: Image, size: tuple[int, int]) -> Image:
    """An image in a frame: smaller where it is too large, and with black beside it where it is too small."""
    height, width = image.shape[:2]
    if height > size[0] or width > size[1]:
        scale = min(size[0] / height, size[1] / width)
        smaller = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = np.asarray(cv2.resize(image, smaller, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    below, right = size[0] - image.shape[0], size[1] - image.shape[1]
    # A side that only became even repeats its last pixels: nobody wants a black line there.
    border = cv2.BORDER_REPLICATE if max(below, right) <= 1 else cv2.BORDER_CONSTANT
    return np.asarray(cv2.copyMakeBorder(image, 0, below, 0, right, border), dtype=np.uint8)
