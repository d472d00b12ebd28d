"""What `personlab fit` would make of a command line, without fitting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from personlab.cli.trainer import PersonLabCLI, command_line, quiet_lightning
from personlab.data.datamodule import CocoDataModule
from personlab.experiments.settings import read_yaml


@dataclass(frozen=True)
class Resolved:
    """A resolved config.

    Attributes:
        text: The YAML that a run's `config.yaml` would hold.
        config: Its content.
    """

    text: str
    config: dict[str, Any]


class _Found(Exception):  # no error: what was looked for
    pass


class _Resolver(PersonLabCLI):
    """Ends when the config is what a run would keep."""

    def before_instantiate_classes(self) -> None:
        super().before_instantiate_classes()
        raise _Found(self._parser("fit").dump(self._portable_config, skip_none=False))


def resolve_fit(words: Sequence[str]) -> Resolved:
    """The config that `personlab fit` with these words would keep in its run directory; nothing is written or built.

    Args:
        words: What would stand behind `personlab fit`.

    Raises:
        InputError: If a config file is bad.
        argparse.ArgumentError: If an option is.
    """
    quiet_lightning()
    try:
        command_line(["fit", *words], _Resolver)
    except _Found as found:
        return Resolved(str(found), read_yaml(str(found)))
    raise AssertionError("the command line was neither refused nor resolved")


def data_hashes(config: dict[str, Any]) -> dict[str, str]:
    """Content hashes of what a resolved config trains and validates on, as the run card has them.

    Args:
        config: Of `resolve_fit`.

    Raises:
        InputError: If the data cannot be read.
    """
    options = {name: value for name, value in config["data"].items() if name not in ("view", "check")}
    data = CocoDataModule(**options, check=False)  # the run itself refuses bad data
    data.setup("fit")
    return data.content_hashes()
