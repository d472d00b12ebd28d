"""Study files: a baseline, factors with levels, seeds and a budget, checked before anything runs."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from personlab.errors import InputError

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}")
_MOST_SEED = 2**32 - 1
_OWN = ("seed_everything", "resume", "run.name", "run.root", "evaluation.keep_predictions")
"""Options of `personlab fit` that a study gives its trials itself."""
_COMMON = ("name", "data", "factors", "design", "baseline")
_TRAINING = ("base", "set", "seeds", "budget")
_DECODING = ("weights", "fields", "split", "max_images", "only_with_keypoints")
DECODING = ("rules", "decoder", "refinements", "size", "scales", "flip", "stride")
"""What a level of a decoder-only study may set; the study's own values are the baseline."""


@dataclass(frozen=True)
class Level:
    """One value of a factor.

    Attributes:
        name: In tables.
        overlay: A config merged after the recipe; None for none.
        settings: Options of `personlab fit` by dotted name; for a decoder-only study those of `DECODING`.
    """

    name: str
    overlay: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Factor:
    """What is varied, and to which levels besides the baseline's."""

    name: str
    levels: tuple[Level, ...]


@dataclass(frozen=True)
class StudyBudget:
    """When no more is started and what runs is stopped; None is without end.

    Attributes:
        max_hours: Of one start, by the clock.
        max_device_hours: Of all trials together, earlier starts included; the CPU counts as one device.
    """

    max_hours: float | None = None
    max_device_hours: float | None = None


@dataclass(frozen=True)
class Cell:
    """One row of the table: a level of each factor that is not at its baseline."""

    name: str
    levels: tuple[Level, ...] = ()


@dataclass(frozen=True)
class Study:
    """A study file.

    Attributes:
        path: The file.
        name: Folder of its results.
        baseline: What the baseline is called in tables.
        factors: What is varied.
        full: All combinations of levels, and not one factor at a time.
        data: Options of the data by name: `root`, `annotations`; for trainings any of `data.*`.
        seeds: One training each a cell; empty for a decoder-only study.
        base: Recipe of the trainings; None for a decoder-only study.
        settings: What the baseline is set to: options of `personlab fit`, or those of `DECODING`.
        budget: See the class.
        weights: Network of a decoder-only study; None for trainings.
        split: What it is scored on.
        max_images: Only the first so many; None for all.
        only_with_keypoints: Leave out masks without keypoints.
    """

    path: Path
    name: str
    baseline: str
    factors: tuple[Factor, ...]
    full: bool
    data: Mapping[str, Any]
    seeds: tuple[int, ...] = ()
    base: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    budget: StudyBudget = field(default_factory=StudyBudget)
    weights: str | None = None
    split: str = "val2017"
    max_images: int | None = None
    only_with_keypoints: bool = False

    def cells(self) -> list[Cell]:
        """The rows of the table, the baseline first."""
        found = [Cell(self.baseline)]
        if not self.full:
            return found + [Cell(f"{f.name}: {level.name}", (level,)) for f in self.factors for level in f.levels]
        for chosen in itertools.product(*([None, *factor.levels] for factor in self.factors)):
            pairs = [(f.name, level) for f, level in zip(self.factors, chosen, strict=True) if level is not None]
            if pairs:
                named = ", ".join(f"{name}: {level.name}" for name, level in pairs)
                found.append(Cell(named, tuple(level for _, level in pairs)))
        return found


def read_study(path: str | Path) -> Study:
    """Read a study file.

    Raises:
        InputError: If it cannot be read, has keys that mean nothing, or values that make no sense.
    """
    path = Path(path)
    try:
        raw = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except OSError as error:
        raise InputError(
            f"{path}: cannot read the study ({error.strerror}); give personlab ablate STUDY.yaml"
        ) from None
    except Exception as error:  # every YAML library error has its own class
        raise InputError(f"{path}: is no YAML: {' '.join(str(error).split())[:200]}") from None
    try:
        return _study(path, _mapping(raw, "the study"))
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def _study(path: Path, raw: dict[str, Any]) -> Study:
    decodes = "fields" in raw or "weights" in raw
    known = (*_COMMON, *_DECODING, *DECODING) if decodes else (*_COMMON, *_TRAINING)
    _only(raw, known, "a decoder-only study" if decodes else "a study")
    name = raw.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"name is {name!r}; give up to 64 letters, digits, _, - and . as its folder is called")
    design = raw.get("design", "one_at_a_time")
    if design not in ("one_at_a_time", "full"):
        raise ValueError(f"design is {design!r}; use one_at_a_time or full")
    factors = raw.get("factors")
    if not isinstance(factors, list) or not factors:
        raise ValueError("factors is no list; name one at least: [{name: steps, levels: [{name: 1, set: {...}}]}]")
    common: dict[str, Any] = {
        "path": path,
        "name": name,
        "baseline": _in_a_line(raw.get("baseline", "baseline")),
        "factors": tuple(_factor(path, f, n, decodes) for n, f in enumerate(factors)),
        "full": design == "full",
        "data": _mapping(raw.get("data", {}), "data"),
    }
    names = [cell.name for cell in Study(**common).cells()]
    if twice := next((n for n in names if names.count(n) > 1), None):
        raise ValueError(f"{twice!r} is there twice; give every factor and level a name of its own")
    return Study(**common, **(_decoding(raw) if decodes else _training(path, raw)))


