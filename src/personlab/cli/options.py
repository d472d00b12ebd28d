"""What the commands' parsers share."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.progress import track
from rich.table import Table

from personlab.cli.parser_errors import nearest
from personlab.cli.tables import plain, table_console
from personlab.data.coco import ANNOTATIONS
from personlab.errors import InputError
from personlab.files import check_writable, write_json

_Number = TypeVar("_Number", int, float)


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


class CommandParser(ArgumentParser):
    """A parser that knows which options name files to write, and refuses those that could not be written.

    Work may take hours, and what it found would be lost.
    """

    def add_output(self, *names: str, group: Any = None, **options: Any) -> None:
        """Add an option that names a file to write, to a group if one is given; the rest is `add_argument`'s."""
        action: Any = (group or self).add_argument(*names, **options)
        self._outputs = (*getattr(self, "_outputs", ()), str(action.dest))

    def parse_args(self, *words: Any, **options: Any) -> Any:
        """Parse, and check the outputs.

        Raises:
            InputError: If one of them cannot be written, or would replace another or what is read.
        """
        parsed = super().parse_args(*words, **options)
        outputs = getattr(self, "_outputs", ())
        for name in outputs:
            check_output(parsed[name], f"--{name}")
            if parsed[name] not in (None, "-"):
                _check_others(name, outputs, parsed)
        return parsed


def _check_others(name: str, outputs: Collection[str], parsed: Any) -> None:
    """Refuse an output that is another output, or a file that another option names."""
    place = Path(parsed[name]).resolve()
    for other, value in parsed.items():
        for text in value if isinstance(value, list) else [value]:
            if other == name or not isinstance(text, str) or "\0" in text or Path(text).resolve() != place:
                continue
            if other in outputs:
                raise InputError(f"{text}: is both --{other} and --{name}; give them different files")
            if place.is_file():
                raise InputError(f"{text}: is read ({other}), so it cannot be --{name}; give another file")


def check_output(path: str | None, option: str) -> None:
    """Refuse a file that could not be written.

    Args:
        path: What an option was given; None is no file, nor is `-`, the standard output, which `--json` alone knows.
        option: Its name, for the error.

    Raises:
        InputError: If so.
    """
    to_output = option == "--json"
    if path == "":
        raise InputError(f"{option} is empty; give it a file{', or - for standard output' * to_output}")
    if path == "-" and not to_output:
        raise InputError(f"{option} - names no file, and only --json can go to standard output; give it a file")
    if path not in (None, "-"):
        check_writable(str(path), f"give another {option}")


def make_parser(command: str, description: str) -> CommandParser:
    """A strict parser with `--json` for one of our own commands."""
    parser = CommandParser(
        prog=f"personlab {command}", description=description, exit_on_error=False, allow_abbrev=False
    )
    parser.add_output("--json", type=str | None, default=None, help="write the result to this file; - is stdout")
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


KINDS = ("keypoints", "segmentation")
"""What is scored, in the order of tables."""


def add_data_options(parser: ArgumentParser) -> None:
    """Options that name a split of a data set, for every command that reads one."""
    parser.add_argument("--data.root", type=str, required=True, help="folder of the data set, in COCO's layout")
    parser.add_argument("--data.annotations", type=str, default=ANNOTATIONS, help="below the root")
    parser.add_argument("--split", type=str, default="val2017")
    parser.add_argument("--max_images", type=int | None, default=None, help="only the first so many images")


def shown_ap(report: Mapping[str, Any], kind: str, digits: int = 3) -> str:
    """Average precision of a report, or `none` where there is none."""
    value = report[kind].get("AP")
    return "none" if value is None else f"{value:.{digits}f}"


def print_scores(title: str, rows: Iterable[Sequence[str]], name: str, *further: str) -> None:
    """A table of scores on standard error: a name, keypoint AP, mask AP, and further columns."""
    table = Table(title=title)
    for heading in (name, "keypoint AP", "mask AP", *further):
        table.add_column(heading, justify="left" if heading == name else "right")
    for row in rows:
        table.add_row(*map(plain, row))
    table_console().print(table)


def words_of(text: str) -> list[str]:
    """The words of a list given with commas, as `heatmaps,short_offsets`; brackets around it may stand."""
    return [word.strip() for word in text.strip().strip("[]").split(",") if word.strip()]


def numbers(text: str, name: str, kind: type[_Number], least: float, required: bool = True) -> list[_Number]:
    """The numbers of a list given with commas, as `8,16`.

    Args:
        text: What was given.
        name: What to call it in errors.
        kind: `int` or `float`.
        least: The smallest number that makes sense.
        required: Whether there must be one at least.

    Raises:
        InputError: If a word is no such number or too small, or nothing was given.
    """
    found = []
    for word in words_of(text):
        try:
            value = kind(word)
        except ValueError:
            raise InputError(f"{name}: {word!r} is no {'whole ' * (kind is int)}number") from None
        if not least <= value < float("inf"):
            raise InputError(f"{name} must be at least {least:g}, got {word}")
        found.append(value)
    if required and not found:
        raise InputError(f"{name} needs a number")
    return found


def progress_bar(text: str) -> Callable[[Iterable[Any]], Iterable[Any]]:
    """A function that passes things on and shows on a terminal how far they are."""
    console = Console(stderr=True)

    def shown(things: Iterable[Any]) -> Iterable[Any]:
        return track(things, text, console=console, disable=not console.is_terminal)

    return shown
