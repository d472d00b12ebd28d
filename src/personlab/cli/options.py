"""What the commands' parsers share."""

from __future__ import annotations

import json
import sys
from typing import Any

from jsonargparse import ArgumentParser

from personlab.files import write_json


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