def _training(path: Path, raw: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(raw.get("base"), str):
        raise ValueError("base is missing; give the recipe that is trained, such as base: ../experiment/demo.yaml")
    seeds = raw.get("seeds", [0])
    whole = isinstance(seeds, list) and all(type(seed) is int and 0 <= seed <= _MOST_SEED for seed in seeds)
    if not whole or not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds is {seeds!r}; give different whole numbers below 2^32, such as [0, 1]")
    budget = _mapping(raw.get("budget", {}), "budget")
    _only(budget, ("max_hours", "max_device_hours"), "a budget")
    for key, value in budget.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise ValueError(f"budget.{key} is {value!r}; give a positive number")
    return {
        "base": _file(path, raw["base"], "base"),
        "settings": _options(raw.get("set", {}), "set"),
        "seeds": tuple(seeds),
        "budget": StudyBudget(**budget),
    }


def _decoding(raw: dict[str, Any]) -> dict[str, Any]:
    if raw.get("fields") != "cached" or not isinstance(raw.get("weights"), str):
        raise ValueError("a decoder-only study needs both fields: cached and weights: FILE (or embedded)")
    _only(_mapping(raw.get("data", {}), "data"), ("root", "annotations"), "the data of a decoder-only study")
    limit = raw.get("max_images")
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ValueError(f"max_images is {limit!r}; give a whole number from 1 on, or leave it out")
    if not isinstance(alone := raw.get("only_with_keypoints", False), bool):
        raise ValueError(f"only_with_keypoints is {alone!r}; give true or false")
    return {
        "weights": raw["weights"],
        "split": str(raw.get("split", "val2017")),
        "max_images": limit,
        "only_with_keypoints": alone,
        "settings": {name: raw[name] for name in DECODING if name in raw},
    }


def _factor(path: Path, raw: Any, number: int, decodes: bool) -> Factor:
    where = f"factors[{number}]"
    raw = _mapping(raw, where)
    _only(raw, ("name", "levels"), where)
    if raw.get("name") is None or not isinstance(raw.get("levels"), list) or not raw["levels"]:
        raise ValueError(f"{where} needs a name and a list of levels")
    return Factor(
        _in_a_line(raw["name"]), tuple(_level(path, level, f"{raw['name']}", decodes) for level in raw["levels"])
    )


def _level(path: Path, raw: Any, factor: str, decodes: bool) -> Level:
    raw = _mapping(raw, f"a level of {factor}")
    if raw.get("name") is None:
        raise ValueError(f"a level of {factor} has no name")
    where = f"level {raw['name']} of {factor}"
    if decodes:
        _only(raw, ("name", *DECODING), where)
        level = Level(_in_a_line(raw["name"]), None, {key: value for key, value in raw.items() if key != "name"})
    else:
        _only(raw, ("name", "overlay", "set"), where)
        overlay = None if raw.get("overlay") is None else _file(path, str(raw["overlay"]), where)
        level = Level(_in_a_line(raw["name"]), overlay, _options(raw.get("set", {}), where))
    if level.overlay is None and not level.settings:
        raise ValueError(
            f"{where} changes nothing; give it {'one of ' + ', '.join(DECODING) if decodes else 'overlay or set'}"
        )
    return level


def _file(study: Path, name: str, where: str) -> Path:
    """A config beside the study file, or below the working directory."""
    for place in (study.parent / name, Path(name)):
        if os.path.isfile(place):  # false, too, for a name that no file can have
            return place
    raise ValueError(f"{where} names {name}, which is neither beside the study nor in the working directory")


def _in_a_line(name: Any) -> str:
    """A name as tables have it."""
    return " ".join(str(name).split())


def _options(raw: Any, where: str) -> dict[str, Any]:
    """Options of trainings, without those that would mean nothing."""
    options = _mapping(raw, where)
    if own := next((name for name in options if name in _OWN), None):
        raise ValueError(f"{where}: {own} is the study's to give (name, seeds); leave it out")
    return options


def _mapping(raw: Any, where: str) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise ValueError(f"{where} is {raw!r}, and must be a mapping")
    return {str(key): value for key, value in raw.items()}


def _only(raw: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    unknown = [key for key in raw if key not in known]
    if unknown:
        raise ValueError(f"{where} has no {unknown[0]!r}; it has {', '.join(known)}")
