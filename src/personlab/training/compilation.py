"""What `torch.compile` says when it fails, in one line: its own words are a compiler's whole output."""

from __future__ import annotations

import sys
from itertools import islice

_LONGEST = 240
"""Letters of the cause that are told."""


def compile_failure(error: BaseException) -> str | None:
    """The cause of a failed compilation and its mend.

    Args:
        error: Whatever a training ended with.

    Returns:
        None if it is something else.
    """
    known = sys.modules.get("torch._dynamo.exc")  # not there before anything was compiled
    if known is None or not isinstance(error, known.TorchDynamoException):
        return None
    return (
        f"--model.compile_network: torch.compile failed ({_cause(error)}); install a C++ compiler that works, such as "
        "g++, or name it by CXX, or train without this option"
    )


def _cause(error: BaseException) -> str:
    """What failed, and of a compiler's output the first error."""
    inner = getattr(error, "inner_exception", None) or error
    first, *rest = [line.strip() for line in str(inner).splitlines() if line.strip()] or ["no reason given"]
    errors = islice((line for line in rest if "error:" in line), 1)
    told = f"{type(inner).__name__}: {': '.join([first, *errors])}"
    return told if len(told) <= _LONGEST else f"{told[:_LONGEST]} ..."
