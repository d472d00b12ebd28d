"""The program `personlab`: finds the command, runs it, and turns its end into an exit code.

Exit codes: 0 done, 1 failed, 2 bad usage or bad input, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Sequence
from types import ModuleType

from personlab import __version__
from personlab.cli.parser_errors import explain, nearest
from personlab.errors import InputError
from personlab.imports import restrict_imports

COMMANDS = {
    "fit": ("personlab.cli.trainer", "train a network and evaluate it"),
    "validate": ("personlab.cli.trainer", "evaluate a checkpoint on the validation split"),
    "test": ("personlab.cli.trainer", "evaluate a checkpoint on the test split"),
    "predict": ("personlab.cli.predict", "find people in images, folders, videos and cameras"),
    "evaluate": ("personlab.cli.evaluate", "score any weights on a split, without a Trainer"),
    "errors": (
        "personlab.cli.errors",
        "tell what is wrong with the people found, and the AP that each error costs",
    ),
    "ablate": ("personlab.cli.ablate", "train or decode a baseline and its variations, and tell what each changes"),
    "decode": ("personlab.cli.decode", "decode saved fields by the rules of the paper or of a released decoder"),
    "export": ("personlab.cli.export", "write a network as an ONNX file, which predict and evaluate take as weights"),
    "bench": (
        "personlab.cli.bench",
        "time a stage (bench loader, encode, train, decode), or tune the decoder: bench tune",
    ),
    "sweep": (
        "personlab.cli.sweep",
        "run the trials of a sweep file in W&B's format, here or by Ray or W&B",
    ),
    "oracle": ("personlab.cli.oracle", "score the decoder on true fields: the upper bound of encoding and decoding"),
    "compare": ("personlab.cli.compare", "put runs side by side: one HTML report, tables, intervals"),
    "data": ("personlab.cli.data", "make, check, see and mend data sets: data synth, doctor, stats, browse, impute"),
    "weights": (
        "personlab.cli.weights",
        "take weights out of runs, import released ones, look into files: weights extract, import, inspect",
    ),
    "runs": ("personlab.cli.runs", "list runs: status, scores, cost, and what differs between them"),
    "diff": ("personlab.cli.diff", "tell what differs between two runs: config, code, data, environment, scores"),
    "reproduce": ("personlab.cli.reproduce", "print or start the command that makes a run again"),
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
    _set_environment()
    _configure_output(debug)
    try:
        return _dispatch(words)
    except InputError as error:
        return _fail(str(error), 2, debug)
    except argparse.ArgumentError as error:
        return _fail(_explain(error, words), 2, debug)
    except KeyboardInterrupt as stop:
        return _fail(str(stop) or "interrupted", 130, debug)
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
        raise InputError(f"no command {words[0]!r}{nearest(words[0], COMMANDS)}; see personlab --help")
    restrict_imports()
    module = _module(words)
    if words[1:] in (["-h"], ["--help"]) and _is_group(module):
        sys.stdout.write(_group_help(words[0], module))
        return 0
    return int(module.run(words))


def _module(words: list[str]) -> ModuleType:
    # Commands are imported when called: torch and lightning take seconds to load.
    return importlib.import_module(COMMANDS[words[0]][0])


def _is_group(module: ModuleType) -> bool:
    """Whether a module has commands of its own, as in `personlab data synth`."""
    return hasattr(module, "COMMANDS")


def _group_help(name: str, module: ModuleType) -> str:
    commands = "\n".join(f"  personlab {name} {command} --help" for command in module.COMMANDS)
    return f"usage: personlab {name} COMMAND [options]\n\n{COMMANDS[name][1]}\n\ncommands:\n{commands}\n"


def _overview() -> str:
    rows = [f"  {name:10} {text}" for name, (_, text) in COMMANDS.items()]
    usage = "usage: personlab COMMAND [options]   (personlab COMMAND --help)\n\n"
    return usage + "\n".join(rows) + "\n\noptions: --debug (tracebacks), --version\n"


def _set_environment() -> None:
    """What libraries read from the environment when they are imported; what the user has set stays."""
    # albumentations asks a host for its newest version on import unless told not to.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    # Threads that spin for long while they wait take the cores from the loader's workers, which makes a step several
    # times as long; threads that sleep at once wake up late. A short spin is best for both.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    # OpenCV and its FFmpeg write about every broken file and missing camera to the terminal; we tell it in one line.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


def _configure_output(debug: bool) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.handlers[:] = [handler]
    logger.setLevel(logging.DEBUG if debug else logging.INFO)
    logger.propagate = False
    if not debug:
        for noisy in (
            "does not have many workers",
            "weight averaging",
            "WeightAveraging",
            "GPU available",
            "args parameter is intended to run from within Python",
            "and your dataloader is not resumable",  # the sampler goes on where a resumed run stopped
            "exists and is not empty",  # of the checkpoints of a resumed run
            "The dirpath has changed",  # of a checkpoint that is only evaluated
            "is smaller than the logging interval",
            "isinstance.treespec, LeafSpec.",  # a deprecation inside Lightning
            "sync_dist=True",  # scores are computed once and told to all processes: there is nothing to average
        ):
            warnings.filterwarnings("ignore", message=f".*{noisy}.*")


def _fail(message: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    line = re.sub(r"\s+", " ", message).strip()
    sys.stderr.write(f"personlab: error: {line}\n")
    return code


def _explain(error: argparse.ArgumentError, words: list[str]) -> str:
    """The parser's message in one line, with the nearest name where an option does not exist."""
    command = words[: 2 if _is_group(_module(words)) else 1]

    def read_help() -> str:
        with contextlib.redirect_stdout(io.StringIO()) as told, contextlib.suppress(SystemExit):
            _module(words).run([*command, "--help"])
        return told.getvalue()

    return f"{explain(str(error), read_help)} (personlab {' '.join(command)} --help lists the options)"


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
