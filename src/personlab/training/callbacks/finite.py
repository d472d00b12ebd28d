"""What a step that is not finite does to the weights: nothing, a few times; then the run ends."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.optim import Optimizer

from personlab.errors import InputError
from personlab.files import write_json
from personlab.structures import Batch

logger = logging.getLogger("personlab")


class NotFinite(RuntimeError):
    """Too many steps were not finite."""


class FiniteSteps(Callback):
    """Leaves out optimisation steps whose loss or gradient is infinite or not a number, in all processes alike.

    One such step would make every weight not a number, and every checkpoint after it worthless. Gradients are the mean
    of all processes' when this looks at them, so a loss that is not finite in one process is seen by all. The process
    whose loss it was writes down its images, to look at: `nonfinite/step-N-rank-R.json` in the run directory. If all
    losses are finite and only the gradient is not, all processes write down theirs.

    Weights, the optimiser's state and what batch norm has measured stay as they were. The step counts all the same: the
    learning-rate schedule goes on, and so do the averages, towards weights that did not move.

    With 16-bit floats (`16-mixed`), gradients that overflow are part of the plan, and the scaler deals with them: there
    only losses count.
    """

    def __init__(self, max_left_out: int = 10) -> None:
        """Set how many are borne.

        Args:
            max_left_out: Steps that may be left out in the whole training; one more ends it.

        Raises:
            InputError: If it is negative.
        """
        if max_left_out < 0:
            raise InputError(f"finite.max_left_out {max_left_out}: must be 0 or more")
        self.max_left_out = max_left_out
        self.left_out = 0
        self._losses: list[Tensor] = []
        self._batches: list[Batch] = []
        self._buffers: list[Tensor] = []

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Keep hold of the batch and of what batch norm has measured so far, in case."""
        if not self._batches:
            self._buffers = [b.clone() for b in _measured(pl_module)]
        self._batches.append(batch)

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor) -> None:
        """Keep the loss; nothing waits for the device here."""
        self._losses.append(loss.detach())

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer) -> None:
        """Forget the gradients if they are not finite: the optimiser then changes nothing.

        Raises:
            NotFinite: If that happened too often.
        """
        losses, batches = torch.stack(self._losses), self._batches
        self._losses, self._batches = [], []
        gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
        if getattr(trainer.precision_plugin, "scaler", None) is not None:
            broken = trainer.strategy.reduce((~torch.isfinite(losses)).any().float(), reduce_op="max")
            finite = not bool(broken)
        else:
            # A sum of squares is not finite if a single number is not. This waits for the device, once a step, when
            # all the work of the step is already in its queue.
            finite = bool(torch.isfinite(torch.nn.utils.get_total_norm(gradients)))
        if finite:
            return
        for parameter in pl_module.parameters():
            parameter.grad = None
        for buffer, before in zip(_measured(pl_module), self._buffers, strict=True):
            buffer.copy_(before)
        self.left_out += 1
        self._write_down(trainer, losses, batches)
        if self.left_out > self.max_left_out:
            raise NotFinite(
                f"{self.left_out} steps were not finite, the last step {trainer.global_step + 1}: the images are in "
                f"{self._folder(trainer)}; lower the learning rate or clip the gradients, or raise finite.max_left_out"
            )
        logger.warning(
            "step %d is not finite and was left out, %d of %d that may be", trainer.global_step + 1, self.left_out,
            self.max_left_out,
        )  # fmt: skip

    def state_dict(self) -> dict[str, Any]:
        """The count, for the checkpoint."""
        return {"left_out": self.left_out}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The count, from the checkpoint."""
        self.left_out = int(state_dict["left_out"])

    def _write_down(self, trainer: L.Trainer, losses: Tensor, batches: list[Batch]) -> None:
        """The images of this process, if it was its loss, or no loss at all."""
        infinite = ~torch.isfinite(losses)
        somebodys = bool(trainer.strategy.reduce(infinite.any().float(), reduce_op="max"))
        if somebodys and not bool(infinite.any()):
            return
        bad = [batch for batch, is_bad in zip(batches, infinite.tolist(), strict=True) if is_bad or not somebodys]
        name = f"step-{trainer.global_step + 1}-rank-{trainer.global_rank}.json"
        content = {
            "step": trainer.global_step + 1,
            "epoch": trainer.current_epoch,
            "rank": trainer.global_rank,
            "losses": [str(loss) for loss in losses.tolist()],  # JSON has no word for them
            "image_ids": [int(i) for batch in bad for i in batch.image_ids],
            "image_to_crop": [matrix for batch in bad for matrix in batch.image_to_crop.tolist()],
        }
        write_json(self._folder(trainer) / name, content)

    @staticmethod
    def _folder(trainer: L.Trainer) -> Path:
        return Path(trainer.default_root_dir) / "nonfinite"


def _measured(module: L.LightningModule) -> list[Tensor]:
    """Running statistics and the like, which a forward pass changes."""
    return list(module.buffers())
