"""Where the trials of a sweep are kept: a journal in its folder, or a database."""

from __future__ import annotations

import functools
import logging
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError, PendingRollbackError, ProgrammingError

from personlab.errors import InputError

logger = logging.getLogger("personlab")
_JOURNAL = "study.journal"
_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Between two tries to reach a database: as long as a server takes to start anew."""
_LOST = (OperationalError, InterfaceError, PendingRollbackError)
"""What SQLAlchemy raises when a connection breaks; Optuna hides it in an error of its own."""


_Method = TypeVar("_Method", bound=Callable[..., Any])


class KeptInStorage(Protocol):
    """What methods must be of to be tried `patiently`."""

    storage_name: str
    lost: bool


def patiently(method: _Method) -> _Method:
    """A method of what is `KeptInStorage` that is tried again for a minute while the database cannot be reached.

    Servers are started anew, and firewalls cut connections. It must not matter whether what the method did the last
    time has reached the database. Once a minute did not help, nothing is waited for any more.

    Raises:
        InputError: If the minute did not help.
    """

    @functools.wraps(method)
    def tried(self: KeptInStorage, *given: Any, **named: Any) -> Any:
        for pause in (*_PAUSES_S, None):
            try:
                return method(self, *given, **named)
            except (StorageInternalError, *_LOST) as error:
                cause = error.__cause__ if isinstance(error, StorageInternalError) else error
                if not isinstance(cause, _LOST):
                    raise
                told = str(getattr(cause, "orig", cause)).strip().split("\n")[0]
                if pause is None or self.lost:
                    self.lost = True
                    raise InputError(
                        f"{self.storage_name}: cannot be reached any more ({told}); the same command goes on"
                    ) from error
                logger.warning("%s: cannot be reached (%s); tried again in %g s", self.storage_name, told, pause)
                time.sleep(pause)
        raise AssertionError

    return cast(_Method, tried)


def storage_name(url: str | None, folder: Path) -> str:
    """What a storage is called in messages, without its password."""
    return str(folder / _JOURNAL) if url is None else f"--storage {_without_password(url)}"


def open_storage(url: str | None, folder: Path) -> BaseStorage:
    """Open a database, or without one the journal in a folder, which is made.

    Raises:
        InputError: If it cannot be opened.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if url is not None:
            return _open_database(url)
        journal = folder / _JOURNAL
        lock = JournalFileSymlinkLock(str(journal))
        _mend(journal, lock)
        return JournalStorage(JournalFileBackend(str(journal), lock_obj=lock))
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); give another --runs_root") from error
    except (ImportError, ValueError) as error:
        told = str(error).strip().split("\n")[0]
        raise InputError(
            f"{storage_name(url, folder)}: {told}; give a URL such as postgresql+psycopg://user@host/database, "
            "and install its driver: pip install 'psycopg[binary]'"
        ) from error
    except Exception as error:  # each driver has errors of its own
        told = str(error).strip().split("\n")[0]
        raise InputError(f"{storage_name(url, folder)}: cannot be opened ({told}); check the server") from error


def _open_database(url: str) -> RDBStorage:
    """Open it, and make its tables where there are none; several machines may do so at once."""
    for left in reversed(range(8)):
        try:
            # A connection that broke while it was not used is made anew.
            return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
        except (IntegrityError, ProgrammingError):  # another machine has made a table first
            if not left:
                raise
            time.sleep(random.uniform(0.1, 1.0))
    raise AssertionError


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
