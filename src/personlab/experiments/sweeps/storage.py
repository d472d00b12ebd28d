"""Where the trials of a sweep are kept: a journal in its folder, or a database."""

from __future__ import annotations

import os
import time
from pathlib import Path

from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from personlab.errors import InputError


def open_storage(url: str | None, folder: Path) -> BaseStorage:
    """Open a database, or without one the journal in a folder, which is made.

    Raises:
        InputError: If it cannot be opened.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if url is not None:
            return RDBStorage(url)
        journal = folder / "study.journal"
        lock = JournalFileSymlinkLock(str(journal))
        _mend(journal, lock)
        return JournalStorage(JournalFileBackend(str(journal), lock_obj=lock))
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); give another --runs_root") from error
    except (ImportError, ValueError) as error:
        told = str(error).strip().split("\n")[0]
        raise InputError(
            f"--storage {_without_password(url)}: {told}; give a URL such as postgresql+psycopg://user@host/database, "
            "and install its driver: pip install 'psycopg[binary]'"
        ) from error
    except Exception as error:  # each driver has errors of its own
        told = str(error).strip().split("\n")[0]
        raise InputError(f"--storage {_without_password(url)}: cannot be opened ({told}); check the server") from error


def _mend(journal: Path, lock: JournalFileSymlinkLock) -> None:
    """Cut off a last line that a power cut left half written: Optuna would append to it, and read neither."""
    if not journal.is_file():
        return
    while not lock.acquire():
        time.sleep(0.01)
    try:
        content = journal.read_bytes()
        if content and not content.endswith(b"\n"):
            os.truncate(journal, content.rfind(b"\n") + 1)
    finally:
        lock.release()


def _without_password(url: str | None) -> str:
    head, at, tail = (url or "").rpartition("@")
    return f"{head.rpartition(':')[0] or head}:***@{tail}" if at and head.count(":") > 1 else f"{head}{at}{tail}"
