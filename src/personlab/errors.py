"""The one exception that means "your input, not our code"."""

from __future__ import annotations


class InputError(Exception):
    """Bad input or bad usage, told in one line that names the file or option and the mend.

    The command line prints the message without a traceback and ends with exit code 2.
    """
