"""Videos come back with the frames and the rate that they were written with, or not at all."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from personlab.errors import InputError
from personlab.visualization import Film


def _smooth(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return np.stack([255 * rows // height, 255 * columns // width, np.full_like(rows, 90)], -1).astype(np.uint8)


def _read(path):
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (got := capture.read())[0]:
        frames.append(got[1][..., ::-1])
    return frames, capture.get(cv2.CAP_PROP_FPS)


@pytest.mark.parametrize("rate", [1.0, 12.5, 23.976023976, 25.0, 29.97002997, 59.94005994, 119.88011988, 240.0])
def test_frames_and_rate_come_back(tmp_path, rate):
    film = Film(tmp_path / "new" / "film.mp4", rate, (48, 64))
    for shade in range(0, 250, 25):
        film.write(np.full((48, 64, 3), shade, np.uint8))
    assert not (tmp_path / "new" / "film.mp4").exists()
    film.close()
    frames, found = _read(tmp_path / "new" / "film.mp4")
    assert [float(frame.mean()) for frame in frames] == pytest.approx(list(range(0, 250, 25)), abs=8)
    assert found == pytest.approx(rate, rel=1e-4)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["film.mp4"]


@pytest.mark.parametrize("rate", [0.0, float("nan"), float("inf"), -5.0, 1e9])
def test_a_rate_that_cannot_be_becomes_an_ordinary_one(tmp_path, rate):
    film = Film(tmp_path / "film.mp4", rate, (48, 64))
    film.write(_smooth(48, 64))
    film.close()
    assert _read(tmp_path / "film.mp4")[1] == 25


def test_odd_sides_lose_no_pixel_and_colours_stay(tmp_path):
    film = Film(tmp_path / "film.mp4", 25, (47, 63))
    film.write(_smooth(47, 63))
    film.close()
    ((frame,), _) = _read(tmp_path / "film.mp4")
    assert frame.shape == (48, 64, 3)
    assert np.abs(frame[:47, :63].astype(int) - _smooth(47, 63)).mean() < 8


def test_frames_of_other_sizes_are_fitted(tmp_path):
    film = Film(tmp_path / "film.mp4", 25, (48, 64))
    for size in ((48, 64), (96, 64), (24, 32)):
        film.write(np.full((*size, 3), 255, np.uint8))
    film.close()
    frames, _ = _read(tmp_path / "film.mp4")
    shares = [(frame > 128).all(axis=2).mean() for frame in frames]
    assert shares == pytest.approx([1, 0.5, 0.25], abs=0.03)
    assert (frames[1][:, :30] > 128).all()


def test_what_cannot_be_written_is_told_and_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write the video"):
        Film(tmp_path / "file" / "film.mp4", 25, (48, 64))
    with pytest.raises(InputError, match="9000x2 pixels"):
        Film(tmp_path / "film.mp4", 25, (2, 9000))
    with pytest.raises(InputError, match="of this name"):
        Film(tmp_path / "film\udcff.mp4", 25, (48, 64))
    film = Film(tmp_path / "film.mp4", 25, (48, 64))
    film.frames = 3  # as if three had been given to a disk that is full
    film.write(_smooth(48, 64))
    with pytest.raises(InputError, match="1 of 4 frames were written"):
        film.close()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
