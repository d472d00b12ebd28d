"""Numba's file cache keeps what was compiled; this drops it when the source has changed since.

Numba looks at the file of the compiled function alone. A kernel that calls one in another file stays as it was compiled
when that other file changes, and an update of the source would go on decoding by old rules.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

_STAMP = "kernels.sha256"
_COMPILED = ("*.nbi", "*.nbc")


def drop_stale_kernels(package: Path) -> bool:
    """Forget all compiled kernels of a package if a file with kernels is not the one that they were compiled from.

    Args:
        package: Folder whose Python files, in all folders below, may hold kernels; compiled ones lie in `__pycache__`.

    Returns:
        Whether something was compiled from other source. Where nothing can be written, nothing is done: numba keeps its
        cache elsewhere then, by the time of installation.
    """
    sources = sorted(path for path in package.rglob("*.py") if b"njit" in path.read_bytes())
    digest = hashlib.sha256()
    for path in sources:
        digest.update(f"{path.relative_to(package)}\0".encode() + path.read_bytes())
    now = digest.hexdigest()
    stamp = package / "__pycache__" / _STAMP
    with contextlib.suppress(OSError):
        if stamp.is_file() and stamp.read_text() == now:
            return False
        stale = [
            file for path in {p.parent for p in sources} for n in _COMPILED for file in path.glob(f"__pycache__/{n}")
        ]
        for file in stale:
            file.unlink(missing_ok=True)
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(now)
        return bool(stale)
    return False
