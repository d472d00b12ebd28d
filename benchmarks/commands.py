"""Commands as results tell them: with names that mean the same everywhere, not places on the machine that ran them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
DATA = "coco"
"""How a data set outside the repository is called, wherever it lay; results tell its content by other means."""
_DATA_OPTIONS = ("--data-root", "--data.root")
_OUTSIDE = re.compile(r"(?:^|(?<=[=:]))(?:(?:\.\./)+|/(?!/))[^:=]*")
"""A path that leads out of the working directory: alone, or behind the name in `NAME=PATH` and `NAME:PATH`."""


def told(words: Sequence[str], without: Sequence[str] = ()) -> str:
    """A command as others can run it: `python` or `personlab` for the program, `coco` for the data, short names.

    Args:
        words: The command; the first is the program.
        without: Options to leave out with their values, `("--json",)`.
    """
    shown = [PurePosixPath(words[0]).name if "=" not in words[0] else words[0]]
    option = ""
    for word in words[1:]:
        name, _, value = word.partition("=") if word.startswith("--") else ("", "", "")
        if (name or option) in without:
            option = "" if value else name
            continue
        if option in _DATA_OPTIONS or (value and name in _DATA_OPTIONS):
            word = f"{name}=" * bool(value) + (DATA if _OUTSIDE.match(value or word) else value or word)
        shown.append(_OUTSIDE.sub(lambda match: short(match[0]), word))
        option = name if name and not value else ""
    return shlex.join(shown)


def retold(command: str) -> str:
    """The same of a command that is already one text."""
    return told(shlex.split(command)) if command else command


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
