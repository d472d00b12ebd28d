"""What the commands' parsers share."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from typing import Any

from jsonargparse import ArgumentParser

from personlab.cli.parser_errors import nearest
from personlab.errors import InputError
from personlab.files import write_json


def choose_command(words: list[str], commands: Collection[str]) -> str:
    """The command of a group, as `synth` in `personlab data synth`.

    Args:
        words: Words of the command line, the group's name first.
        commands: What the group has.

    Raises:
        InputError: If the command is missing or unknown.
    """
    known = ", ".join(commands)
    if len(words) < 2 or words[1].startswith("-"):
        raise InputError(f"personlab {words[0]} needs a command: {known}")
    if words[1] not in commands:
        raise InputError(
            f"personlab {words[0]} has no command {words[1]!r}{nearest(words[1], commands)}; it has {known}"
        )
    return words[1]


def make_parser(command: str, description: str) -> ArgumentParser:
    """A strict parser with `--json` for one of our own commands."""
    parser = ArgumentParser(
        prog=f"personlab {command}", description=description, exit_on_error=False, allow_abbrev=False
    )
    parser.add_argument("--json", type=str | None, default=None, help="write the result to this file; - is stdout")
    return parser


def write_result(result: Any, json_path: str | None) -> None:
    """Write a command's machine-readable result where `--json` says.

    Raises:
        InputError: If the file cannot be written.
    """
    if json_path is None:
        return
    if json_path == "-":
        sys.stdout.write(json.dumps(result, indent=2) + "\n")
    else:
        write_json(json_path, result)
