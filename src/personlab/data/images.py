"""Reading image files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from personlab.errors import InputError

_JPEG, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_PNG, _PNG_END = b"\x89PNG", b"IEND\xaeB`\x82"


class UnreadableImage(InputError):
    """An image file is missing, cut short, not an image, or not the image that the annotations describe."""


def read_image(path: str | Path, size: tuple[int, int] | None = None, upright: bool = False) -> NDArray[np.uint8]:
    """Read an image, as it is stored or as it is looked at.

    Args:
        path: The file. Grey images become three equal channels, 16 bits a channel become 8, CMYK becomes RGB, an alpha
            channel is dropped.
        size: (height, width) that the image must have; None accepts any.
        upright: Turn the image as its EXIF orientation says. COCO's annotations are in the frame of the stored pixels,
            people who look at photographs are not.

    Returns:
        `(height, width, 3)` uint8, RGB.

    Raises:
        UnreadableImage: If the file is missing, cut short or no image, or has another size.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UnreadableImage(f"{path}: {error.strerror or error}; check the data root") from None
    if not data or _cut_short(path, data):
        raise UnreadableImage(f"{path}: the file is cut short; copy or download it again")
    try:
        flags = cv2.IMREAD_COLOR if upright else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        raise UnreadableImage(f"{path}: not an image that can be decoded; replace it by a JPEG or PNG")
    height, width = image.shape[:2]
    if size is not None and size != (height, width):
        raise UnreadableImage(
            f"{path}: is {width}x{height} pixels, its annotations say {size[1]}x{size[0]}; use the original file"
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image).astype(np.uint8, copy=False)


def _cut_short(path: str | Path, data: bytes) -> bool:
    """Whether a JPEG or PNG ends too early.

    OpenCV decodes what is there and leaves the rest grey, without a word. The end marker tells the usual case for
    nothing; only a file without it (cut, or with something appended) is decoded again by Pillow, which does complain.
    """
    if data.startswith(_JPEG):
        ends = data.rstrip(b"\x00").endswith(_JPEG_END)
    elif data.startswith(_PNG):
        ends = data.endswith(_PNG_END)
    else:
        return False
    if ends:
        return False
    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError, ValueError):
        return True
    return False
