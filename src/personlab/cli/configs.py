"""Configs that build on others: `base: [../base.yaml, ...]` in a config file, merged before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from personlab.errors import InputError
from personlab.imports import ALLOWED_PACKAGES, is_in, leaves

_CONFIG_SUFFIXES = (".yaml", ".yml", ".json")


def expand_configs(words: list[str]) -> list[str]:
    """Put the files named under `base:` in front of each `--config FILE`, recursively.

    A base that came before is not put in again: it would undo what the files after it say.

    Args:
        words: Words of a command line.

    Returns:
        The words with more `--config` options; later files win over earlier ones.

    Raises:
        InputError: If a file cannot be read, is not YAML, builds on itself, names a class outside the allowed
            packages, or a file in place of a section.
    """
    out: list[str] = []
    merged: set[Path] = set()
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
        for file in _chain(Path(path), (), merged):
            out += ["--config", str(file)]
    return out


def _chain(path: Path, above: tuple[Path, ...], merged: set[Path]) -> list[Path]:
    """A file after those it builds on, without the bases that are `merged` already; adds to these."""
    own = path.resolve()
    if own in above:
        raise InputError(f"{path}: builds on itself; remove it from base:")
    content = _read(path)
    _check_names(path, content)
    bases = content.get("base") or []
    if not isinstance(bases, list):
        raise InputError(f"{path}: base must be a list of config files, relative to this one")
    chain: list[Path] = []
    for base in bases:
        file = path.parent / str(base)
        if file.resolve() not in merged:
            chain += _chain(file, (*above, own), merged)
    merged.add(own)
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


def _check_names(path: Path, content: dict[str, Any]) -> None:
    """Refuse what the parser would refuse later without naming the file, and files in place of sections."""
    for keys, value in leaves(content):
        if not isinstance(value, str):
            continue
        if keys[-1] == "class_path" and "." in value and not is_in(value, *ALLOWED_PACKAGES):
            raise InputError(
                f"{path}: class_path {value!r} is not allowed; name a class of {', '.join(ALLOWED_PACKAGES)}"
            )
        # The parser would read the file, but not what it builds on. The data set's own files are no sections.
        is_section = len(keys) == 1 or keys[0] != "data"
        if keys[0] not in ("base", "ckpt_path") and is_section and value.endswith(_CONFIG_SUFFIXES):
            raise InputError(f"{path}: {'.'.join(keys)} names a file ({value}); list it under base: instead")
