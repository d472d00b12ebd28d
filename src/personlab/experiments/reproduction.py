"""How to make a run again: the exact command, and what no longer matches."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from personlab.errors import InputError
from personlab.experiments.inputs import CHECKPOINT, INITIAL_WEIGHTS, data_hashes, weights_hashes
from personlab.experiments.provenance import git_state, has_commit, source_tree, versions
from personlab.experiments.record import COMMANDS, Run
from personlab.experiments.resumption import resumed_otherwise
from personlab.experiments.runs import describe_devices
from personlab.experiments.settings import flat

_ROOT, _SKELETON = "data.root", "data.skeleton"
_NO_FILES = ("embedded", "none", "imagenet", "imagenet:package")


@dataclass(frozen=True)
class Reproduction:
    """How to make a run again.

    Attributes:
        words: The command, word by word, after `personlab`.
        checkout: A command to give before it, so that the code is the run's; None where it is, or cannot be had.
        warnings: What no longer matches, a line each.
    """

    words: tuple[str, ...]
    checkout: tuple[str, ...] | None
    warnings: tuple[str, ...]

    @property
    def command(self) -> str:
        """The command as a shell takes it."""
        return shlex.join(["personlab", *self.words])

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "command": self.command, "words": list(self.words),
            "checkout": shlex.join(self.checkout) if self.checkout else None, "warnings": list(self.warnings),
        }  # fmt: skip


def reproduce(run: Run, extra: Sequence[str] = ()) -> Reproduction:
    """How to make a run again, here and now.

    Paths that were given relative to another folder than the present one become absolute.

    Args:
        run: The run.
        extra: Further options, put last, so that they win: a data root of this machine, for instance.

    Raises:
        InputError: If neither its config nor its command line is known.
    """
    warnings = [f"{run.path}: {fault}" for fault in run.faults]
    checkout, told = _code(run)
    warnings += told + _environment(run)
    if not run.config:
        if not set(run.argv) & set(COMMANDS):
            raise InputError(f"{run.path}: has neither config.yaml nor a command line in run.json; give another run")
        start = next(i for i, word in enumerate(run.argv) if word in COMMANDS)
        warnings.append("the config is lost: this is the command line as given, with config files as they are now")
        return Reproduction((*run.argv[start:], *extra), checkout, tuple(warnings))
    values = flat(run.config)
    options = [*_places(run, values), *_seed(run), "--resume", "none"]
    words = (run.command, "--config", str(run.directory.config), *options, *extra)
    given = values | {name: value for name in (_ROOT, _SKELETON, INITIAL_WEIGHTS, CHECKPOINT) if (
        value := _given(words, name)) is not None}  # fmt: skip
    warnings += _config(run) + _end(run)
    warnings += _seeding(run) + _resumption(run) + _batch(run) + _data(run, given) + _weights(run, given)
    return Reproduction(words, checkout, tuple(warnings))


def _places(run: Run, values: dict[str, Any]) -> list[str]:
    """Options that name files: those of the config, made absolute where they would mean another file from here."""
    options = []
    cwd = run.card.get("cwd")
    for name in (_ROOT, _SKELETON, INITIAL_WEIGHTS, CHECKPOINT):
        value = values.get(name)
        if not isinstance(value, str):
            continue
        if isinstance(cwd, str) and cwd != os.getcwd() and value not in _NO_FILES:
            kind, path = ("imagenet:", value[9:]) if value.startswith("imagenet:") else ("", value)
            value = f"{kind}{run.place(path)}"
        options += [f"--{name}", value]
    return options


def _seed(run: Run) -> list[str]:
    seed = run.card.get("seed")
    return ["--seed_everything", str(seed)] if isinstance(seed, int) and not isinstance(seed, bool) else []


def _given(words: Sequence[str], name: str) -> str | None:
    """The last value of an option on a command line."""
    found = None
    for i, word in enumerate(words):
        if word == f"--{name}" and i + 1 < len(words):
            found = words[i + 1]
        elif word.startswith(f"--{name}="):
            found = word.partition("=")[2]
    return found


def _code(run: Run) -> tuple[tuple[str, ...] | None, list[str]]:
    """A checkout of the run's commit where another one is here, and what to know of the code."""
    here, tree = git_state(), source_tree()
    warnings = ["the run had changes in the code that were not committed: nobody kept them"] if run.dirty else []
    if run.commit is None or not re.fullmatch(r"[0-9a-f]{7,64}", run.commit):
        return None, [*warnings, "the commit of the run is not known: the code may be another"]
    if not here or tree is None:
        return None, [*warnings, f"the code here is no git checkout: the run's is commit {run.commit}"]
    if here["dirty"]:
        warnings.append("the code here has changes that are not committed")
    if here["commit"] == run.commit:
        return None, warnings
    warnings.append(f"the code here is commit {here['commit'][:12]}, the run's is {run.commit[:12]}")
    if not has_commit(run.commit):
        return None, [*warnings, f"commit {run.commit[:12]} is not in {tree}: fetch it, then check it out"]
    return ("git", "-C", str(tree), "checkout", run.commit), warnings


