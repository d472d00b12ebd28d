"""Settings of a run by dotted name, such as `model.optimizer.init_args.lr`: what is compared, filtered and shown."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import yaml

_DECIDES_NOTHING = (
    "base", "resume", "weights_only", "run", "recovery", "contact_sheet", "evaluation.keep_predictions",
    "evaluation.max_unreadable_share",
    "data.root", "data.workers", "data.loader_timeout_s", "data.check",
    "trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy", "trainer.logger",
    "trainer.enable_progress_bar", "trainer.enable_model_summary", "trainer.default_root_dir",
    "trainer.log_every_n_steps", "checkpoint",
)  # fmt: skip
"""Options that say where a run works, what it tells and what it keeps, and not what comes out; data has a hash."""
_DEVICES = ("trainer.devices", "trainer.num_nodes")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML as our parser reads it: 1e-4 is a number."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(?:\d[\d_]*)(?:\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def read_yaml(text: str) -> Any:
    """Content of a YAML text; interpolations stay text.

    Raises:
        yaml.YAMLError: If it is no YAML.
    """
    return yaml.load(text, Loader=_Loader)


def flat(content: Any, left_out: Collection[str] = (), nulls: bool = False) -> dict[str, Any]:
    """Options by dotted name; lists stay whole.

    Args:
        content: Nested mappings.
        left_out: Options and sections to leave out.
        nulls: Keep options that are null, which say no more than what is not there.

    Returns:
        Plain JSON values; what JSON does not have, such as dates and infinite numbers, as text.
    """
    found: dict[str, Any] = {}

    def gather(value: Any, name: str) -> None:
        if name in left_out:
            return
        if isinstance(value, Mapping):
            for key, below in value.items():
                gather(below, f"{name}.{key}" if name else str(key))
        elif value is not None or nulls:
            found[name] = _plain(value)

    gather(content, "")
    return found


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a run that decide its result, by dotted name: runs of equal settings on equal data are repeats.

    Devices are among them where they decide how many images a step has.
    """
    data = config.get("data")
    shared = isinstance(data, Mapping) and data.get("global_batch_size") is not None
    return flat(config, [name for name in _DECIDES_NOTHING if shared or name not in _DEVICES])


def differing(settings: Collection[Mapping[str, Any]]) -> list[str]:
    """Names of the settings that are not the same in all of them, in order."""
    names = sorted(set().union(*settings)) if settings else []
    return [name for name in names if len({repr(one.get(name)) for one in settings}) > 1]


def short_name(name: str, among: Iterable[str]) -> str:
    """The shortest end of a setting's name that no other one has: `lr` for `model.optimizer.init_args.lr`.

    Args:
        name: Dotted name.
        among: The others, perhaps itself.
    """
    parts = _spoken(name)
    others = [_spoken(other) for other in among if other != name]
    for length in range(1, len(parts) + 1):
        if not any(other[-length:] == parts[-length:] for other in others):
            return ".".join(parts[-length:])
    return name


def short_value(name: str, value: Any) -> str:
    """A setting's value in few letters: the bare name of a class, `none` for what is not set."""
    if value is None:
        return "none"
    text = value.rpartition(".")[2] if name.endswith("class_path") and isinstance(value, str) else str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def is_called(name: str, given: str) -> bool:
    """Whether a setting is meant by a name that may be an end of it, with or without `init_args` and `class_path`."""
    if name == given or name.endswith(f".{given}"):
        return True
    wanted = _spoken(given)
    return bool(wanted) and _spoken(name)[-len(wanted) :] == wanted


def is_value(name: str, value: Any, given: str) -> bool:
    """Whether a setting has the value that somebody wrote: `8`, `null`, `1e-3`, a class without its package."""
    if str(value) == given or (value is not None and short_value(name, value) == given):
        return True
    try:
        meant = _plain(read_yaml(given))
    except (yaml.YAMLError, ValueError, RecursionError):  # no value, or one that looks like a date and is none
        return False
    return bool(meant == value) and isinstance(meant, bool) == isinstance(value, bool)


def _spoken(name: str) -> list[str]:
    parts = [part for part in name.split(".") if part not in ("init_args", "class_path")]
    return parts or name.split(".")


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if value is None or isinstance(value, bool | int | str) else str(value)
