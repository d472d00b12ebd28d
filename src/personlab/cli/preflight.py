"""What is checked of a command line before anything is built or written."""

from __future__ import annotations

import logging
from math import gcd
from pathlib import Path
from typing import Any

import torch
from torch import nn

from personlab.errors import InputError
from personlab.network.normalization import FrozenBatchNorm2d
from personlab.weights.files import check_weight_file
from personlab.weights.network_file import network_state, weights_path

_WORDS = ("last", "best", "hpc", "registry")
"""What the Trainer would look for itself, in a run directory that is new and empty."""

_PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}
"""Present names by older ones."""

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


def check_precision(precision: int | str) -> str:
    """Refuse a precision that would not keep the weights in 32 bits, as their averages and the losses are.

    Returns:
        Its present name.

    Raises:
        InputError: If so.
    """
    found = _PRECISIONS.get(str(precision), str(precision))
    if found not in _PRECISIONS.values():
        raise InputError(
            f"--trainer.precision {precision}: weights, their averages and losses are kept in 32 bits; use 32-true, "
            "bf16-mixed or 16-mixed"
        )
    return found


def check_checkpoint(path: str) -> None:
    """Refuse a checkpoint that nobody can go on with.

    Raises:
        InputError: If it is damaged, or none of `personlab fit`.
    """
    network_state(path)
    if "pytorch-lightning_version" not in torch.load(path, map_location="cpu", weights_only=True, mmap=True):
        raise InputError(f"{path}: holds weights, but no state of a training; give them by --model.initial_weights")


def check_fit(path: str, network: nn.Module, max_steps: int | None) -> None:
    """Refuse a checkpoint of another network, before the run that it belongs to is touched; tell if no step is left.

    Args:
        path: The checkpoint, of which `check_checkpoint` has made sure that it is one.
        network: The config's.
        max_steps: Steps that the training is to have done at its end; None or -1 for no such end.

    Raises:
        InputError: If names or shapes differ.
    """
    saved, wanted = network_state(path), network.state_dict()
    unlike = [name for name in sorted(saved.keys() | wanted.keys()) if _shape(saved, name) != _shape(wanted, name)]
    if unlike:
        first = unlike[0]
        raise InputError(
            f"{path}: is of another network than the config's: {len(unlike)} tensors differ, first {first} "
            f"({_shape(saved, first)} there, {_shape(wanted, first)} here); give the config of its run"
        )
    done = torch.load(path, map_location="cpu", weights_only=True, mmap=True).get("global_step", 0)
    if max_steps is not None and 0 <= max_steps <= done:
        logger.warning("%s: %d steps are done, and trainer.max_steps is %d: none is left to do", path, done, max_steps)


def check_initial_weights(source: str | None) -> None:
    """Refuse initial weights that cannot be read by their name, before there is a run.

    Args:
        source: As in a config under `model.initial_weights`.

    Raises:
        InputError: If there is no such file, or it is no file of tensors.
    """
    if source not in (None, "none", "imagenet"):
        check_weight_file(weights_path(str(source).removeprefix("imagenet:")))


def check_statistics(network: nn.Module, initial_weights: str | None) -> None:
    """Refuse to train with frozen statistics that nobody measured: it would go on for days and come to little.

    Raises:
        InputError: If batch norm is frozen and no weights bring its statistics.
    """
    if initial_weights is None and any(isinstance(module, FrozenBatchNorm2d) for module in network.modules()):
        raise InputError(
            "model.initial_weights is not given, but batch norm is frozen at the statistics they would bring: give "
            "--model.initial_weights imagenet:FILE, or none to train from random weights all the same"
        )


def _shape(state: dict[str, torch.Tensor], name: str) -> tuple[int, ...] | None:
    return tuple(state[name].shape) if name in state else None


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
