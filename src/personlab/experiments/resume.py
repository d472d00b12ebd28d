"""Which run a job that was cut off goes on with."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from personlab.experiments.catalogue import read_run
from personlab.experiments.runs import RunDirectory
from personlab.experiments.settings import flat

logger = logging.getLogger("personlab")
_NO_MATTER = (
    "base", "resume", "ckpt_path", "weights_only", "run", "recovery", "data.workers", "data.loader_timeout_s",
    "trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy", "trainer.precision",
    "trainer.logger", "trainer.enable_progress_bar", "trainer.enable_model_summary", "trainer.default_root_dir",
    "trainer.log_every_n_steps", "checkpoint.dirpath", "evaluation.max_unreadable_share",
)  # fmt: skip
"""Options that may differ when a run goes on: where it runs and what it tells, not what it learns."""


def find_unfinished(root: str | Path, name: str, config: Mapping[str, Any]) -> list[RunDirectory]:
    """The runs of a name that have not finished and learn by the same config.

    Args:
        root: Folder of all runs.
        name: Of the experiment.
        config: The resolved config of the job, as `settings.read_yaml` gives it.

    Returns:
        Their directories, the newest first. A run whose config differs is told, with the first option that does.
    """
    wanted, found = deciding_settings(config), []
    cards = list(Path(root).resolve().glob(f"{name}/*/run.json"))
    for card in sorted(cards, key=lambda path: path.stat().st_mtime, reverse=True):
        run = read_run(card.parent)
        if run.status == "finished":
            continue
        if not run.config:
            logger.warning("%s: not gone on with, since %s", run.path, "; ".join(run.faults))
            continue
        theirs = deciding_settings(run.config)
        unlike = [key for key in sorted(wanted.keys() | theirs.keys()) if wanted.get(key) != theirs.get(key)]
        if not unlike:
            found.append(run.directory)
            continue
        logger.info(
            "%s: not gone on with, since its %s is %s and not %s", run.path, unlike[0], theirs.get(unlike[0]),
            wanted.get(unlike[0]),
        )  # fmt: skip
    return found


def tell_precision(run: RunDirectory, precision: str) -> None:
    """Say that a run goes on in another precision than it began with, if it does.

    Args:
        run: What goes on.
        precision: The Trainer's name of that of now.
    """
    trainer = read_run(run.path).config.get("trainer")
    before = str(trainer.get("precision", precision)) if isinstance(trainer, Mapping) else precision
    if before != precision:
        logger.warning("goes on in precision %s in place of %s, so it learns a little differently", precision, before)


def deciding_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a run learns by: the options of a resolved config by dotted name, without those that do not matter to it."""
    return flat(config, _NO_MATTER)
