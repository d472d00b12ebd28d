"""Random numbers that go on where they were, in every process."""

from __future__ import annotations

import logging
import random
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

logger = logging.getLogger("personlab")


class RandomStates(Callback):
    """Keeps the state of the random numbers of torch (CPU and GPU), numpy and Python of all processes in checkpoints.

    Nothing of the package draws from these while it trains (order and views come from counters), but dropout and the
    like in a network of a user's own do. Lightning's checkpoints do not have them.
    """

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._states: list[dict[str, Any]] | None = None

    def state_dict(self) -> dict[str, Any]:
        """One entry a process, in order of rank; every process must call this."""
        mine = _state()
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return {"states": [mine]}
        states: list[Any] = [None] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(states, mine)
        return {"states": states}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the states until the first batch is there: what is set up before may draw, too."""
        self._states = state_dict["states"]

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Put this process's numbers back, if the training has as many processes as then."""
        if self._states is None:
            return
        if len(self._states) == trainer.world_size:
            _restore(self._states[trainer.global_rank])
        else:
            logger.warning(
                "goes on with %d processes in place of %d: the images of each step stay, but sums are taken in another "
                "order and random numbers of the network start anew, so bits will differ", trainer.world_size,
                len(self._states),
            )  # fmt: skip
        self._states = None


def _state() -> dict[str, Any]:
    """Tensors and plain numbers only, so that checkpoints stay free of code."""
    version, numbers, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002
    return {
        "torch": torch.get_rng_state(),
        "cuda": [torch.cuda.get_rng_state()] if torch.cuda.is_available() else [],
        "python": (version, tuple(numbers), gauss),
        "numpy": (str(name), torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, float(cached)),
    }


def _restore(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"][0].cpu())
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))  # noqa: NPY002
