"""What becomes of a trial of a sweep: its run directory, and the metric in its ledger."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping
from pathlib import Path


def newest_run(folder: Path) -> Path | None:
    """The run directory in a trial's folder that was written to last, None if there is none."""
    ledgers = []
    for path in folder.glob("*/metrics.jsonl"):
        with contextlib.suppress(OSError):
            ledgers.append((path.stat().st_mtime_ns, path))
    return max(ledgers)[1].parent if ledgers else None


def is_finished(folder: Path) -> bool:
    """Whether the newest run in a trial's folder ended by itself, as its run card says."""
    run = newest_run(folder)
    try:
        return run is not None and json.loads((run / "run.json").read_text(encoding="utf-8"))["status"] == "finished"
    except (OSError, ValueError, KeyError, TypeError):
        return False


def states_of(folder: Path) -> dict[str, int]:
    """When each run in a trial's folder was last written to, by the run's name, in nanoseconds."""
    return {path.parent.name: _state(path.parent) for path in folder.glob("*/metrics.jsonl")}


def _state(run: Path) -> int:
    """When a run was last written to; its card is, too, where it goes on and has nothing left to log."""
    times = [0]
    for name in ("metrics.jsonl", "run.json"):
        with contextlib.suppress(OSError):
            times.append((run / name).stat().st_mtime_ns)
    return max(times)


class LedgerFollower:
    """Reads one metric out of a trial's ledger as it grows."""

    def __init__(self, folder: Path, metric: str, before: Mapping[str, int] | None = None) -> None:
        """Follow the newest run of a trial's folder.

        Args:
            folder: Of the trial.
            metric: Its name.
            before: Runs as they were when this attempt began, see `states_of`: what an earlier one left there and
                nothing has touched since is none of its values.
        """
        self._folder, self._metric, self._before = folder, metric, dict(before or {})
        self._seen: tuple[Path, int, int] | None = None
        self._values: list[float] = []

    def values(self) -> list[float]:
        """All values so far, in the order in which they were logged; those that are not finite are left out."""
        run = newest_run(self._folder)
        if run is None or self._before.get(run.name) == _state(run):
            return []
        ledger = run / "metrics.jsonl"
        try:
            about = ledger.stat()
            seen = (ledger, about.st_mtime_ns, about.st_size)
            if seen != self._seen:
                self._values = _values_of(ledger.read_bytes(), self._metric)
                self._seen = seen
        except OSError:  # it is being replaced
            pass
        return self._values


def _values_of(ledger: bytes, metric: str) -> list[float]:
    """All values of a metric; lines that are no JSON, such as a last one that is half written, are left out."""
    keys = [json.dumps(metric, ensure_ascii=plain).encode() for plain in (True, False)]
    found = []
    for line in ledger.split(b"\n"):
        if not any(key in line for key in keys):
            continue
        with contextlib.suppress(ValueError, RecursionError, OverflowError):
            content = json.loads(line)
            value = content.get(metric) if isinstance(content, dict) else None
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
                found.append(float(value))
    return found
