"""What a process weighs."""

from __future__ import annotations

import mmap
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from personlab.experiments.memory import process_memory

ROLLUP = """55bcec340000-7ffc885d5000 ---p 00000000 00:00 0                          [rollup]
Rss:                4096 kB
Pss:                1536 kB
Shared_Clean:       2560 kB
Private_Clean:       512 kB
Private_Dirty:      1024 kB
"""


def test_fields_are_read_and_added(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "smaps_rollup").write_text(ROLLUP)
    assert process_memory(7, tmp_path) == {"rss_mib": 4.0, "pss_mib": 1.5, "private_mib": 1.5}


@pytest.mark.parametrize("content", ["", "a line\nRss: many kB\n", "a line\nRss: 1 kB\n"])
def test_what_is_not_told_is_none(content: str, tmp_path: Path) -> None:
    assert process_memory(7, tmp_path) is None
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "smaps_rollup").write_text(content)
    assert process_memory(7, tmp_path) is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has smaps_rollup")
def test_memory_that_is_written_to_is_counted() -> None:
    before = process_memory(os.getpid())
    held = np.frombuffer(mmap.mmap(-1, 32 * 2**20), np.uint8)  # fresh, where an allocator may hand out old memory
    held[:] = 1
    after = process_memory()
    assert before is not None
    assert after is not None
    assert after["private_mib"] - before["private_mib"] > 24
    assert held.all()
