"""The one reader of run directories: reports, sweeps and comparisons know of runs by it alone."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from personlab.errors import InputError
from personlab.experiments.lock import NAME as LOCK
from personlab.experiments.record import COMMANDS, ENDS, STATUSES, Axis, Run
from personlab.experiments.runs import RunDirectory
from personlab.experiments.settings import read_yaml

__all__ = ["COMMANDS", "STATUSES", "Axis", "Run", "find_runs", "read_run"]
_MARKS = (("run.json",), ("config.yaml", "metrics.jsonl"), ("config.yaml", LOCK), ("checkpoints", "predictions"))
"""Files by which a run directory is known: it has all of one line."""
_SHAPES: dict[str, dict[str, type]] = {
    "run.json": dict.fromkeys(("git", "data_hash", "weights_hash", "versions", "batch"), dict)
    | {"seed": int, "resumed": list},
    "config.yaml": dict.fromkeys(("data", "model", "trainer"), dict),
    "evaluation.json": dict.fromkeys(("keypoints", "segmentation", "seconds"), dict) | {"images": int, "step": int},
}
"""What parts of a run's files must be, where they are there."""
_DEPTH = 4
"""Folders below a root in which runs are looked for: a run lies two below its own root."""


def find_runs(*roots: str | Path) -> list[Run]:
    """All runs below some folders, oldest first; a folder may be a run itself.

    Nothing that lies there stops the search: runs that are damaged, and folders beside runs that are none, have
    `faults`.

    Raises:
        InputError: If a root is no folder.
    """
    found: dict[str, Path] = {}
    for root in roots:
        if not os.path.isdir(root):
            raise InputError(f"{root}: no such folder; give the folder of runs (--run.root of fit), or one run")
        for folder in _run_folders(Path(root), _DEPTH, set()):
            found.setdefault(os.path.realpath(folder), folder)
    runs = [_read(folder) for folder in found.values()]
    return sorted(runs, key=lambda run: (run.start.timestamp() if run.start else 0.0, str(run.path)))


def read_run(path: str | Path, root: str | Path = "runs") -> Run:
    """One run.

    Args:
        path: Its directory, that of its name if there is no other run in it, its `name/run_id` below the root, a
            beginning of either that no other run has, or the name of an experiment with one run.
        root: Folder of all runs.

    Raises:
        InputError: If there is none, or several.
    """
    text = os.fspath(path)
    for folder in (text, os.path.join(root, text)):
        if text and _is_run(folder):
            return _read(Path(folder))
    below = _run_folders(Path(root), _DEPTH, set()) if os.path.isdir(root) else iter(())
    runs = {folder: (folder.name, "/".join(folder.parts[-2:])) for folder in below if _is_run(folder)}
    same = [folder for folder, names in runs.items() if text in names]
    meant = same or [folder for folder, names in runs.items() if text and _begins(names, text)]
    if len(meant) == 1:
        return _read(meant[0])
    if meant:
        first = ", ".join("/".join(folder.parts[-2:]) for folder in sorted(meant)[:3])
        raise InputError(f"{text}: {len(meant)} runs may be meant ({first}{', …' * (len(meant) > 3)}); give more of it")
    if os.path.isdir(text):
        alone = [folder for folder in _run_folders(Path(text), 1, set()) if _is_run(folder)]
        if len(alone) == 1:
            return _read(alone[0])
        raise InputError(
            f"{text}: is no run directory, it has no run.json; `personlab runs {text}` lists what is below"
        )
    raise InputError(f"{text}: no such run, here or below {root}; `personlab runs {root}` lists them")


def _begins(names: tuple[str, str], text: str) -> bool:
    """Whether a text begins a run's id or its name/id, or is the name."""
    run_id, whole = names
    return (whole if "/" in text else run_id).startswith(text) or whole.startswith(f"{text}/")


def _run_folders(folder: Path, depth: int, seen: set[tuple[int, int]]) -> Iterator[Path]:
    """Run directories at or below a folder, and folders beside them that are none."""
    if _is_run(folder):
        yield folder
        return
    try:
        state = folder.stat()
        if (state.st_dev, state.st_ino) in seen:  # a link that leads back
            return
        seen.add((state.st_dev, state.st_ino))
        with os.scandir(folder) as entries:
            children = sorted(Path(e.path) for e in entries if not e.name.startswith(".") and e.is_dir())
    except OSError:
        yield folder
        return
    beside_runs = any(_is_run(child) for child in children)
    for child in children if depth else []:
        below = list(_run_folders(child, depth - 1, seen))
        yield from below if below or not beside_runs else [child]


def _is_run(folder: str | Path) -> bool:
    """Whether a folder is a run's, even if the card is lost or was never written."""

    def has(*names: str) -> bool:
        return all(os.path.exists(os.path.join(folder, name)) for name in names)

    return any(has(*names) for names in _MARKS)


def _read(folder: Path) -> Run:
    """What a folder holds, and what is wrong with it."""
    directory = RunDirectory(Path(os.path.abspath(folder)))
    faults: list[str] = []
    card = read_mapping(directory.card, faults)
    config = read_mapping(directory.config, faults)
    path = directory.path / "evaluation.json"
    evaluation = read_mapping(path, faults) if os.path.isfile(path) else None
    for name, content in (("run.json", card), ("config.yaml", config), ("evaluation.json", evaluation or {})):
        faults += _shaped(content, name)
    status = card.get("status")
    if card and status not in (*ENDS, "running"):
        faults.append(f"run.json: the status {str(status)[:40]!r} is unknown")
    return Run(directory, card, config, evaluation or None, tuple(faults))


def _shaped(content: dict[str, Any], file: str) -> list[str]:
    """Take out what has another shape than a run's files have, so that nobody who reads them stumbles over it.

    Args:
        content: Of the file; changed in place.
        file: Its name.

    Returns:
        What was taken out.
    """
    faults = []
    for name, kind in _SHAPES[file].items():
        value = content.get(name)
        if value is None:  # as though it were not there
            content.pop(name, None)
        elif not isinstance(value, kind) or isinstance(value, bool):
            faults.append(f"{file}: {name} is {str(value)[:40]!r}, which means nothing")
            del content[name]
        elif isinstance(value, dict) and file == "evaluation.json":
            odd = [key for key, figure in value.items() if figure is not None and not _is_number(figure)]
            faults += [f"{file}: {name}.{key} is {str(value.pop(key))[:40]!r}, which is no number" for key in odd]
    return faults


def _is_number(value: Any) -> bool:
    """Whether it is a number, and a finite one as a float, too; or numbers by name, such as AP by keypoint."""
    if isinstance(value, dict):
        return all(inner is None or _is_number(inner) for inner in value.values())
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def read_mapping(path: Path, faults: list[str]) -> dict[str, Any]:
    """Content of a JSON or YAML file; empty, with a fault noted, if it is no mapping."""
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else read_yaml(text)
        json.dumps(content, default=str, skipkeys=True)  # YAML can name a part that holds itself
    except FileNotFoundError:
        faults.append(f"{path.name}: is missing")
    except OSError as error:
        faults.append(f"{path.name}: cannot be read ({error.strerror or error})")
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        faults.append(f"{path.name}: is cut or damaged ({str(error).strip().splitlines()[0][:80]})")
    else:
        if isinstance(content, Mapping) and content:
            return {str(key): value for key, value in content.items()}
        faults.append(f"{path.name}: is empty or no mapping")
    return {}
