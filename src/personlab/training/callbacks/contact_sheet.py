"""One picture of a fixed set of images at every evaluation."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray

from personlab.errors import InputError
from personlab.structures import Batch
from personlab.visualization import contact_sheet, sheet_row, write_image

logger = logging.getLogger("personlab")


class ContactSheet(Callback):
    """Draws input, fields and decoded people of the first images evaluated into one PNG."""

    def __init__(self, images: int = 6, tile_px: int = 256) -> None:
        """Set the size of the sheet.

        Args:
            images: Rows: always the first images of the split, so that sheets of one run can be compared. 0 draws none.
            tile_px: Longer side of a tile.
        """
        self.images = images
        self.tile_px = tile_px
        self._rows: list[list[NDArray[np.uint8]]] = []

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin a new sheet."""
        self._rows = []

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the rows of this batch, until the sheet is full."""
        if not trainer.is_global_zero:
            return
        for i in range(min(len(batch), self.images - len(self._rows))):
            self._rows.append(
                sheet_row(
                    batch[i].to("cpu"),
                    outputs["fields"][i],
                    outputs["people"][i],
                    pl_module.network.skeleton,  # type: ignore[union-attr, arg-type]
                    self.tile_px,
                )
            )

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the sheet; a picture that cannot be written, as on a full disk, ends no training."""
        if not self._rows:
            return
        stage = "test" if trainer.testing else "val"
        path = Path(trainer.default_root_dir) / "figures" / f"{stage}-step{trainer.global_step}.png"
        try:
            write_image(path, contact_sheet(self._rows))
        except InputError as error:
            logger.warning("%s; the run goes on without this picture", error)
        self._rows = []

    on_test_epoch_start = on_validation_epoch_start
    on_test_batch_end = on_validation_batch_end
    on_test_epoch_end = on_validation_epoch_end
