"""Silence for libraries that write to the terminal by themselves."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger("personlab")


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """What decoders written in C say on standard error goes nowhere while this lasts; with --debug it is shown.

    libjpeg, libpng, libtiff and FFmpeg tell of every oddity in a file, with no name of the file and over several lines.
    What matters comes back as an error or as no image, and is told by us.
    """
    if logger.isEnabledFor(logging.DEBUG):
        yield
        return
    try:
        kept = os.dup(2)
    except OSError:  # standard error is closed: quiet already
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
