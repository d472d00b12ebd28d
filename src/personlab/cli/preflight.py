"""What is checked of a command line before anything is built or written."""

from __future__ import annotations

import logging
from math import gcd
from pathlib import Path
from typing import Any

from personlab.errors import InputError

_WORDS = ("last", "best", "hpc", "registry")
"""What the Trainer would look for itself, in a run directory that is new and empty."""

logger = logging.getLogger("personlab")


def check_weights(subcommand: str, ckpt_path: str | None, initial_weights: str | None) -> None:
    """Refuse a checkpoint that is no file, and an evaluation of a network that nobody trained.

    Raises:
        InputError: If so.
    """
    if ckpt_path is None:
        if subcommand != "fit" and initial_weights is None:
            raise InputError(
                f"{subcommand}: no weights to score; give --ckpt_path FILE, or --model.initial_weights with a weights "
                "file or `embedded`"
            )
        return
    if ckpt_path in _WORDS or ckpt_path.startswith("registry:"):
        raise InputError(
            f"--ckpt_path {ckpt_path}: give the checkpoint's file, such as runs/NAME/ID/checkpoints/last.ckpt"
        )
    if not Path(ckpt_path).is_file():
        raise InputError(f"{ckpt_path}: no such checkpoint; check --ckpt_path")


def end_with_a_validation(trainer: Any) -> None:
    """Make a training of a number of steps end with a validation: only there it is scored and saved.

    Args:
        trainer: The `trainer` part of a config. A `val_check_interval` beyond the last step is lowered to it.

    Raises:
        InputError: If steps would be left after the last validation.
    """
    steps, interval = trainer.max_steps, trainer.val_check_interval
    counts_batches = trainer.check_val_every_n_epoch is None and isinstance(interval, int)
    if trainer.fast_dev_run or steps in (None, -1) or not counts_batches or trainer.limit_val_batches == 0:
        return
    accumulated = trainer.accumulate_grad_batches or 1
    if interval > steps * accumulated:
        trainer.val_check_interval = steps * accumulated
        logger.info(
            "trainer.val_check_interval %d lowered to %d, the end of the training", interval, steps * accumulated
        )
    elif steps * accumulated % interval:
        unit = interval // gcd(interval, accumulated)
        near = max(round(steps / unit), 1) * unit
        batches = "" if accumulated == 1 else f" (of {accumulated} batches each)"
        raise InputError(
            f"trainer.max_steps {steps}{batches} is no multiple of trainer.val_check_interval {interval}: what is "
            f"learnt after the last validation would be neither scored nor saved; give --trainer.max_steps {near}"
        )
