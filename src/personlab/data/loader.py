"""The loader of batches, and what its workers need."""

from __future__ import annotations

import os
import time
from typing import Any

import cv2
from torch.utils.data import DataLoader

from personlab.errors import InputError
from personlab.structures import Sample


class BatchLoader(DataLoader[Sample]):
    """A loader that times the wait, and whose workers begin with the first batch that is asked for, not with `iter`.

    The Trainer calls `iter` before it knows the epoch that it resumes, and its workers would fetch another one.

    Attributes:
        waited_s: Seconds spent waiting for batches since the last iteration began.
    """

    waited_s = 0.0

    def __iter__(self) -> Any:
        """The batches of one epoch."""
        started, self.waited_s = time.perf_counter(), 0.0
        try:
            for batch in super().__iter__():
                self.waited_s += time.perf_counter() - started
                yield batch
                started = time.perf_counter()
        except InputError as error:
            # What a worker raises comes with its traceback as the message; the last line is ours.
            line = str(error).rstrip().splitlines()[-1]
            raise type(error)(line.removeprefix(f"{type(error).__module__}.{type(error).__qualname__}: ")) from None


def cpus() -> int:
    """CPUs that this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def start_worker(worker: int) -> None:
    """OpenCV's own threads deadlock after a fork, and would compete with the other workers."""
    cv2.setNumThreads(0)
