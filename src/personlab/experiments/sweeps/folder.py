"""A trial's folder: who holds it, and whose runs lie in it."""

from __future__ import annotations

import fcntl
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from personlab.errors import InputError
from personlab.experiments.sweeps.trial import newest_run
from personlab.files import write_json

PROCESSES = ".processes.lock"
"""File that a trial's processes hold where they do not inherit the claim's: those of Ray, here or elsewhere."""


def lock_trial(folder: Path, name: str = ".lock") -> IO[str] | None:
    """Hold a trial as long as a file in its folder is open, here or in what inherits it; None if somebody else does.

    Args:
        folder: Of the trial.
        name: The file: `PROCESSES` where those of a trial do not inherit that of the claim.

    Raises:
        InputError: If it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / name).open("a+", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); give another --runs_root") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def folder_id(folder: Path) -> str:
    """What tells a sweep's folder from all others, also where host and path are the same, as in containers.

    Where it is the same, so are the files, and a lock tells whether a trial is run.

    Args:
        folder: Of the sweep; it is there.

    Raises:
        InputError: If it cannot be written.
    """
    try:
        with (folder / ".id").open("a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            told = file.read()
            if not told:
                told = secrets.token_hex(8)
                file.write(told)
            return told
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); give another --runs_root") from error


def keep_parameters(folder: Path, parameters: Mapping[str, Any], sweep: Mapping[str, Any]) -> None:
    """Write down what a trial is, beside its runs: what lies there must not pass for another trial's.

    Args:
        folder: Of the trial.
        parameters: Values by dotted name.
        sweep: What tells the sweep from others.

    Raises:
        InputError: If there is something of another sweep, or with other parameters.
    """
    path, told = folder / "parameters.json", {"parameters": dict(parameters), "sweep": dict(sweep)}
    mend = "; give the sweep another name or --runs_root, or remove that folder"
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if newest_run(folder) is not None:
            raise InputError(f"{folder}: holds runs, and no parameters.json tells of what{mend}") from None
        write_json(path, told)
        return
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}){mend}") from error
    if held != json.loads(json.dumps(told)):
        raise InputError(f"{path}: is a trial of another sweep or with other parameters{mend}")
