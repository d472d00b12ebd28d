"""Sweeps of the program beside this file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

PROGRAM = Path(__file__).with_name("program.py")
SOURCE = Path(__file__).parents[3] / "src"
METRIC = {"name": "val/score", "goal": "maximize"}
Write = Callable[..., Path]


@pytest.fixture
def write_sweep(tmp_path: Path) -> Write:
    """Writes a sweep file whose trials are quick; further arguments are keys of the file or, with `p_`, parameters."""

    def write(name: str = "quick", values: int = 6, **keys: Any) -> Path:
        parameters = {
            "x": {"values": [round(i / 10, 1) for i in range(values)]},
            "log": {"value": str(tmp_path / "log.txt")},
        }
        parameters |= {key.removeprefix("p_"): value for key, value in keys.items() if key.startswith("p_")}
        content = {
            "name": name,
            "program": str(PROGRAM),
            "method": "grid",
            "metric": METRIC,
            "command": ["${interpreter}", "-S", "${program}", "${args}"],
            "parameters": parameters,
        } | {key: value for key, value in keys.items() if not key.startswith("p_")}
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path

    return write


def _listen_to_interruptions() -> None:
    """What is started in the background by a shell ignores Ctrl-C, and so does all that it starts in turn."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start_command(words: list[str], folder: Path, *stand_ins: Path) -> subprocess.Popen[str]:
    """`personlab WORDS` in a process of its own, with packages of ours in the place of others'."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (*stand_ins, SOURCE)))}
    return subprocess.Popen(
        [sys.executable, "-m", "personlab.cli.main", *words], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=_listen_to_interruptions,
    )  # fmt: skip
