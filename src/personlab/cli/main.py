"""The program `personlab`: finds the command, runs it, and turns its end into an exit code.

Exit codes: 0 done, 1 failed, 2 bad usage or bad input, 130 interrupted.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Sequence

from personlab import __version__
from personlab.errors import InputError

COMMANDS = {
    "fit": ("personlab.cli.trainer", "train a network and evaluate it"),
    "validate": ("personlab.cli.trainer", "evaluate a checkpoint on the validation split"),
    "test": ("personlab.cli.trainer", "evaluate a checkpoint on the test split"),
    "oracle": ("personlab.cli.oracle", "score the decoder on the true fields: the bound set by encoding and decoding"),
    "data": ("personlab.cli.data", "make data sets: data synth"),
    "weights": ("personlab.cli.weights", "take the weights out of a checkpoint: weights extract"),
}

logger = logging.getLogger("personlab")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Words after the program's name; those of the process by default.

    Returns:
        The exit code.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [w for w in words if w != "--debug"]
    _configure_output(debug)
    try:
        return _dispatch(words)
    except InputError as error:
        return _fail(str(error), 2, debug)
    except argparse.ArgumentError as error:
        return _fail(_explain(error, words), 2, debug)
    except KeyboardInterrupt:
        return _fail("interrupted", 130, debug)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except Exception as error:  # the last resort: every failure ends in one line and a code
        cause = _input_error_behind(error)
        if cause is not None:
            return _fail(str(cause), 2, debug)
        return _fail(f"{type(error).__name__}: {error} (--debug shows the traceback)", 1, debug)


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        sys.stdout.write(_overview())
        return 0
    if words[0] == "--version":
        sys.stdout.write(f"personlab {__version__}\n")
        return 0
    if words[0] not in COMMANDS:
        raise InputError(f"no command {words[0]!r}{_nearest(words[0], list(COMMANDS))}; see personlab --help")
    # Imported when called, as the commands are: torch and lightning take seconds to load.
    from personlab.imports import restrict_imports

    restrict_imports()
    module = importlib.import_module(COMMANDS[words[0]][0])
    return int(module.run(words))


def _overview() -> str:
    rows = [f"  {name:10} {text}" for name, (_, text) in COMMANDS.items()]
    usage = "usage: personlab COMMAND [options]   (personlab COMMAND --help)\n\n"
    return usage + "\n".join(rows) + "\n\noptions: --debug (tracebacks), --version\n"


def _configure_output(debug: bool) -> None:
    # albumentations asks a host for its newest version on import unless told not to.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    # Threads that spin for long while they wait take the cores from the loader's workers, which makes a step several
    # times as long; threads that sleep at once wake up late. A short spin is best for both.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.handlers[:] = [handler]
    logger.setLevel(logging.DEBUG if debug else logging.INFO)
    logger.propagate = False
    if not debug:
        for noisy in ("does not have many workers", "weight averaging", "WeightAveraging", "GPU available"):
            warnings.filterwarnings("ignore", message=f".*{noisy}.*")


def _fail(message: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    line = re.sub(r"\s+", " ", message).strip()
    sys.stderr.write(f"personlab: error: {line}\n")
    return code


def _explain(error: argparse.ArgumentError, words: list[str]) -> str:
    """The parser's message in one line, with a hint where an option does not exist."""
    message = re.sub(r"\s+", " ", str(error)).strip()
    return f"{message[:600]} (personlab {words[0]} --help lists the options)"


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def _input_error_behind(error: BaseException) -> InputError | None:
    """The InputError that a library wrapped: a worker's traceback, or a `raise ... from`."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, InputError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


if __name__ == "__main__":
    sys.exit(main())
