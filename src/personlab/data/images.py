"""Reading image files, of whatever kind they are and however broken."""

from __future__ import annotations

import io
import os
import stat
import warnings
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from personlab.errors import InputError

MAX_PIXELS = 2**28
"""Larger images are refused: a few hostile bytes can claim any size, and what is claimed must be allocated. Formats
other than JPEG have Pillow's limit, 179 million pixels."""
MAX_BYTES = 2**30
"""Larger files are refused unread."""
_FORMATS = ("JPEG", "MPO", "PNG", "GIF", "BMP", "DIB", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF")
"""What Pillow may take a file for: it knows far stranger formats, some of which start other programs."""
_JPEG, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ORIENTATION = 0x0112

Pixels = NDArray[np.uint8]


class UnreadableImage(InputError):
    """An image file is missing, cut short, not an image, or not the image that the annotations describe."""


def read_image(path: str | Path, size: tuple[int, int] | None = None, upright: bool = False) -> Pixels:
    """Read an image, as it is stored or as it is looked at.

    Args:
        path: The file; its content decides, not its extension. Grey images become three equal channels, 16 bits a
            channel become 8, numbers from 0 to 1 become 0 to 255, CMYK and palettes become RGB, what is transparent
            lies on white. Of several pictures in one file (GIF, TIFF, WebP, PNG) the first is read.
        size: (height, width) that the image must have; None accepts any.
        upright: Turn the image as its EXIF orientation says. COCO's annotations are in the frame of the stored pixels,
            people who look at photographs are not. TIFF images always stand upright.

    Returns:
        `(height, width, 3)` uint8, RGB.

    Raises:
        UnreadableImage: If the file is missing, no plain file, cut short, no image or a huge one, or has another size.
    """
    data = _content(path)
    header = _jpeg_header(data)
    # OpenCV is the fastest reader of ordinary photographs; everything else needs Pillow's care for colours and errors.
    image = _read_jpeg(path, data, header, upright) if header and header[2] in (1, 3) else None
    if image is None:
        image = _read_other(path, data, upright)
    height, width = image.shape[:2]
    if size is not None and size != (height, width):
        raise UnreadableImage(
            f"{path}: is {width}x{height} pixels, its annotations say {size[1]}x{size[0]}; use the original file"
        )
    return image


def _content(path: str | Path) -> bytes:
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):  # reading a pipe might wait for ever
            raise UnreadableImage(f"{path}: is no plain file but a folder, pipe or device; name an image file")
        if found.st_size > MAX_BYTES:
            raise UnreadableImage(f"{path}: {found.st_size / 2**30:.1f} GiB are too many for an image; make it smaller")
        data = Path(path).read_bytes()
    except OSError as error:
        raise UnreadableImage(f"{path}: {error.strerror or error}; check the path") from None
    except ValueError as error:  # a name with a zero byte, which is none
        raise UnreadableImage(f"{str(path)!r}: {error}; check the path") from None
    if not data:
        raise UnreadableImage(f"{path}: the file is cut short: it is empty; copy or download it again")
    return data


def _jpeg_header(data: bytes) -> tuple[int, int, int] | None:
    """Height, width and channels of a JPEG; None for other files and where no size can be found."""
    place = 2 if data.startswith(_JPEG) else len(data)
    for _ in range(10_000):  # as many segments as no honest file has: hostile ones must come to an end, too
        place = data.find(b"\xff", place)
        if place < 0 or place + 10 > len(data):
            return None
        marker = data[place + 1]
        if marker in _JPEG_FRAMES:
            height, width = (int.from_bytes(data[place + at : place + at + 2], "big") for at in (5, 7))
            return height, width, data[place + 9]
        if marker == 0xFF:
            place += 1
        elif marker <= 0x01 or 0xD0 <= marker <= 0xD9:  # these have no content
            place += 2
        else:
            place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return None


def _read_jpeg(path: str | Path, data: bytes, header: tuple[int, int, int], upright: bool) -> Pixels | None:
    _check_size(path, header[1], header[0], MAX_PIXELS)
    if _cut_short(data):
        raise _cut(path)
    try:
        flags = cv2.IMREAD_COLOR if upright else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
    return None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image).astype(np.uint8, copy=False)


