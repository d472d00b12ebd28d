"""What goes wrong in long trainings, as docs/reliability.md tells it: each row is a test that was run.

`python -m tests.integration.faults` writes the table anew.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
MODULES = ("tests.integration.test_resume", "tests.integration.test_faults", "tests.integration.test_wandb")
BEGIN, END = "<!-- faults -->\n", "<!-- end -->"


class Fault(NamedTuple):
    """A row of the table."""

    name: str
    happens: str
    lost: str


def fault(name: str, happens: str, lost: str = "nothing") -> Callable[[Any], Any]:
    """Mark a test as the proof of what happens on a fault, and what is lost."""

    def mark(test: Any) -> Any:
        test.faults = [Fault(name, happens, lost), *getattr(test, "faults", [])]
        return test

    return mark


def table() -> str:
    """All marked tests as Markdown."""
    lines = ["| fault | what happens | what is lost | test |", "|---|---|---|---|"]
    for module in MODULES:
        for name, test in vars(importlib.import_module(module)).items():
            rows = getattr(test, "faults", [])
            lines += [f"| {row.name} | {row.happens} | {row.lost} | `{name}` |" for row in rows]
    return "\n".join(lines) + "\n"


def page() -> str:
    """The page as it should be."""
    text = PAGE.read_text(encoding="utf-8")
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    return text[:begin] + table() + text[end:]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
