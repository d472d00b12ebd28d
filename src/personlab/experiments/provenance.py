"""Where a result comes from: source, machine, packages and time."""

from __future__ import annotations

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


def git_state() -> dict[str, Any]:
    """Commit of the source tree that runs, and whether it has changes; empty if it is not a git checkout."""
    here = Path(__file__).resolve().parent
    try:
        ask = {"cwd": here, "capture_output": True, "text": True, "timeout": 10, "check": True}
        commit = subprocess.run(["git", "rev-parse", "HEAD"], **ask).stdout.strip()  # type: ignore[call-overload]
        changes = subprocess.run(["git", "status", "--porcelain", "--", *_SOURCE], **ask).stdout.strip()  # type: ignore[call-overload]
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"commit": commit, "dirty": bool(changes)}
