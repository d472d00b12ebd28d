"""The command line of a trial, by the macros of W&B's `command`."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from personlab.errors import InputError
from personlab.experiments.sweeps.space import Sweep
from personlab.files import write_json

_VARIABLE = re.compile(r"\$\{envvar:([A-Za-z0-9_]*)\}")
_MACRO = re.compile(r"\$\{([^${}:]*)\}")
_ARGUMENTS = "arguments.json"


def trial_command(sweep: Sweep, parameters: Mapping[str, Any], folder: Path | None) -> list[str]:
    """Words of a trial's command: the file's `command` with its macros replaced.

    Beside the parameters, the macros for arguments give `run.root` and `run.name`, so that every trial has a run
    directory of its own, and `resume=auto` where the command is `personlab fit`, so that a trial that was cut off goes
    on. Departure from W&B: `${interpreter}` is the Python that runs the sweep.

    Args:
        sweep: The sweep.
        parameters: Values by dotted name.
        folder: The trial's folder, `run.root`/`run.name`; None if an agent of W&B runs it, which gives nothing but the
            parameters, and those it also tells by its client.

    Raises:
        InputError: If there is a macro that W&B does not have, none for arguments, or a variable that is not set.
    """
    arguments = _forms(_given(sweep, parameters, folder)) | {
        "args_json_file": [str((folder or Path("?")) / _ARGUMENTS)]
    }
    macros: dict[str, list[str]] = {
        "env": ["/usr/bin/env"] if os.name == "posix" else [],
        "interpreter": [sys.executable],
        "program": [sweep.program],
    } | arguments
    words: list[str] = []
    for word in sweep.command:
        macro = _MACRO.fullmatch(word)
        if macro and macro[1] not in macros:
            known = ", ".join(f"${{{name}}}" for name in macros)
            raise InputError(f"{sweep.path}: command: no macro {word}; there are {known} and ${{envvar:NAME}}")
        words += macros[macro[1]] if macro else [_VARIABLE.sub(lambda m: _variable(sweep, m[1]), word)]
    if folder is not None and not any(f"${{{name}}}" in sweep.command for name in arguments):
        told = "the parameters reach no trial; add ${args}, or another macro for arguments, as a word of its own"
        raise InputError(f"{sweep.path}: command: {told}")
    return words


def begun_command(sweep: Sweep, parameters: Mapping[str, Any], folder: Path) -> list[str]:
    """`trial_command` of a trial that begins, with the file that `${args_json_file}` names."""
    if "${args_json_file}" in sweep.command:
        write_json(folder / _ARGUMENTS, _given(sweep, parameters, folder))
    return trial_command(sweep, parameters, folder)


def _given(sweep: Sweep, parameters: Mapping[str, Any], folder: Path | None) -> dict[str, Any]:
    """The arguments of a trial by name: its parameters, and what makes it a run of its own."""
    if folder is None:
        return dict(parameters)
    own = {"run.root": str(folder.parent), "run.name": folder.name}
    return dict(parameters) | own | ({"resume": "auto"} if "fit" in sweep.command else {})


def _variable(sweep: Sweep, name: str) -> str:
    """A variable's value; W&B would take its name instead, and every trial would fail by that."""
    if name not in os.environ:
        raise InputError(f"{sweep.path}: command: ${{envvar:{name}}} is not set: {name}=... personlab sweep ...")
    return os.environ[name]


def _forms(given: Mapping[str, Any]) -> dict[str, list[str]]:
    """The forms that arguments are given in; values as Python's `str` writes them, as W&B does.

    Departure from W&B: None is `null`, which our parser reads as None.
    """
    pairs = [f"{name}={_text(value)}" for name, value in given.items()]
    flags = [
        f"--{name}" if value is True else f"--{name}={_text(value)}"
        for name, value in given.items()
        if value is not False
    ]
    return {
        "args": [f"--{pair}" for pair in pairs],
        "args_no_equals": [word for name, value in given.items() for word in (f"--{name}", _text(value))],
        "args_no_hyphens": pairs,
        "args_no_boolean_flags": flags,
        "args_append_hydra": [f"+{pair}" for pair in pairs],
        "args_override_hydra": [f"++{pair}" for pair in pairs],
        "args_json": [json.dumps(given)],
    }


def _text(value: Any) -> str:
    return "null" if value is None else str(value)
