"""`personlab reproduce`: the exact command that makes a run again, and what no longer matches."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Sequence
from typing import NoReturn

from personlab.cli.options import CommandParser, make_parser, write_result
from personlab.cli.tables import plain, tell
from personlab.errors import InputError
from personlab.experiments.catalogue import read_run
from personlab.experiments.reproduction import Reproduction, reproduce

logger = logging.getLogger("personlab")
_OWN = ("--json", "--root")


def run(words: list[str]) -> int:
    """Run `personlab reproduce`; with `--run` the process becomes the run's own."""
    own, extra = split_words(words[1:])
    options = _parser().parse_args(own)
    found = reproduce(read_run(options.run_directory, options.root), extra)
    for warning in found.warnings:
        logger.warning("warning: %s", plain(warning))
    write_result(found.to_json(), options.json)
    if options.run:
        _start(found)
    if options.json != "-":
        if found.checkout:
            tell(shlex.join(found.checkout), False)
        tell(found.command, False)
    return 0


def _start(found: Reproduction) -> NoReturn:
    logger.info("%s", plain(found.command))
    sys.stdout.flush()
    sys.stderr.flush()
    # Replaced, not a child: signals, the exit code and the command line that the card keeps are those of the run.
    os.execv(sys.executable, [sys.executable, "-m", "personlab.cli.main", *found.words])


def _parser() -> CommandParser:
    parser = make_parser(
        "reproduce",
        "Print the command that makes a run again, and warn of what no longer matches: code, data, weights, versions, "
        "devices. All options that are not listed here are added to the command, such as --data.root FOLDER.",
    )
    parser.add_argument(
        "run_directory", type=str, metavar="RUN", help="a run directory, its name/id below --root, or its beginning"
    )
    parser.add_argument("--run", action="store_true", help="start it")
    parser.add_argument("--root", type=str, default="runs", help="folder of all runs")
    return parser


def split_words(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Words for this command, and those for the one that it makes.

    Raises:
        InputError: If the run is not the first word.
    """
    if {"-h", "--help"} & set(words):
        return ["--help"], []
    if not words or words[0].startswith("-"):
        raise InputError("personlab reproduce needs a run as its first word: personlab reproduce RUN [options]")
    own, extra = [words[0]], []
    rest = iter(words[1:])
    for word in rest:
        if word in _OWN:
            own += [word, *([value] if (value := next(rest, None)) is not None else [])]
        elif word == "--run" or word.startswith(tuple(f"{name}=" for name in _OWN)):
            own.append(word)
        else:
            extra.append(word)
    return own, extra
