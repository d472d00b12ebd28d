"""Which checkpoints of validations are kept: the best by a score, and always the last."""

from __future__ import annotations

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint


class KeptCheckpoints(ModelCheckpoint):
    """Lightning's `ModelCheckpoint`, whose `last.ckpt` is that of the last validation, also if others scored better.

    Lightning itself writes `last.ckpt` only where the validation is among the best ones kept: the end of a training
    whose score no longer rises would be lost.
    """

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save the best, then the last if that was not done with it."""
        super().on_validation_end(trainer, pl_module)
        if not self._should_skip_saving_checkpoint(trainer):  # nothing was saved at this step
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))
