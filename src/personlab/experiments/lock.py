"""One job at a time on a run directory."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
import weakref
from pathlib import Path
from typing import IO

from personlab.errors import InputError

NAME = ".lock"
_ATTEMPTS = 5


class RunLock:
    """Held by the first process of a job as long as it lives; a kill frees it, since the system does.

    Its forked children, such as loader workers, do not hold it: one that hangs after a kill would keep out the job that
    goes on.

    Args:
        folder: The run directory.
    """

    def __init__(
        self,
        folder: Path,
        holds: str = "another job trains in this run directory",
        mend: str = "wait for it, or start a run of its own without --resume and --ckpt_path",
    ) -> None:
        """Nothing is held yet; the words are for who finds it held."""
        self.path = folder / NAME
        self._holds, self._mend = holds, mend
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Hold it.

        Raises:
            InputError: If another process does, or the file cannot be written.
        """
        try:
            file = self.path.open("a+", encoding="utf-8")
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({error.strerror}); check the run directory") from error
        if not _locked(file):
            holder = _holder(file)
            file.close()
            raise InputError(f"{self.path.parent}: {self._holds}{holder}; {self._mend}")
        file.truncate(0)
        file.write(json.dumps({"host": socket.gethostname(), "pid": os.getpid()}))
        file.flush()
        self._file = file
        own = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _let_go(own()))

    def release(self) -> None:
        """Let it go."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _let_go(lock: RunLock | None) -> None:
    """Close a child's copy of the file: that of the parent stays locked."""
    if lock is not None:
        lock.release()


def is_held(folder: Path) -> bool:
    """Whether some process trains in a run directory right now."""
    try:
        with (folder / NAME).open("rb") as file:  # also where nothing can be written
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _locked(file: IO[str]) -> bool:
    """Take the lock, if nobody has it for longer than `is_held` takes to look."""
    for attempt in range(_ATTEMPTS):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            time.sleep(0.05 * (attempt + 1 < _ATTEMPTS))
    return False


def _holder(file: IO[str]) -> str:
    try:
        file.seek(0)
        told = json.loads(file.read())
        return f" (process {int(told['pid'])} on {str(told['host'])[:64]})"
    except (ValueError, KeyError, TypeError):
        return ""
