"""Runs a trial's command and never outlives the sweep: `python guard.py GRACE_SECONDS WORD...`.

The sweep holds the other end of standard input. When that closes, by a wish to stop or because the sweep was killed,
the command is asked to end (SIGTERM) and after the grace all of its processes are killed. Its processes are those that
carry the trial's mark in their environment, also where they have a session of their own, as those of torchrun have, or
were left by a guard that was killed itself. Run as a file: it imports nothing of the package, so that it starts in
milliseconds.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

MARK = "PERSONLAB_TRIAL"
"""Variable of a trial's processes: the file that its output goes to."""


def main(words: list[str]) -> int:
    """Run the command to its end.

    Returns:
        Its exit code, 128 and the signal's number if a signal ended it, 127 if it could not be started.
    """
    grace_s, command = float(words[0]), words[1:]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # only the sweep's end ends it; the command gets its defaults back
    _kill_marked()  # of a guard that was killed, or they would train in the same run directory
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: cannot be started ({error.strerror})\n")
        return 127
    threading.Thread(target=_stop_when_left, args=(process, grace_s), daemon=True).start()
    code = process.wait()
    _kill_group(process.pid)  # what it started and left behind
    _kill_marked()
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


def marked(mark: str) -> list[int]:
    """Processes that carry a trial's mark, other than this one; none where the system does not tell of environments."""
    entry = f"{MARK}={mark}".encode()
    found = []
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else []:
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:
                if entry in file.read().split(b"\0"):
                    found.append(int(name))
    return found


def _kill_marked(longest_s: float = 10.0) -> None:
    """Kill the trial's processes until none is left: one may start another while it is looked for."""
    mark, deadline = os.environ.get(MARK), time.monotonic() + longest_s
    while mark and (left := marked(mark)) and time.monotonic() < deadline:
        for process in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
