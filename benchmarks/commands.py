"""Command lines of benchmarks: what they write is checked before the work, and results tell them with names that mean
the same everywhere, not with places on the machine that ran them."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from personlab.errors import InputError
from personlab.files import check_writable

ROOT = Path(__file__).resolve().parent.parent
DATA = "coco"
"""How a data set is called that not everybody has there; results tell its content by other means."""
_MADE_HERE = "data/synthetic"
"""What `make demo` draws in every checkout; everything else below `data` was put there by somebody."""
_DATA_OPTIONS = ("--data-root", "--data.root")
_OUTSIDE = re.compile(r"(?:^|(?<=[=:,\[])|(?<=, ))(?:(?:\.\./)+|/(?!/))[^:=,\]]*")
"""A path out of the working directory: alone, behind the name in `NAME=PATH` and `NAME:PATH`, or in a list."""
_OUTPUTS = ("json", "results", "output")
"""Options of benchmarks that name a file to write."""


def parse(parser: argparse.ArgumentParser, words: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse a benchmark's command line, and end with its usage if what it measures could not be written.

    Args:
        parser: Outputs are its options `--json`, `--results` and `--output`.
        words: Those of the process by default.
    """
    options = parser.parse_args(words)
    for name in _OUTPUTS:
        path = getattr(options, name, None)
        try:
            if path is not None:
                check_writable(path, f"give another --{name}")
        except InputError as error:
            parser.error(str(error))
    return options


def told(words: Sequence[str], without: Sequence[str] = ()) -> str:
    """A command as others can run it: `python` or `personlab` for the program, `coco` for the data, short names.

    Args:
        words: The command; the first is the program.
        without: Options to leave out with their values, `("--json",)`.
    """
    shown = [PurePosixPath(words[0]).name if "=" not in words[0] else _named(words[0])]
    option = ""
    for word in words[1:]:
        name, _, value = word.partition("=") if word.startswith("--") else ("", "", "")
        if (name or option) in without:
            option = "" if value else name
            continue
        if option in _DATA_OPTIONS or (value and name in _DATA_OPTIONS):
            word = f"{name}=" * bool(value) + _data(value or word)
        shown.append(_named(word))
        option = name if name and not value else ""
    return shlex.join(shown)


def retold(command: str) -> str:
    """The same of a command that is already one text."""
    return told(shlex.split(command)) if command else command


def _data(root: str) -> str:
    """The folder of a data set by the name that it has for others."""
    theirs = _OUTSIDE.match(root) or PurePosixPath(root).parts[:1] == ("data",)
    return DATA if theirs and PurePosixPath(root) != PurePosixPath(_MADE_HERE) else root


def _named(word: str) -> str:
    """A word with the paths in it by their names."""
    return _OUTSIDE.sub(lambda match: short(match[0]), word)


def short(path: str | Path) -> str:
    """A path by the name that it has for others.

    A path inside the working directory stays. Of one outside it, what stands in every checkout is told as it lies
    there, what stands in a run directory from `runs/` on, and everything else by its last name.
    """
    pure = PurePosixPath(path)
    if not pure.is_absolute() and ".." not in pure.parts:
        return str(path)
    if Path(pure).is_relative_to(ROOT):
        return str(Path(pure).relative_to(ROOT))
    for start in range(1, len(pure.parts) - 1):
        tail = pure.parts[start:]
        if tail[0] == "runs" or (ROOT / Path(*tail)).is_file():
            return "/".join(tail)
    return pure.name
