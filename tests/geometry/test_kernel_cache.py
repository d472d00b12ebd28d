"""Compiled kernels never outlive the source that they were compiled from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from personlab.geometry.kernel_cache import drop_stale_kernels

CALLER = (
    "from numba import njit\nfrom kernels.callee import two\n\n@njit(cache=True)\ndef twice(x):\n    return two(x)\n"
)
CALLEE = "from numba import njit\n\n@njit(cache=True)\ndef two(x):\n    return {} * x\n"
RUN = """
import sys
from pathlib import Path
from personlab.geometry.kernel_cache import drop_stale_kernels
sys.path.insert(0, sys.argv[1])
{drop}
from kernels.caller import twice
print(twice(1))
"""
DROP = "drop_stale_kernels(Path(sys.argv[1], 'kernels'))"


def result(folder: Path, drop: str) -> int:
    words = [sys.executable, "-B", "-c", RUN.format(drop=drop), str(folder)]
    return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def test_a_kernel_follows_a_change_of_one_that_it_calls(tmp_path: Path) -> None:
    package = tmp_path / "kernels"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "caller.py").write_text(CALLER)
    (package / "callee.py").write_text(CALLEE.format(2))
    assert result(tmp_path, DROP) == 2
    (package / "callee.py").write_text(CALLEE.format(3))
    assert result(tmp_path, "") == 2, "numba notices by itself now: all this can go"
    assert result(tmp_path, DROP) == 3


def test_what_is_up_to_date_stays(tmp_path: Path) -> None:
    cache = tmp_path / "below" / "__pycache__"
    cache.mkdir(parents=True)
    source = tmp_path / "below" / "a.py"
    source.write_text("# njit")
    compiled, bytecode = cache / "a.nbc", cache / "a.pyc"
    compiled.touch()
    bytecode.touch()
    assert drop_stale_kernels(tmp_path)
    assert not compiled.exists()
    compiled.touch()
    (tmp_path / "other.py").write_text("# no kernel in here")
    assert not drop_stale_kernels(tmp_path)
    assert compiled.exists()
    source.write_text("# njit, changed")
    assert drop_stale_kernels(tmp_path)
    assert bytecode.exists()
