"""Arrays that took long to make, kept in the user's cache folder and mapped into memory when they are wanted again.

A mapped array is a file that the system shows as memory: pages are read when they are touched, all processes of a
machine share them, and they are given back when memory is short.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
VARIABLE = "PERSONLAB_CACHE"
"""Environment variable that names the folder of all caches; `off` keeps none."""
_CARD = "card.json"
_UNFINISHED = ".part-"
_UNUSED_DAYS, _UNFINISHED_DAYS = 30.0, 1.0
_DAY_S = 86400.0

logger = logging.getLogger("personlab")


class Entry(NamedTuple):
    """What was found in a cache.

    Attributes:
        folder: Where it lies.
        about: What `ArrayCache.store` was given beside the arrays.
        arrays: By name, read only.
    """

    folder: Path
    about: dict[str, Any]
    arrays: Arrays


def cache_root() -> Path | None:
    """`$PERSONLAB_CACHE`, else `$XDG_CACHE_HOME/personlab`, else `~/.cache/personlab`; None where none is kept."""
    given = os.environ.get(VARIABLE)
    if given is not None:
        return Path(given).expanduser() if given not in ("", "off") else None
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):  # the standard says to pass over any other
        return Path(base) / "personlab"
    try:
        return Path.home() / ".cache" / "personlab"
    except RuntimeError:  # a user without a home
        return None


class ArrayCache:
    """Arrays in a folder of their own, named after what they depend on.

    Nothing about it can fail a run: what cannot be read is made again, and what cannot be written is told once.
    Several processes may use it at once: a folder appears whole, by one renaming, and the first one stays. Folders that
    nobody opened for a month go when another is written.

    Args:
        kind: Folder of caches like this one below `cache_root`.
        key: What the arrays depend on, plain JSON values; another key is another cache.
    """

    def __init__(self, kind: str, key: Mapping[str, Any]) -> None:
        """Find the folder; nothing is read or written yet."""
        self.key = dict(key)
        digest = hashlib.sha256(json.dumps(self.key, sort_keys=True).encode()).hexdigest()[:32]
        root = cache_root()
        self.folder = None if root is None else root / kind / digest

    def load(self) -> Entry | None:
        """What is there, every byte of it compared with its checksum; None if there is nothing, or it is damaged."""
        if self.folder is None or not (self.folder / _CARD).exists():
            return None
        try:
            entry = open_entry(self.folder)
            card = json.loads((self.folder / _CARD).read_text(encoding="utf-8"))
            if card["key"] != self.key or card["checksums"] != {n: _checksum(a) for n, a in entry.arrays.items()}:
                raise ValueError("its checksums are others")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError) as error:
            logger.warning("%s: a damaged cache (%s); it is made again", self.folder, error)
            shutil.rmtree(self.folder, ignore_errors=True)
            return None
        with contextlib.suppress(OSError):
            os.utime(self.folder)
        return entry

    def store(self, about: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Entry | None:
        """Write arrays and map what was written; None where that cannot be done, which one line tells.

        Args:
            about: Plain JSON values to keep beside the arrays.
            arrays: By name, of plain numbers or bytes.
        """
        if self.folder is None:
            return None
        unfinished: Path | None = None
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            _forget_unused(self.folder.parent)
            unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self.folder.parent))
            for name, array in arrays.items():
                np.save(unfinished / f"{name}.npy", array, allow_pickle=False)
            checksums = {name: _checksum(array) for name, array in arrays.items()}
            card = {"key": self.key, "about": dict(about), "checksums": checksums}
            (unfinished / _CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
            with contextlib.suppress(OSError):  # another process was first, with the same content
                unfinished.rename(self.folder)
            return open_entry(self.folder)
        except (OSError, ValueError) as error:
            _tell_unwritable(str(self.folder.parent), str(getattr(error, "strerror", None) or error))
            return None
        finally:
            if unfinished is not None:
                shutil.rmtree(unfinished, ignore_errors=True)


def open_entry(folder: Path) -> Entry:
    """Map what a cache holds, without looking at checksums.

    Raises:
        OSError: If a file is missing or cannot be mapped.
        ValueError: If a file is damaged.
    """
    card = json.loads((folder / _CARD).read_text(encoding="utf-8"))
    # Plain arrays over the maps: every read through numpy's own class of mapped arrays costs microseconds.
    arrays = {
        name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False).view(np.ndarray)
        for name in card["checksums"]
    }
    return Entry(folder, card["about"], arrays)


def _checksum(array: NDArray[Any]) -> str:
    """Of type, shape and bytes; CRC-32, which reads gigabytes a second and finds what disks do, not what people do."""
    array = np.ascontiguousarray(array)
    flat: Any = array.reshape(-1).view(np.uint8) if array.size else b""
    return f"{array.dtype.str}{list(array.shape)}:{zlib.crc32(flat):08x}"


def _forget_unused(folder: Path) -> None:
    """Remove caches that were not opened for a month, and what killed processes left behind."""
    now = time.time()
    for entry in folder.iterdir():
        days = _UNFINISHED_DAYS if entry.name.startswith(_UNFINISHED) else _UNUSED_DAYS
        with contextlib.suppress(OSError):
            if entry.is_dir() and now - entry.stat().st_mtime > days * _DAY_S:
                shutil.rmtree(entry, ignore_errors=True)


@functools.cache  # one line a process, however many files are read
def _tell_unwritable(folder: str, reason: str) -> None:
    logger.warning(
        "%s: cannot be written (%s), so annotations are read anew by every run; set %s to another folder, or to off",
        folder, reason, VARIABLE,
    )  # fmt: skip