def _environment(run: Run) -> list[str]:
    here, there = versions(), run.section("versions")
    names = [name for name in sorted(here.keys() | there.keys()) if here.get(name) != there.get(name)]
    warnings = [f"{name} is {here.get(name, 'missing')} here, was {there.get(name, 'missing')}" for name in names]
    trainer = run.config.get("trainer")
    accelerator = trainer.get("accelerator") if isinstance(trainer, dict) else None
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    devices = describe_devices("cpu" if accelerator == "cpu" or not (cuda or mps) else "cuda" if cuda else "mps")
    if run.card and run.card.get("devices") != devices:
        warnings.append(f"it ran on {run.card.get('devices')}; here is {devices}: last bits may differ")
    return warnings if run.card else []


def _config(run: Run) -> list[str]:
    """Whether the config that the command names is the one that the run wrote."""
    now = hashlib.sha256(run.directory.config.read_bytes()).hexdigest()[:16]
    changed = run.card.get("config_hash") not in (None, now)
    return ["config.yaml is not as the run wrote it: somebody changed it"] if changed else []


def _end(run: Run) -> list[str]:
    ended = {"finished": [], "running": ["the run has not ended: this starts another one beside it"]}
    return ended.get(run.status, [f"the run did not come to its end ({run.status}); this one will, if not stopped"])


def _seeding(run: Run) -> list[str]:
    return [] if _seed(run) else ["the seed of the run is not known: order, views and initial weights will differ"]


def _resumption(run: Run) -> list[str]:
    """What a resumed run did otherwise than its config says."""
    if not run.resumed:
        return []
    times = len(run.resumed)
    told = f"the run was resumed {times} time{'s' * (times > 1)}; this one goes through without a stop"
    return [told, *resumed_otherwise(run)]


def _batch(run: Run) -> list[str]:
    """Processes that the command alone does not start."""
    trainer = run.config.get("trainer")
    nodes = trainer.get("num_nodes") if isinstance(trainer, dict) else None
    if isinstance(nodes, int) and nodes > 1:
        return [f"it trained on {nodes} nodes in {run.processes} processes: start the command by their launcher"]
    if run.processes > 1:
        return [f"it trained in {run.processes} processes: with another number results differ in their last bits"]
    return []


def _data(run: Run, values: dict[str, Any]) -> list[str]:
    data, recorded = run.config.get("data"), run.section("data_hash")
    if not isinstance(data, dict) or not recorded:
        return ["the hash of its data is not known: it may have been other data"]
    places = {name.removeprefix("data."): values[name] for name in (_ROOT, _SKELETON) if name in values}
    try:
        now = data_hashes({**data, **places}, run.command)
    except InputError as error:
        return [f"the data cannot be read: {error}"]
    return [
        f"the {part} data is not what it was: its hash is {now.get(part)}, was {known}"
        for part, known in recorded.items()
        if now.get(part) != known
    ]


def _weights(run: Run, values: dict[str, Any]) -> list[str]:
    recorded = run.section("weights_hash")
    initial, checkpoint = values.get(INITIAL_WEIGHTS), values.get(CHECKPOINT)
    if initial in (None, "none") and checkpoint is None:
        return []
    name = CHECKPOINT if checkpoint else INITIAL_WEIGHTS
    now = weights_hashes(initial, checkpoint).get(name)
    if now is None:
        return [f"{name} {checkpoint or initial}: is missing; give another place by --{name}"]
    if name not in recorded:
        return [f"{name} {checkpoint or initial}: its hash was not kept, so it may have been another file"]
    return [] if now == recorded[name] else [f"{name} {checkpoint or initial}: is another file than it was"]