def _cut_short(data: bytes) -> bool:
    """Whether a JPEG ends too early.

    OpenCV decodes what is there and leaves the rest grey, without a word. The end marker tells the usual case for
    nothing; only a file without it (cut, or with something appended) is decoded again by Pillow, which does complain.
    """
    if data.rstrip(b"\x00").endswith(_JPEG_END):
        return False
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            image.load()
    except Exception:  # decoders of hostile bytes raise anything
        return True
    return False


def _read_other(path: str | Path, data: bytes, upright: bool) -> Pixels:
    Image.init()
    formats = [name for name in _FORMATS if name in Image.OPEN]
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=formats) as image:
            _check_size(path, *image.size, MAX_PIXELS)
            try:
                if image.format == "PNG":  # Pillow does not compare the checksums of pixels unless asked to
                    Image.open(io.BytesIO(data), formats=["PNG"]).verify()
                image.load()
            except Exception as error:  # decoders of hostile bytes raise anything
                raise _cut(path) from error
            pixels = _as_rgb(path, image)
            turn = _orientation(image) if upright else 1
    except InputError:
        raise
    except Image.DecompressionBombError:
        raise UnreadableImage(f"{path}: claims more pixels than can be read; make it smaller") from None
    except Exception:
        raise UnreadableImage(f"{path}: not an image that can be decoded; replace it by a JPEG or PNG") from None
    return np.ascontiguousarray(_turned(pixels, turn))


def _as_rgb(path: str | Path, image: Image.Image) -> Pixels:
    if image.mode.startswith("I;16"):
        return _grey(np.asarray(image).astype(np.float32) * (255 / 65535))
    if image.mode in ("I", "F"):
        return _grey(_eight_bits(path, np.asarray(image)))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        seen = image.convert("RGBA")
        white = Image.new("RGB", image.size, (255, 255, 255))
        white.paste(seen, mask=seen.getchannel("A"))
        return np.array(white)
    if image.mode == "CMYK" and image.format in ("JPEG", "MPO") and "adobe" not in image.info:
        image = ImageChops.invert(image)  # Pillow takes all JPEGs for Adobe's, who write inks upside down
    return np.array(image.convert("RGB"))


def _eight_bits(path: str | Path, values: NDArray[np.generic]) -> NDArray[np.float32]:
    """Numbers of 32 bits as 0 ... 255, where it is plain what they mean."""
    low, high = float(values.min()), float(values.max())
    if not low >= 0 or not high <= (65535 if values.dtype.kind == "i" else 255):
        raise UnreadableImage(f"{path}: values from {low:g} to {high:g}, no image's; save it with 8 bits a channel")
    if values.dtype.kind == "i":
        return values.astype(np.float32) * np.float32(1 if high <= 255 else 255 / 65535)
    return values.astype(np.float32) * np.float32(255 if high <= 1 else 1)


def _grey(values: NDArray[np.float32]) -> Pixels:
    return np.repeat(np.rint(values).astype(np.uint8)[..., None], 3, axis=2)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # broken EXIF data raise anything; the picture is there all the same
        return 1


def _turned(pixels: Pixels, orientation: int) -> Pixels:
    """The image that EXIF's orientation describes: 5 to 8 are 1 to 4 after swapping rows and columns."""
    if 5 <= orientation <= 8:
        pixels = pixels.transpose(1, 0, 2)
        orientation = {5: 1, 6: 2, 7: 3, 8: 4}[orientation]
    return {2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1]}.get(orientation, pixels)


def _check_size(path: str | Path, width: int, height: int, limit: int) -> None:
    if width * height > limit:
        raise UnreadableImage(
            f"{path}: claims {width}x{height} pixels, more than {limit / 1e6:.0f} million; make it smaller"
        )


def _cut(path: str | Path) -> UnreadableImage:
    return UnreadableImage(f"{path}: the file is cut short or damaged; copy or download it again")
