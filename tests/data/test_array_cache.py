"""Arrays kept on disk: the same as those that were read, whatever happens to the folder."""

from __future__ import annotations

import errno
import multiprocessing
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from personlab.data import array_cache, coco
from personlab.data.array_cache import ArrayCache, cache_root
from personlab.data.coco import CocoAnnotations, read_annotations
from personlab.data.dataset import CocoDataset
from personlab.errors import InputError
from tests.data.tiny_coco import document, person, write_json


@pytest.fixture(autouse=True)
def everything_is_cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PERSONLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(coco, "CACHED_FROM_BYTES", 1)
    array_cache._tell_unwritable.cache_clear()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    runs = {"size": [25, 35], "counts": [100, 20, 25 * 35 - 120]}
    people = [
        person(3, 11, (1, 1, 8, 8), segmentation=runs, iscrowd=1),
        person(1, 10, (0, 0, 5, 5)),
        person(2, 10, (3, 3, 9, 9), imputed=True),
        person(4, 11, (2, 2, 8, 8), segmentation=None),
    ]
    return write_json(tmp_path / "a.json", document([(20, 30), (25, 35), (5, 6)], people))


def folders(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache" / "annotations").glob("*"))


def assert_same(a: CocoAnnotations, b: CocoAnnotations) -> None:
    assert (a.path, a.sha256, a.category_id) == (b.path, b.sha256, b.category_id)
    assert a.arrays().keys() == b.arrays().keys()
    for name, array in a.arrays().items():
        np.testing.assert_array_equal(array, b.arrays()[name], err_msg=name)
        assert array.dtype == b.arrays()[name].dtype, name


def in_memory(path: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> CocoAnnotations:
    with monkeypatch.context() as patch:
        patch.setenv("PERSONLAB_CACHE", "off")
        found = read_annotations(path, **options)
    assert found.cached_in is None
    return found


def never(*_: Any, **__: Any) -> None:
    raise AssertionError("the file was read again")


@pytest.mark.parametrize("imputed", ["use", "offsets", "ignore", "mask"])
def test_what_is_mapped_is_what_was_read(
    imputed: Any, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = in_memory(file, monkeypatch, imputed=imputed)
    assert len(expected.arrays()) == 15  # ten of its own and five of the segmentations
    assert_same(read_annotations(file, imputed=imputed), expected)
    monkeypatch.setattr(coco, "_parse", never)
    again = read_annotations(file, imputed=imputed)
    assert_same(again, expected)
    assert again.cached_in == folders(tmp_path)[0]
    assert type(again.keypoints) is np.ndarray
    assert not any(array.flags.writeable for array in again.arrays().values())


def test_files_without_annotations_can_be_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_json(tmp_path / "empty.json", document([(20, 30)], []))
    read_annotations(path)
    assert_same(read_annotations(path), in_memory(path, monkeypatch))


def test_small_files_are_not_kept(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coco, "CACHED_FROM_BYTES", file.stat().st_size + 1)
    assert read_annotations(file).cached_in is None
    assert not folders(tmp_path)


def test_content_decides_and_not_name_size_or_date(file: Path, tmp_path: Path) -> None:
    before, date = read_annotations(file), file.stat()
    text = file.read_text()
    file.write_text(text.replace('"bbox": [0, 0, 5, 5]', '"bbox": [0, 0, 5, 6]'))
    os.utime(file, ns=(date.st_atime_ns, date.st_mtime_ns))
    assert file.stat().st_size == date.st_size
    after = read_annotations(file)
    assert (before.boxes[0, 3], after.boxes[0, 3]) == (5, 6)
    assert after.sha256 != before.sha256
    copy = tmp_path / "copy.json"
    copy.write_text(text)
    assert read_annotations(copy).cached_in == before.cached_in
    assert read_annotations(copy).path == copy, "errors name the file that was asked for"


def test_options_skeleton_and_reader_decide_too(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used, ignored = (read_annotations(file, imputed=what) for what in ("use", "ignore"))
    assert used.has_keypoints.sum() > ignored.has_keypoints.sum()
    read_annotations(file, imputed="use", require_keypoints=False)
    assert len(folders(tmp_path)) == 3
    monkeypatch.setattr(coco, "_reader", lambda: "newer")
    read_annotations(file, imputed="use")
    assert len(folders(tmp_path)) == 4


def test_what_is_refused_is_refused_again_and_not_kept(file: Path, tmp_path: Path) -> None:
    file.write_text(file.read_text().replace("[0, 0, 5, 5]", "[0, 0, 5]"))
    for _ in range(2):
        with pytest.raises(InputError, match="bbox needs 4 numbers"):
            read_annotations(file)
    assert not folders(tmp_path)


def test_what_cannot_be_read_is_told_as_without_a_cache(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_annotations(tmp_path)
    with pytest.raises(InputError, match="no such annotation file"):
        read_annotations(tmp_path / "absent.json")


def damage_a_bit(folder: Path) -> None:
    path = folder / "keypoints.npy"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def cut(folder: Path) -> None:
    path = folder / "polygon_xy.npy"
    path.write_bytes(path.read_bytes()[:-8])


def other_type(folder: Path) -> None:
    np.save(folder / "boxes.npy", np.load(folder / "boxes.npy").astype(np.float64))


@pytest.mark.parametrize("damage", [
    damage_a_bit, cut, other_type, lambda folder: (folder / "boxes.npy").unlink(),
    lambda folder: (folder / "card.json").write_text("{"), lambda folder: (folder / "card.json").write_text("[]"),
    lambda folder: (folder / "code.npy").write_bytes(b""), lambda folder: (folder / "code.npy").write_bytes(b"nothing"),
])  # fmt: skip
def test_a_damaged_cache_is_made_again(
    damage: Any, file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(array_cache.logger, "propagate", True)
    folder = read_annotations(file).cached_in
    assert folder is not None
    damage(folder)
    assert_same(read_annotations(file), in_memory(file, monkeypatch))
    assert len({id(record) for record in caplog.records}) == 1  # one record may reach two handlers
    assert "a damaged cache" in caplog.messages[0]
    monkeypatch.setattr(coco, "_parse", never)
    assert read_annotations(file).cached_in == folder


def full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("kind", ["full", "a file", "no folder"])
def test_where_nothing_can_be_written_the_run_goes_on_in_memory(
    kind: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(array_cache.logger, "propagate", True)
    if kind == "full":
        monkeypatch.setattr(array_cache.np, "save", full)
    elif kind == "a file":
        (tmp_path / "cache").write_text("in the way")
    else:
        monkeypatch.setenv("PERSONLAB_CACHE", "/proc/nowhere")
    for _ in range(2):
        found = read_annotations(file)
        assert found.cached_in is None
        assert len(found) == 3
    assert len({id(record) for record in caplog.records}) == 1, "told once"
    assert "PERSONLAB_CACHE" in caplog.messages[0]
    if kind == "full":
        assert not folders(tmp_path), "nothing half written is left"


def test_pickles_hold_the_folder_and_not_the_arrays(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, plain = read_annotations(file), in_memory(file, monkeypatch)
    for people in (kept, plain):
        dataset = pickle.loads(pickle.dumps(CocoDataset(people, file.parent)))
        assert_same(dataset.annotations, plain)
    assert b"keypoints" not in pickle.dumps(kept)
    assert pickle.loads(pickle.dumps(kept)).cached_in == kept.cached_in
    assert kept.cached_in is not None
    content = pickle.dumps(kept)
    shutil.rmtree(kept.cached_in)
    assert_same(kept, plain)  # what is mapped stays
    with pytest.raises(InputError, match="is gone or damaged"):
        pickle.loads(content)


def _read(path: str, wait: Any) -> str:
    wait.wait()
    coco.CACHED_FROM_BYTES = 1
    annotations = read_annotations(path)
    return f"{annotations.cached_in} {annotations.keypoints.sum()}"


def test_several_processes_may_begin_at_once(file: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    with context.Manager() as manager, context.Pool(4) as pool:
        barrier = manager.Barrier(4)
        found = pool.starmap(_read, [(str(file), barrier)] * 4, chunksize=1)
    assert len(set(found)) == 1
    assert [str(folder) for folder in folders(tmp_path)] == [found[0].split()[0]]


def test_a_file_that_is_replaced_while_it_is_read_is_kept_under_its_own_name(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coco, "sha256", lambda _: "of the one before")
    found = read_annotations(file)
    monkeypatch.undo()
    assert found.cached_in is not None
    assert found.sha256 != "of the one before"


def test_caches_that_nobody_opens_go_after_a_month(tmp_path: Path) -> None:
    def kept(name: str) -> ArrayCache:
        cache = ArrayCache("annotations", {"name": name})
        assert cache.store({}, {"x": np.arange(3)})
        return cache

    def days_old(folder: Path | None, days: float) -> None:
        assert folder is not None
        os.utime(folder, (folder.stat().st_mtime - days * 86400,) * 2)

    old, used = kept("old"), kept("used")
    unfinished = tmp_path / "cache" / "annotations" / ".part-killed"
    unfinished.mkdir()
    days_old(old.folder, 31)
    days_old(used.folder, 31)
    days_old(unfinished, 2)
    assert used.load() is not None
    new = kept("new")
    assert set(folders(tmp_path)) == {used.folder, new.folder}


def test_where_caches_lie(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_root() == tmp_path / "cache"
    monkeypatch.setenv("PERSONLAB_CACHE", "off")
    assert cache_root() is None
    monkeypatch.delenv("PERSONLAB_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache_root() == tmp_path / "x" / "personlab"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_root() == tmp_path / ".cache" / "personlab"
