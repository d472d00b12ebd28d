"""Sources: what a user names becomes frames; what cannot be read becomes a line."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from personlab.errors import InputError
from personlab.inference.sources import expand, frames


def _picture(path: Path, height: int = 6, width: int = 8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, 3), (200, 100, 50), np.uint8)).save(path)
    return path


def _only(path: Path):
    (frame,) = frames(str(path), "name")
    return frame


def test_folders_patterns_and_files_once_each_in_order(tmp_path) -> None:
    for name in ("b.png", "a.jpg", "sub/a.png", ".hidden/x.png", "notes.txt"):
        _picture(tmp_path / name) if not name.endswith("txt") else (tmp_path / name).write_text("x")
    os.symlink(tmp_path, tmp_path / "sub" / "loop")
    found = expand([str(tmp_path / "b.png"), str(tmp_path), str(tmp_path / "*.jpg")])
    names = [(Path(path).name, name) for path, name in found]
    assert names == [
        ("b.png", "b"),
        ("a.jpg", "a"),
        ("notes.txt", "notes"),
        ("a.png", "sub/a"),
    ]


def test_results_of_two_files_never_share_a_name(tmp_path) -> None:
    for name in ("x/a.png", "y/a.png", "y/a.jpg"):
        _picture(tmp_path / name)
    found = expand([str(tmp_path / "x" / "a.png"), str(tmp_path / "y")])
    assert [name for _, name in found] == ["a", "a-2", "a-3"]


def test_names_of_results_differ_where_files_would_collide(tmp_path) -> None:
    for name in ("a.jpg", "a.png", "A.png", "a-2.png", "b.jpg/c.png", "b.png", "l" * 240 + ".jpg", "l" * 240 + ".png"):
        _picture(tmp_path / name)
    names = dict(expand([str(tmp_path)]))
    assert len({name.casefold() for name in names.values()}) == len(names) == 8
    folders = {str(parent) for name in names.values() for parent in Path(name).parents}
    assert not folders & {f"{name}.jpg" for name in names.values()}
    assert max(len(name) for name in names.values()) < 210
    assert names[str(tmp_path / "b.jpg" / "c.png")] == "b.jpg/c"


def test_names_of_results_are_printable_text(tmp_path) -> None:
    odd = [os.fsdecode(b"a\xff\n\x1b.png"), "\u4eba x.png"]
    for name in odd:
        (tmp_path / name).write_bytes(b"")
    assert {name for _, name in expand([str(tmp_path)])} == {"a___", "\u4eba x"}
    (frame,) = frames(str(tmp_path / odd[0]), "a")
    assert "a\\udcff\\n\\x1b.png: the file is cut short: it is empty" in frame.problem


def test_links_to_folders_elsewhere_are_told_and_not_followed(tmp_path) -> None:
    _picture(tmp_path / "other" / "x.png")
    _picture(tmp_path / "named" / "a.png")
    os.symlink(tmp_path / "other", tmp_path / "named" / "link")
    found = expand([str(tmp_path / "named")])
    assert [Path(path).name for path, _ in found] == ["link", "a.png"]
    assert "a link to a folder elsewhere" in _only(Path(found[0][0])).problem


def test_the_folder_of_results_is_not_searched_unless_named(tmp_path) -> None:
    _picture(tmp_path / "a.png")
    _picture(tmp_path / "out" / "b.png")
    assert [Path(path).name for path, _ in expand([str(tmp_path)], leave_out=tmp_path / "out")] == ["a.png"]
    assert len(expand([str(tmp_path / "out")], leave_out=tmp_path / "out")) == 1


def test_a_broken_link_is_no_camera(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.symlink("nowhere", "camera1.jpg")
    (frame,) = frames("camera1.jpg", "camera1")
    assert "No such file" in frame.problem
    assert expand(["camera", "camera:2"]) == [("camera", "camera"), ("camera:2", "camera2")]
    for source in ("camera:x", "camera:-1", "camera:"):
        with pytest.raises(InputError, match="a camera has a number"):
            expand([source])


@pytest.mark.parametrize("source", ["missing.jpg", "none*.png", "empty"])
def test_what_is_not_there_is_told(tmp_path, source) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=source.replace("*", r"\*")):
        expand([str(tmp_path / source)])


@pytest.mark.parametrize(
    ("mode", "extension", "expected"),
    [("L", "png", (90, 90, 90)), ("RGBA", "png", (200, 100, 50)), ("P", "png", None), ("I;16", "png", (78, 78, 78)),
     ("CMYK", "jpg", None), ("1", "png", None)],
)  # fmt: skip
def test_odd_colour_modes_become_rgb(tmp_path, mode, extension, expected) -> None:
    path = tmp_path / f"image.{extension}"
    if mode == "I;16":
        cv2.imwrite(str(path), np.full((6, 8), 20000, np.uint16))
    elif mode == "L":
        Image.new("L", (8, 6), 90).save(path)
    else:
        Image.fromarray(np.full((6, 8, 3), (200, 100, 50), np.uint8)).convert(mode).save(path)
    image = _only(path).image
    assert image.shape == (6, 8, 3)
    assert image.dtype == np.uint8
    if expected:
        assert np.abs(image.reshape(-1, 3).astype(int) - expected).max() <= 1
    if mode == "CMYK":
        assert np.abs(image.reshape(-1, 3).astype(int) - (200, 100, 50)).max() <= 12


def test_photographs_stand_upright(tmp_path) -> None:
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.fromarray(np.zeros((6, 10, 3), np.uint8)).save(path, exif=exif)
    assert _only(path).image.shape == (10, 6, 3)


def test_what_cannot_be_read_is_a_line_and_no_end(tmp_path) -> None:
    good = _picture(tmp_path / "good.jpg", 60, 80).read_bytes()
    files = {"cut.jpg": good[: len(good) // 2], "text.jpg": b"no image", "zero.png": b"", "notes.txt": b"x"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    os.symlink(tmp_path / "loop.jpg", tmp_path / "loop.jpg")
    os.symlink(tmp_path / "nowhere.jpg", tmp_path / "dangling.jpg")
    for name in (*files, "loop.jpg", "dangling.jpg"):
        frame = _only(tmp_path / name)
        assert frame.image is None
        assert name in frame.problem
        assert "\n" not in frame.problem


def test_videos_come_frame_by_frame(tmp_path) -> None:
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12.0, (64, 48))
    for shade in (0, 100, 200):
        writer.write(np.full((48, 64, 3), shade, np.uint8))
    writer.release()
    found = list(frames(str(path), "film"))
    assert [frame.position for frame in found] == [0, 1, 2]
    assert [round(float(frame.image.mean()), -1) for frame in found] == [0, 100, 200]
    assert found[0].rate == pytest.approx(12)
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    assert "bad.mp4" in _only(tmp_path / "bad.mp4").problem


def test_a_video_that_ends_too_early_is_told_after_its_frames(tmp_path) -> None:
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12.0, (64, 48))
    for shade in range(0, 200, 10):
        writer.write(np.full((48, 64, 3), shade, np.uint8))
    writer.release()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 8 // 10])
    *some, last = frames(str(path), "film")
    assert 5 < len(some) < 18
    assert all(frame.image is not None for frame in some)
    assert last.image is None
    assert last.problem == f"{path}: only {len(some)} of its 20 frames can be read; copy or download it again"
