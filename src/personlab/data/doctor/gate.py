"""No training on a file that the doctor finds errors in: the checks that need no image, once for every content."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from pathlib import Path

from personlab.data.doctor.codes import Use
from personlab.data.doctor.examination import examine_annotations
from personlab.errors import InputError
from personlab.files import sha256
from personlab.skeleton import Skeleton

_WORTH_KEEPING_S = 1.0
"""A check that took less is done again rather than remembered."""


def refuse_errors(path: Path, skeleton: Skeleton, use: Use, mend: str) -> None:
    """Refuse an annotation file with errors.

    That a file has none is remembered in the user's cache folder (`XDG_CACHE_HOME`, or `~/.cache`), by its content, the
    skeleton and the checks' own source, since a hundred thousand images take some ten seconds. Where nothing can be
    written, nothing is remembered.

    Args:
        path: A file that the reader reads.
        skeleton: What its keypoints are.
        use: What it is for; errors that do not spoil this are passed over.
        mend: How to see all errors.

    Raises:
        InputError: If it has some: how many, and the first.
    """
    passed = _cache() / hashlib.sha256(f"{sha256(path)} {skeleton} {use} {_own_source()}".encode()).hexdigest()
    if passed.exists():
        return
    started = time.perf_counter()
    findings, _ = examine_annotations(path, skeleton, ask_the_reader=False)
    errors = findings.errors(use)
    if errors:
        first = errors[0]
        where = f"{first.where}: " if first.image_id is not None or first.annotation_id is not None else ""
        count = f"{len(errors)} errors, first" if len(errors) > 1 else "an error"
        raise InputError(f"{path}: {count} {first.code}: {where}{first.what}; {mend}")
    if time.perf_counter() - started > _WORTH_KEEPING_S:
        with contextlib.suppress(OSError):
            passed.parent.mkdir(parents=True, exist_ok=True)
            passed.touch()


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "personlab" / "checked"


def _own_source() -> str:
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()
