"""A sweep from a file in W&B's format: https://docs.wandb.ai/guides/sweeps/sweep-config-keys."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from personlab.errors import InputError
from personlab.experiments.sweeps.parameters import MAX_GRID, Parameter, read_number, read_parameter
from personlab.experiments.wandb_names import is_project

METHODS = ("grid", "random", "bayes")
DEFAULT_COMMAND = ("${env}", "${interpreter}", "${program}", "${args}")
_KEYS = (
    "program", "entity", "project", "description", "name", "method", "metric", "parameters", "early_terminate",
    "command", "run_cap",
)  # fmt: skip
_MOST_ITERATIONS = 10**9
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Metric:
    """What a sweep looks at: a metric of the ledger, by its last value."""

    name: str
    maximize: bool
    target: float | None = None

    def reached(self, value: float) -> bool:
        """Whether a value is as good as the target, after which no new trial begins."""
        if self.target is None:
            return False
        return value >= self.target if self.maximize else value <= self.target


@dataclass(frozen=True)
class Hyperband:
    """When trials end early: after so many values of the metric, those that are not among the best."""

    bands: tuple[int, ...]
    eta: float
    strict: bool


@dataclass(frozen=True)
class Sweep:
    """A sweep as its file tells it."""

    path: Path
    name: str
    method: str
    command: tuple[str, ...]
    program: str
    parameters: tuple[Parameter, ...]
    metric: Metric | None = None
    hyperband: Hyperband | None = None
    run_cap: int | None = None
    description: str = ""
    project: str | None = None
    entity: str | None = None
    content: Mapping[str, Any] | None = None

    def grid_size(self) -> int:
        """Number of all combinations of a grid."""
        return math.prod(parameter.grid_size or 0 for parameter in self.parameters)

    def combination(self, number: int) -> dict[str, Any]:
        """One combination of a grid; the last parameter of the file changes first."""
        chosen = {}
        for parameter in reversed(self.parameters):
            values = parameter.grid() or []
            number, place = divmod(number, len(values))
            chosen[parameter.name] = values[place]
        return {parameter.name: chosen[parameter.name] for parameter in self.parameters}

    def draw(self, seed: int, number: int) -> dict[str, float]:
        """A quantile for each parameter: the same for the same seed and number, whoever asks and when."""
        shares = np.random.default_rng([seed, number]).random(len(self.parameters))
        return dict(zip((p.name for p in self.parameters), map(float, shares), strict=True))

    def trials(self, wanted: int | None) -> int:
        """How many trials there will be.

        Args:
            wanted: Asked for by the user, None to leave it to the file.

        Raises:
            InputError: If neither says it.
        """
        bounds = [n for n in (wanted, self.run_cap) if n is not None]
        if self.method == "grid":
            bounds.append(self.grid_size())
        if not bounds:
            raise InputError(f"{self.path}: {self.method} search has no end of its own: give run_cap, or --trials N")
        return min(bounds)


def read_sweep(path: str | Path) -> Sweep:
    """Read a sweep file.

    Raises:
        InputError: If it cannot be read or a field is wrong; it names the file and the key.
    """
    path = Path(path)
    content = _read_yaml(path)
    for key in content:
        if key not in _KEYS:
            raise InputError(f"{path}: {key}: no key of a sweep; it has {', '.join(_KEYS)}")
    method = content.get("method")
    if method not in METHODS:
        raise InputError(f"{path}: method: expected {', '.join(METHODS)}, got {method!r}")
    metric = _metric(path, content.get("metric"))
    hyperband = _hyperband(path, content.get("early_terminate"))
    if metric is None and (method == "bayes" or hyperband):
        raise InputError(f"{path}: metric: missing; {'bayes' if method == 'bayes' else 'early_terminate'} needs one")
    command, program = _command(path, content)
    parameters = tuple(_parameters(path, content.get("parameters"), "parameters", ""))
    given = ("run.name", "run.root", *(["resume"] if "fit" in command else []))  # by the sweep, see `trial_command`
    for taken in (p.name for p in parameters if p.name in given):
        raise InputError(
            f"{path}: parameters.{taken}: every trial has one of its own, given by the sweep; leave it out"
        )
    if method == "grid":
        _check_grid(path, parameters)
    run_cap = content.get("run_cap")
    if run_cap is not None and (not isinstance(run_cap, int) or isinstance(run_cap, bool) or run_cap < 1):
        raise InputError(f"{path}: run_cap: expected a whole number of at least 1, got {run_cap!r}")
    texts = {key: _text(path, content, key) for key in ("name", "description", "entity")}
    name = texts["name"] or path.stem
    if Path(name).name != name or name in (".", "..") or not name.isprintable():
        raise InputError(f"{path}: name: {name!r} is not that of one folder; leave out slashes and line breaks")
    return Sweep(
        path, name, method, command, program, parameters, metric, hyperband, run_cap, texts["description"] or "",
        _project(path, content), texts["entity"], content,
    )  # fmt: skip


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except OSError as error:
        raise InputError(f"{path}: cannot read the sweep ({error.strerror}); give a YAML file") from error
    except Exception as error:  # every YAML library error has its own class
        told = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: not a YAML file: {told[:200]}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a sweep: the top level must be a mapping with method and parameters")
    return {str(key): value for key, value in content.items()}


def _project(path: Path, content: Mapping[str, Any]) -> str | None:
    project = _text(path, content, "project")
    if project is not None and not is_project(project):
        raise InputError(f"{path}: project: W&B takes up to 128 characters without / \\ # ? % :, got {project[:40]!r}")
    return project


def _text(path: Path, content: Mapping[str, Any], key: str) -> str | None:
    value = content.get(key)
    if value is not None and not isinstance(value, str):
        raise InputError(f"{path}: {key}: expected text, got {value!r}")
    return value


def _section(path: Path, key: str, value: Any, keys: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{path}: {key}: expected a mapping with {', '.join(keys)}, got {value!r}")
    for name in value:
        if name not in keys:
            raise InputError(f"{path}: {key}.{name}: unknown; {key} has {', '.join(keys)}")
    return value


def _metric(path: Path, value: Any) -> Metric | None:
    if value is None:
        return None
    section = _section(path, "metric", value, ("name", "goal", "target"))
    name, goal, target = section.get("name"), section.get("goal", "minimize"), section.get("target")
    if not isinstance(name, str) or not name:
        raise InputError(f"{path}: metric.name: expected the name of a metric such as val/keypoints/AP, got {name!r}")
    if "goal" not in section and ("/AP" in name or "/AR" in name):
        raise InputError(f"{path}: metric.goal: missing, and W&B takes minimize for it; {name} is to be maximized")
    if goal not in ("minimize", "maximize"):
        raise InputError(f"{path}: metric.goal: expected minimize or maximize, got {goal!r}")
    return Metric(name, goal == "maximize", None if target is None else read_number(target, f"{path}: metric.target"))


def _hyperband(path: Path, value: Any) -> Hyperband | None:
    if value is None:
        return None
    keys = ("type", "min_iter", "max_iter", "s", "eta", "strict")
    section = _section(path, "early_terminate", value, keys)
    if section.get("type") != "hyperband":
        raise InputError(f"{path}: early_terminate.type: expected hyperband, got {section.get('type')!r}")
    for key in ("min_iter", "max_iter", "s"):
        given = section.get(key, 1)
        if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= _MOST_ITERATIONS:
            told = f"expected a whole number from 1 to {_MOST_ITERATIONS}, got {str(given)[:40]}"
            raise InputError(f"{path}: early_terminate.{key}: {told}")
    eta, strict = section.get("eta", 3), section.get("strict", False)
    if isinstance(eta, bool) or not isinstance(eta, int | float) or not 1 < eta <= 1000:
        raise InputError(f"{path}: early_terminate.eta: expected a number above 1 and up to 1000, got {eta!r}")
    if not isinstance(strict, bool):
        raise InputError(f"{path}: early_terminate.strict: expected true or false, got {strict!r}")
    if "max_iter" in section:
        if "s" not in section:
            raise InputError(f"{path}: early_terminate.s: missing; max_iter needs the number of brackets")
        if "min_iter" in section:
            raise InputError(f"{path}: early_terminate.min_iter: changes nothing beside max_iter; remove one of them")
        bands, band = set(), section["max_iter"]
        for _ in range(section["s"]):
            band /= eta
            if band < 1:
                break
            bands.add(int(band))
    elif "min_iter" in section:
        if "s" in section:
            raise InputError(f"{path}: early_terminate.s: changes nothing beside min_iter; remove it")
        bands = {int(section["min_iter"] * eta**k) for k in range(30)}
    else:
        raise InputError(f"{path}: early_terminate: give min_iter, or max_iter and s")
    if not bands:
        raise InputError(f"{path}: early_terminate.max_iter: smaller than eta, so there is no bracket; raise it")
    return Hyperband(tuple(sorted(bands)), float(eta), strict)


def _command(path: Path, content: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
    command = content.get("command", list(DEFAULT_COMMAND))
    if not isinstance(command, list) or not command:
        raise InputError(f"{path}: command: expected a list of words such as ${{program}} and ${{args}}")
    for word in command:
        if isinstance(word, dict | list) or word is None:
            raise InputError(f"{path}: command: expected words, got {word!r}; put it in quotes")
    program = content.get("program")
    if not isinstance(program, str) or not program:
        raise InputError(f"{path}: program: missing; name what a trial runs, such as personlab or train.py")
    return tuple(str(word) for word in command), program


def _parameters(path: Path, value: Any, key: str, prefix: str) -> list[Parameter]:
    if not isinstance(value, dict) or not value:
        raise InputError(f"{path}: {key}: expected a mapping of names to values or ranges, got {value!r}")
    found = []
    for name, spec in value.items():
        where = f"{path}: {key}.{name}"
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InputError(f"{where}: no name of a parameter: letters, digits, _ . and -, a letter first")
        if not isinstance(spec, dict):
            raise InputError(f"{where}: expected a mapping such as {{value: {spec!r}}}")
        if "parameters" in spec:
            if len(spec) > 1:
                other = next(other for other in spec if other != "parameters")
                raise InputError(f"{where}.{other}: cannot stand beside nested parameters; remove it")
            found += _parameters(path, spec["parameters"], f"{key}.{name}.parameters", f"{prefix}{name}.")
        else:
            found.append(read_parameter(f"{prefix}{name}", spec, where))
    for one, other in itertools.pairwise(sorted(parameter.name for parameter in found)):
        if one == other:
            raise InputError(f"{path}: {key}: {one} is given twice, with dots and nested")
    return found


def _check_grid(path: Path, parameters: tuple[Parameter, ...]) -> None:
    for parameter in parameters:
        if parameter.grid_size is None:
            raise InputError(
                f"{path}: parameters.{parameter.name}: a grid needs value, values, int_uniform or q_uniform, not "
                f"{parameter.distribution}"
            )
    if math.prod(parameter.grid_size or 0 for parameter in parameters) > MAX_GRID:
        raise InputError(f"{path}: parameters: more than {MAX_GRID} combinations; use method: random")
