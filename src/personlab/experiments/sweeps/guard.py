"""Runs a trial's command and never outlives the sweep: `python guard.py GRACE_SECONDS WORD...`.

The sweep holds the other end of standard input. When that closes, by a wish to stop or because the sweep was killed,
the command is asked to end (SIGTERM) and after the grace all of its processes are killed. Run as a file: it imports
nothing of the package, so that it starts in milliseconds.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading


def main(words: list[str]) -> int:
    """Run the command to its end.

    Returns:
        Its exit code, 128 and the signal's number if a signal ended it, 127 if it could not be started.
    """
    grace_s, command = float(words[0]), words[1:]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # only the sweep's end ends it; the command gets its defaults back
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: cannot be started ({error.strerror})\n")
        return 127
    threading.Thread(target=_stop_when_left, args=(process, grace_s), daemon=True).start()
    code = process.wait()
    _kill_group(process.pid)  # what it started and left behind
    return 128 - code if code < 0 else code


def _stop_when_left(process: subprocess.Popen[bytes], grace_s: float) -> None:
    while os.read(0, 1024):
        pass
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(grace_s)
    _kill_group(process.pid)


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
