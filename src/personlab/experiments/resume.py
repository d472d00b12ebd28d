"""Which run a job that was cut off goes on with."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from personlab.experiments.runs import RunDirectory
from personlab.experiments.settings import flat

logger = logging.getLogger("personlab")
_NO_MATTER = (
    "base", "resume", "ckpt_path", "weights_only", "run", "recovery", "data.workers", "data.loader_timeout_s",
    "trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy", "trainer.precision",
    "trainer.logger", "trainer.enable_progress_bar", "trainer.enable_model_summary", "trainer.default_root_dir",
    "trainer.log_every_n_steps", "checkpoint.dirpath",
)  # fmt: skip
"""Options that may differ when a run goes on: where it runs and what it tells, not what it learns."""


def find_unfinished(root: str | Path, name: str, config: Mapping[str, Any]) -> RunDirectory | None:
    """The newest run of a name that has not finished and learns by the same config.

    Args:
        root: Folder of all runs.
        name: Of the experiment.
        config: The resolved config of the job.

    Returns:
        Its directory, None if there is none. A run whose config differs is told, with the first option that does.
    """
    wanted = deciding_settings(config)
    runs = [RunDirectory(path.parent) for path in Path(root).resolve().glob(f"{name}/*/run.json")]
    for run in sorted(runs, key=lambda r: r.card.stat().st_mtime, reverse=True):
        card = _read(run.card)
        if card.get("status") == "finished" or not run.config.is_file():
            continue
        saved: Any = OmegaConf.to_container(OmegaConf.load(run.config), resolve=False)
        theirs = deciding_settings(saved)
        unlike = [key for key in sorted(wanted.keys() | theirs.keys()) if wanted.get(key) != theirs.get(key)]
        if not unlike:
            return run
        logger.info(
            "%s: not gone on with, since its %s is %s and not %s", run.path, unlike[0], theirs.get(unlike[0]),
            wanted.get(unlike[0]),
        )  # fmt: skip
    return None


def deciding_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a run learns by: the options of a resolved config by dotted name, without those that do not matter to it."""
    return flat(config, _NO_MATTER)


def _read(card: Path) -> dict[str, Any]:
    try:
        content = json.loads(card.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
