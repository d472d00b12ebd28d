"""Images are read in the frame of the file, and files that are not whole are noticed."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from personlab.data.images import UnreadableImage, read_image


@pytest.fixture
def pixels() -> np.ndarray:
    small = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    return cv2.resize(small, (90, 60))


def test_colours_and_grey(tmp_path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.png")
    read = read_image(tmp_path / "a.png", (60, 90))
    np.testing.assert_array_equal(read, pixels)
    assert read.flags.c_contiguous
    Image.fromarray(pixels[..., 1]).save(tmp_path / "g.png")
    np.testing.assert_array_equal(read_image(tmp_path / "g.png"), np.repeat(pixels[..., 1:2], 3, axis=2))


def test_exif_orientation_is_not_applied(tmp_path: Path, pixels: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees
    Image.fromarray(pixels).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    Image.fromarray(pixels).save(tmp_path / "plain.jpg", quality=95)
    turned = read_image(tmp_path / "turned.jpg")
    assert turned.shape == (60, 90, 3)
    np.testing.assert_array_equal(turned, read_image(tmp_path / "plain.jpg"))


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.95])
def test_truncated_files_are_noticed(tmp_path: Path, pixels: np.ndarray, suffix: str, share: float) -> None:
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(pixels).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(UnreadableImage, match=f"cut.{suffix}"):
        read_image(path)
    path.write_bytes(data[: int(share * len(data))].ljust(len(data), b"\0"))
    with pytest.raises(UnreadableImage):
        read_image(path)


def test_bytes_after_the_end_do_no_harm(tmp_path: Path, pixels: np.ndarray) -> None:
    path = tmp_path / "long.jpg"
    Image.fromarray(pixels).save(path)
    whole = read_image(path)
    path.write_bytes(path.read_bytes() + b"\0\0appended")
    np.testing.assert_array_equal(read_image(path), whole)


def test_other_errors_name_the_file_and_the_sizes(tmp_path: Path, pixels: np.ndarray) -> None:
    with pytest.raises(UnreadableImage, match=r"none\.jpg: No such file"):
        read_image(tmp_path / "none.jpg")
    (tmp_path / "text.jpg").write_text("not an image")
    with pytest.raises(UnreadableImage, match=r"text\.jpg: not an image"):
        read_image(tmp_path / "text.jpg")
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with pytest.raises(UnreadableImage, match="90x60 pixels, its annotations say 60x90"):
        read_image(tmp_path / "a.png", (90, 60))


def test_damaged_bytes_of_any_format_are_an_image_or_one_error(tmp_path: Path, pixels: np.ndarray) -> None:
    draw = np.random.default_rng(0)
    path = tmp_path / "image"
    read, told = 0, []
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM"):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, kind)
        for _ in range(40):
            data = np.frombuffer(buffer.getvalue(), np.uint8).copy()
            reach = draw.choice([40, 300, len(data)])
            data[draw.integers(0, min(reach, len(data)), draw.choice([1, 3, 10]))] = draw.integers(0, 256)
            path.write_bytes(data.tobytes())
            try:
                assert read_image(path, upright=True).shape[2] == 3
                read += 1
            except UnreadableImage as error:
                told.append(str(error))
    assert min(read, len(told)) > 20
    assert all(text.startswith(f"{path}: ") for text in told)


def test_large_files_and_places_that_are_no_files_are_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "sparse.jpg").open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(UnreadableImage, match=r"sparse\.jpg: 2\.0 GiB are too many"):
        read_image(tmp_path / "sparse.jpg")
    for place in (tmp_path, "/dev/zero"):
        with pytest.raises(UnreadableImage, match="no plain file"):
            read_image(place)
