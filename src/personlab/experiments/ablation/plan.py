"""The trials of a study: one config a cell and seed, known by what decides its result."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from personlab.errors import InputError
from personlab.experiments.ablation.study import Study
from personlab.experiments.catalogue import Run
from personlab.experiments.evidence import predictions_of
from personlab.experiments.inputs import INITIAL_WEIGHTS, weights_hashes
from personlab.experiments.resumption import resumed_otherwise
from personlab.experiments.settings import settings_of


class Resolved(Protocol):
    """A resolved config as YAML and as values."""

    @property
    def text(self) -> str:
        """The YAML."""

    @property
    def config(self) -> dict[str, Any]:
        """Its content."""


_LONGEST = 80
"""Letters of a level's name in the names of its files."""
Resolve = Callable[[Sequence[Path], dict[str, Any]], Resolved]
"""Overlays and options by dotted name -> the config of a run."""


@dataclass(frozen=True)
class Trial:
    """One training of a study.

    Attributes:
        cell: Name of its row.
        seed: Of the training.
        name: Folder of its runs, below the root of all runs.
        key: Hash of what decides its result.
        text: Its whole config, as YAML.
        config: The same as values.
    """

    cell: str
    seed: int
    name: str
    key: str
    text: str
    config: dict[str, Any]

    @property
    def devices(self) -> int:
        """Devices that it trains on; the CPU is one."""
        trainer = self.config.get("trainer") or {}
        devices, nodes = (trainer.get(name) for name in ("devices", "num_nodes"))
        count = len(devices) if isinstance(devices, list) else int(str(devices)) if str(devices).isdigit() else 1
        return max(count, 1) * int(nodes or 1)  # "auto" and -1: what there is, which is not known before it runs


def make_plan(
    study: Study, resolve: Resolve, data_hashes: Callable[[dict[str, Any]], dict[str, str]], root: Path
) -> list[Trial]:
    """All trials of a study, the baseline's first.

    Args:
        study: Of trainings.
        resolve: Makes configs.
        data_hashes: Content of the data of a config.
        root: Folder of all runs.

    Raises:
        InputError: If a level changes nothing, or what is scored, or its config is refused.
    """
    trials: list[Trial] = []
    hashes: dict[str, dict[str, str]] = {}
    weights: dict[str | None, dict[str, str]] = {}
    seen: dict[tuple[str, int], str] = {}
    scored_on: str | None = None
    slugs: list[str] = []
    for cell in study.cells():
        overlays = [level.overlay for level in cell.levels if level.overlay is not None]
        settings = {name: value for level in cell.levels for name, value in level.settings.items()}
        slug = _slug(cell.name)
        while slug in slugs:  # "<1" and ">1", say: trials of one name would share a log, and end each other
            slug += f"_{len(slugs)}"
        slugs.append(slug)
        for seed in study.seeds:
            name = f"{study.name}-{slug}-seed{seed}"
            fixed = {
                "seed_everything": seed, "run.name": name, "run.root": str(root.resolve()),
                "evaluation.keep_predictions": True,  # which the intervals are made from
            }  # fmt: skip
            try:
                resolved = resolve(overlays, {**settings, **fixed})
            except InputError as error:
                raise InputError(f"{study.path}: {cell.name}: {error}") from error
            data = json.dumps(resolved.config["data"], sort_keys=True, default=str)
            if data not in hashes:
                hashes[data] = data_hashes(resolved.config)
            if trials and hashes[data].get("val") != scored_on:
                raise InputError(
                    f"{study.path}: {cell.name}: is scored on other images or annotations than the baseline, so "
                    "nothing can be compared; leave data.val_split, data.val_images and the like as they are"
                )
            scored_on = hashes[data].get("val")
            begins_from = resolved.config["model"].get("initial_weights")
            if begins_from not in weights:
                weights[begins_from] = weights_hashes(begins_from, None)
            key = config_key(resolved.config, hashes[data], weights[begins_from])
            if (key, seed) in seen:
                raise InputError(
                    f"{study.path}: {cell.name!r} is the same as {seen[key, seed]!r}; give it another value, or leave "
                    "it out"
                )
            seen[key, seed] = cell.name
            trials.append(Trial(cell.name, seed, name, key, resolved.text, resolved.config))
    return trials


def config_key(config: Mapping[str, Any], data_hash: Mapping[str, str], weights_hash: Mapping[str, str]) -> str:
    """Sixteen hexadecimal digits of what decides the result of a run, wherever it runs and its data lie.

    Args:
        config: The resolved config of a run.
        data_hash: Content hash of each part of the data.
        weights_hash: Content hash of the weights that it starts from, as its run card has it; with one, their name
            does not count.
    """
    decide = settings_of(config)
    decide[INITIAL_WEIGHTS] = weights_hash.get(INITIAL_WEIGHTS, decide.get(INITIAL_WEIGHTS))
    content = json.dumps({"config": decide, "data": dict(data_hash)}, sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def find_finished(runs: Iterable[Run], trials: Iterable[Trial]) -> dict[str, Run]:
    """Finished runs that trials can take, by key; the newest where there are several.

    What decides is what a run card kept when the run began: files may have changed since. A run that went on with other
    options or data than it had begun with is none of them.

    Args:
        runs: To choose from.
        trials: What is wanted.
    """
    wanted = {trial.key for trial in trials}
    seeds = {trial.seed for trial in trials}
    found: dict[str, tuple[float, Run]] = {}
    for run in runs:
        if run.status != "finished" or run.card.get("seed") not in seeds or predictions_of(run) is None:
            continue
        key = config_key(run.config, run.section("data_hash"), run.section("weights_hash"))
        when = run.directory.card.stat().st_mtime
        if key in wanted and (key not in found or found[key][0] < when) and not resumed_otherwise(run):
            found[key] = when, run
    return {key: run for key, (_, run) in found.items()}


def _slug(name: str) -> str:
    """A level's name as part of a file's; where it is cut short, its hash tells it from others."""
    slug = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_") or "level"
    return slug if len(slug) <= _LONGEST else f"{slug[:_LONGEST]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
