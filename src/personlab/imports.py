"""Whose code may be imported because a config, a command line or a weights file names it.

Naming a class imports its module, and importing runs code: whoever hands over a file must not choose what runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jsonargparse import set_parsing_settings

ALLOWED_PACKAGES = (
    "personlab",
    "torch.optim",
    "lightning.pytorch.callbacks",
    "lightning.pytorch.loggers",
    "lightning.pytorch.plugins",
    "lightning.pytorch.profilers",
    "lightning.pytorch.strategies",
    "lightning.pytorch.accelerators",
    "lightning.fabric.plugins",
)
"""Packages whose classes a config or a command line may name.

Not all of torch or lightning: where an argument is a callable, as the optimizer is, a function can be named with its
arguments, and there is torch.hub.load, which runs what it downloads.
"""
_NOT_OF_PERSONLAB = ("personlab.cli", "personlab.files")
"""Where this package has functions that write anywhere."""


def restrict_imports() -> None:
    """Let the parsers of this process import from `ALLOWED_PACKAGES` only, wherever a name comes from.

    The parser itself enforces it, so it holds for every spelling: a `class_path`, a bare string, an interpolation, a
    file named in place of a section, and a name that leads out of these packages through one of their own imports. It
    changes every parser of the process and cannot be taken back, so it is the program's to call and not the library's.
    """
    set_parsing_settings(
        import_path_denylist=["*", *_NOT_OF_PERSONLAB],
        import_path_allowlist=list(ALLOWED_PACKAGES),
        # Otherwise a mapping with `class_path` is built even where an argument takes any value at all.
        instantiate_subclass_spec_in_any=False,
    )


def is_in(name: str, *packages: str) -> bool:
    """Whether a dotted name lies in one of the packages."""
    return name.startswith(tuple(f"{package}." for package in packages))


def leaves(content: Any, keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value of nested mappings and lists, with the keys that lead to it (a list adds none)."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from leaves(value, (*keys, str(key)))
    elif isinstance(content, list | tuple):
        for value in content:
            yield from leaves(value, keys)
    else:
        yield keys, content
