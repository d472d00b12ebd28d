"""Names as W&B takes them."""

from __future__ import annotations

import re

_REFUSED = re.compile(r"[/\\#?%:]")
_LONGEST = 128


def is_project(name: str) -> bool:
    """Whether W&B takes a project of this name."""
    return bool(name) and len(name) <= _LONGEST and not _REFUSED.search(name)


def project_named(name: str) -> str:
    """The project for what has a name of its own, such as a run: the name, with `-` for what W&B refuses, cut short."""
    return _REFUSED.sub("-", name)[:_LONGEST]
