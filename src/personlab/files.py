"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from personlab.errors import InputError


def is_text(path: str | Path) -> bool:
    """Whether a path is text, and not other bytes, at which OpenCV crashes when it opens a file itself."""
    return not any("\ud800" <= letter <= "\udfff" for letter in str(path))


def write_atomically(path: str | Path, content: bytes, lasting: bool = True) -> None:
    """Write a file; neither a reader nor a crash ever sees half of it.

    Folders are made and an older file is replaced. A link stays: what it points to is replaced. What is there and no
    plain file, such as a pipe, is written into.

    Args:
        path: The file.
        content: All of it.
        lasting: Wait until a power cut would not undo it, which may take as long as making a picture.

    Raises:
        InputError: If it cannot be written; an older file is then still there.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)
        else:
            target = path.resolve()
            target.parent.mkdir(parents=True, exist_ok=True)
            _replace(target, content, lasting)
    except (OSError, RuntimeError) as error:
        raise _unwritable(path, error, "choose another place") from error


def check_writable(path: str | Path, mend: str = "choose another place") -> None:
    """Refuse, before long work, a file that could not be written after it. Nothing is made, and nothing stays behind.

    That there will be room for all of it nobody can know.

    Args:
        path: What `write_atomically` will be given.
        mend: What to do about it, for the error.

    Raises:
        InputError: If it is a folder, or its folder is none, cannot be made or cannot be written, or a name is longer
            than the file system takes, with the mark of an unfinished file.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if path.exists() and not path.is_file():  # a pipe may have no reader yet
            if not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return
        target = path.resolve()
        folder, names = target.parent, [_unfinished(target).name]
        while not os.path.lexists(folder):
            folder, names = folder.parent, [*names, folder.name]
        if max(len(os.fsencode(name)) for name in names) > os.pathconf(folder, "PC_NAME_MAX"):
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
    except (OSError, RuntimeError) as error:
        raise _unwritable(path, error, mend) from error


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON by `write_atomically`: lists in one line, everything else over several.

    Raises:
        InputError: If it cannot be written.
    """
    text = json.dumps(content, indent=None if isinstance(content, list) else 2) + "\n"
    write_atomically(path, text.encode())


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal digits, as `sha256sum` prints it."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unwritable(path: Path, error: OSError | RuntimeError, mend: str) -> InputError:
    """What to tell; links in a circle are a RuntimeError."""
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        mend = "make room"
    return InputError(f"{path}: cannot be written ({getattr(error, 'strerror', None) or error}); {mend}")


def _unfinished(path: Path) -> Path:
    """Where a file is written until it is whole."""
    # As long in every process, so that a name is too long in all of them or in none: Linux counts up to 2**22.
    return path.with_name(f".{path.name}.{os.getpid():07}.part")


def _replace(path: Path, content: bytes, lasting: bool) -> None:
    unfinished = _unfinished(path)
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    if not lasting:
        return
    # Without this, a power cut may undo the renaming.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
