"""Files are written whole or not at all."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from personlab.errors import InputError
from personlab.files import check_writable, write_atomically, write_json


def test_folders_are_made_an_older_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.bin"
    for content in (b"first", b"second"):
        write_atomically(path, content)
        assert path.read_bytes() == content
    assert [p.name for p in path.parent.iterdir()] == ["file.bin"]


def test_a_failed_write_keeps_the_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.bin"
    write_atomically(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"file\.bin: cannot be written \(No space left on device\)"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.bin"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_atomically(tmp_path / "link", b"x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"x"


def test_what_is_no_plain_file_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_atomically(pipe, b"through")
    reader.join(timeout=10)
    assert read == [b"through"]
    assert pipe.is_fifo()


@pytest.mark.parametrize("where", ["file/x.json", "folder"])
def test_a_place_that_cannot_be_written_is_told(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        write_json(tmp_path / where, {})


@pytest.mark.parametrize(
    "where", ["new.json", "a/b/new.json", "old.json", "link", "dangling", "pipe", "a/../new.json", "n" * 240]
)
def test_what_can_be_written_is_found_writable_and_left_alone(tmp_path: Path, where: str) -> None:
    (tmp_path / "old.json").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "old.json")
    (tmp_path / "dangling").symlink_to(tmp_path / "c" / "new.json")
    os.mkfifo(tmp_path / "pipe")  # nobody reads it, so who opens it waits for ever
    before = sorted(tmp_path.rglob("*"))
    check_writable(tmp_path / where)
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "old.json").read_text() == "old"
    if where != "pipe":
        write_json(tmp_path / where, {})


@pytest.mark.parametrize(
    "where",
    [
        "file/x.json",
        "file/a/x.json",
        "folder",
        "link",
        "circle",
        "/proc/x.json",
        "n" * 300,
        "n" * 250,
        "ä" * 125,
        "a/" + "n" * 256 + "/b/x.json",
    ],
)
def test_what_cannot_be_written_is_told_before(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "file" / "x.json")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with pytest.raises(InputError, match=r"cannot be written \(.+\); give another one"):
        check_writable(tmp_path / where, "give another one")
    with pytest.raises(InputError, match="cannot be written"):  # the foresight was right
        write_json(tmp_path / where, {})


@pytest.mark.parametrize("number", [7, 321, 4321, 4194304])
def test_the_number_of_the_process_decides_of_no_name(tmp_path: Path, monkeypatch, number: int) -> None:
    monkeypatch.setattr(os, "getpid", lambda: number)
    write_json(tmp_path / ("n" * 241), {})
    check_writable(tmp_path / ("n" * 241))
    with pytest.raises(InputError, match="File name too long"):
        check_writable(tmp_path / ("n" * 242))


def test_json_comes_back(tmp_path: Path) -> None:
    for content in ({"a": [1, None, "é"]}, [1, {"b": 2.5}]):
        write_json(tmp_path / "x.json", content)
        assert json.loads((tmp_path / "x.json").read_text()) == content
