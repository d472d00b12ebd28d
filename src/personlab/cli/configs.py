"""Configs that build on others: `base: [../base.yaml, ...]` in a config file, merged before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from personlab.errors import InputError

ALLOWED_PREFIXES = ("personlab.", "lightning.", "torch.", "torchmetrics.")
"""Packages whose classes a config may name: a config that names any other is refused before anything is imported."""


def expand_configs(words: list[str]) -> list[str]:
    """Put the files named under `base:` in front of each `--config FILE`, recursively.

    Args:
        words: Words of a command line.

    Returns:
        The words with more `--config` options; later files win over earlier ones.

    Raises:
        InputError: If a file cannot be read, is not YAML, builds on itself, or names a class outside the allowed
            packages.
    """
    out: list[str] = []
    i = 0
    while i < len(words):
        word = words[i]
        if word in ("--config", "-c") and i + 1 < len(words):
            path, i = words[i + 1], i + 2
        elif word.startswith("--config="):
            path, i = word.removeprefix("--config="), i + 1
        else:
            out.append(word)
            i += 1
            continue
        for file in _chain(Path(path), ()):
            out += ["--config", str(file)]
    return out


def _chain(path: Path, above: tuple[Path, ...]) -> list[Path]:
    if path.resolve() in above:
        raise InputError(f"{path}: builds on itself; remove it from base:")
    content = _read(path)
    _check_classes(path, content)
    bases = content.get("base") or []
    if not isinstance(bases, list):
        raise InputError(f"{path}: base must be a list of config files, relative to this one")
    chain: list[Path] = []
    for base in bases:
        for file in _chain(path.parent / str(base), (*above, path.resolve())):
            if file not in chain:
                chain.append(file)
    return [*chain, path]


def _read(path: Path) -> dict[str, Any]:
    try:
        content = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except OSError as error:
        raise InputError(f"{path}: cannot read the config ({error.strerror}); check --config and base:") from error
    except Exception as error:  # every YAML library error has its own class
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"{path}: not a YAML config: {first}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a config: the top level must be a mapping")
    return {str(k): v for k, v in content.items()}


def _check_classes(path: Path, content: Any) -> None:
    if isinstance(content, dict):
        named = content.get("class_path")
        if isinstance(named, str) and "." in named and not named.startswith(ALLOWED_PREFIXES):
            raise InputError(f"{path}: class_path {named!r} is not allowed; use one of {', '.join(ALLOWED_PREFIXES)}")
        for value in content.values():
            _check_classes(path, value)
    elif isinstance(content, list):
        for value in content:
            _check_classes(path, value)
