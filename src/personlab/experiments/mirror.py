"""The ledger's mirror on W&B, which a run can do without."""

from __future__ import annotations

import logging
import os
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import WandbLogger

logger = logging.getLogger("personlab")


class WandbMirror(WandbLogger):
    """W&B as a mirror of the ledger; where its service cannot be reached, an offline one that can be sent later.

    Under `wandb agent` the run is the one that the agent has named: by another id the sweep would wait for it.
    """

    def __init__(self, **options: Any) -> None:
        """Take the options of WandbLogger."""
        if os.environ.get("WANDB_SWEEP_ID") and os.environ.get("WANDB_RUN_ID"):
            options |= {"id": os.environ["WANDB_RUN_ID"], "project": os.environ.get("WANDB_PROJECT")}
        super().__init__(**options)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run on W&B, begun when it is first asked for."""
        import wandb  # takes a second, and runs without a mirror do not need it

        begin = WandbLogger.experiment.fget  # type: ignore[attr-defined]
        try:
            return begin(self)
        except wandb.errors.Error as error:
            if self._offline:
                raise
            reason = str(error).split("\n", 1)[0]
            logger.warning(
                "W&B cannot be reached (%s): this run is mirrored offline; send it later by `wandb sync`", reason
            )
            self._offline = True
            self._wandb_init["mode"] = "offline"  # its session does not look at the environment again
            wandb.teardown()  # or it holds the run's id to be in use
            return begin(self)
