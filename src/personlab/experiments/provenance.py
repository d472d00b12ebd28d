"""Where a result comes from: source, machine, packages and time."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

_VERSIONED = (
    "personlab", "torch", "lightning", "torchmetrics", "albumentations", "opencv-python-headless", "pycocotools",
    "jsonargparse", "omegaconf", "numba", "numpy", "wandb",
)  # fmt: skip
_SOURCE = (":(top)", *(f":(top,exclude){path}" for path in ("benchmarks/results", "docs", "*.md")))
"""Files whose changes count: all but those that tell of results."""


def provenance(command: str, device: str = "cpu") -> dict[str, Any]:
    """What a file of measurements begins with, so that they can be made again and compared.

    Args:
        command: The command line that made them.
        device: Where the work was done, as torch names it.

    Returns:
        `command`; `date`; `commit` of the source, None outside a git checkout, and whether it was `dirty`; `cpu` and
        `cores`; `gpu`, None where none was used; `versions` of Python, PyTorch and numba.
    """
    state = git_state()
    found = versions()
    return {
        "command": command,
        "date": now(),
        "commit": state.get("commit"),
        "dirty": state.get("dirty"),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else None,
        "versions": {name: found.get(name) for name in ("python", "torch", "numba")},
    }


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name as Linux tells it in `cpuinfo`; elsewhere what Python knows of it."""
    try:
        told = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        told = None
    return told[1].strip() if told else platform.processor() or platform.machine()


def now() -> str:
    """Local time with its offset from UTC, in seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on; packages that are not installed are left out."""
    found = {"python": platform.python_version()}
    for package in _VERSIONED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def code_hash(*parts: str) -> str:
    """Sixteen hexadecimal digits that change with the source of parts of this package, committed or not.

    Args:
        parts: Packages and files below `personlab`, such as `network` and `structures.py`.
    """
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for part in parts:
        path = root / part
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(f"{file.relative_to(root)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def git_state() -> dict[str, Any]:
    """Commit of the source tree that runs, and whether it has changes; empty if it is not a git checkout."""
    commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--", *_SOURCE)
    if commit is None or changes is None:
        return {}
    return {"commit": commit, "dirty": bool(changes)}


def source_tree() -> Path | None:
    """Top folder of the git checkout that the code runs from, None if it is installed otherwise."""
    folder = _git("rev-parse", "--show-toplevel")
    return Path(folder) if folder else None


def commits_between(first: str, last: str) -> list[str] | None:
    """What `git log --oneline first..last` tells, newest first; None where git does not know one of the commits."""
    # A run card may come from anywhere, and what begins with a dash would be an option.
    if not all(re.fullmatch(r"[0-9a-f]{7,64}", commit) for commit in (first, last)):
        return None
    told = _git("log", "--oneline", "--no-decorate", "--no-color", f"{first}..{last}")
    return None if told is None else told.splitlines()


def has_commit(commit: str) -> bool:
    """Whether the git checkout that the code runs from has a commit, by all its hexadecimal digits or the first."""
    return bool(re.fullmatch(r"[0-9a-f]{7,64}", commit)) and _git("cat-file", "-t", commit) == "commit"


def _git(*words: str) -> str | None:
    """What git tells of the source tree, None if it fails."""
    here = Path(__file__).resolve().parent
    try:
        done = subprocess.run(
            ["git", *words], cwd=here, capture_output=True, encoding="utf-8", errors="replace", timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
