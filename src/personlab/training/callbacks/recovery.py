"""What is left after a kill: checkpoints between validations, and a last one when somebody asks the run to end."""

from __future__ import annotations

import logging
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from personlab.errors import InputError

logger = logging.getLogger("personlab")
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
"""What clusters send before they take a machine away."""
PATTERN = "recovery-step=*.ckpt"


class Preempted(Exception):
    """A signal asked the run to end; its checkpoint is saved, unless it came while the network was compiled."""

    def __init__(self, checkpoint: Path | None, name: str) -> None:
        """Where the run can go on from, None for where it began, and the signal's name."""
        nothing = "came while the network was compiled, so nothing new is saved"
        super().__init__(f"{name}: {nothing if checkpoint is None else f'saved {checkpoint}'}")
        self.checkpoint = checkpoint


class Recovery(Callback):
    """Saves the whole state of the training now and then, and once more when a signal asks the run to end.

    At most the steps since the last of these checkpoints are lost by a kill, and done again. SIGTERM and SIGUSR1 only
    set a flag: the batch is finished, all processes agree, one checkpoint is saved, and the run ends with `Preempted`.

    The state is saved before the first hook of a step sees it, so that all that was counted and logged of the steps
    before is in it, and nothing of this one. So it must come first among the callbacks.
    """

    def __init__(
        self, every_steps: int = 0, every_minutes: float = 10.0, keep: int = 2, agree_every_steps: int = 10
    ) -> None:
        """Set how often.

        Args:
            every_steps: Optimisation steps between two checkpoints; 0 goes by time alone.
            every_minutes: Minutes between two checkpoints; 0 goes by steps alone. The first process's clock counts.
            keep: How many of these checkpoints are kept, 2 at least: the newest may be the one that is damaged.
            agree_every_steps: Steps between two times that several processes ask each other for signals and the time,
                since that makes them wait for each other. One process alone looks at every step.

        Raises:
            InputError: If a number makes no sense.
        """
        if every_steps < 0 or every_minutes < 0 or agree_every_steps < 1:
            raise InputError(
                f"recovery: every_steps {every_steps} and every_minutes {every_minutes} must be 0 or more, "
                f"agree_every_steps {agree_every_steps} 1 or more"
            )
        if keep < 2:
            raise InputError(f"recovery.keep {keep}: keep 2 at least, since the newest may be damaged")
        self.every_steps = every_steps
        self.every_minutes = every_minutes
        self.keep = keep
        self.agree_every_steps = agree_every_steps
        self._signal: int | None = None
        self._handlers: dict[int, Any] = {}
        self._kept = False
        self._saved_s = 0.0
        self._saved_step = -1
        self._between_steps = False

    @property
    def asked(self) -> str | None:
        """Name of the signal that this process got; None for none."""
        return signal.Signals(self._signal).name if self._signal else None

    def listen(self) -> None:
        """Take over the signals until `give_back`: one that comes before the first step ends the run after that step.

        Without it they are taken over while the training runs, and one that comes before kills the process.
        """
        self._take()
        self._kept = True

    def give_back(self) -> None:
        """Let the signals do again what they did before."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers, self._kept = {}, False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take over the signals from the Trainer, and start the clock."""
        self._saved_s, self._saved_step = time.monotonic(), trainer.global_step
        self._take()
        trainer._signal_connector.received_sigterm = False  # remembered here; the Trainer would stop without a save

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Save if it is time to, and end if asked to.

        Raises:
            Preempted: If a signal came; in all processes at the same step.
        """
        step = trainer.global_step
        # The Trainer's own count, which loggers take for the step, is one ahead after some resumes.
        trainer.fit_loop.epoch_loop._batches_that_stepped = step
        done = trainer.fit_loop.epoch_loop.batch_progress.current.ready - 1  # batches of this epoch
        if step == self._saved_step or done % trainer.accumulate_grad_batches:
            return  # nothing is new, or the gradients of half a step would be lost
        by_steps = bool(self.every_steps) and step % self.every_steps == 0
        asked, by_time = self._agreed(trainer, step)
        if not (asked or by_time or by_steps):
            return
        path = self._save(trainer)
        if asked:
            raise Preempted(path, signal.Signals(asked).name)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Count the batch that is about to begin as not begun: the run that goes on fetches it again."""
        if self._between_steps:
            progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
            progress["is_last_batch"] = False  # it may be, but is not done
            for counts in (progress["total"], progress["current"]):
                counts["ready"] = counts["completed"]

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Give the signals back."""
        if not self._kept:
            self.give_back()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Give the signals back."""
        if not self._kept:
            self.give_back()

    def _take(self) -> None:
        if not self._handlers:
            self._signal = None
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._handlers.setdefault(number, signal.signal(number, self._remember))

    def _remember(self, number: int, frame: FrameType | None) -> None:
        # Saving here would catch the network in the middle of a step, and the other processes anywhere.
        self._signal = number

    def _agreed(self, trainer: L.Trainer, step: int) -> tuple[int, bool]:
        """The signal that any process got, 0 for none, and whether the first process's time is over."""
        late = self.every_minutes > 0 and time.monotonic() - self._saved_s >= 60 * self.every_minutes
        if trainer.world_size == 1:
            return self._signal or 0, late
        if step % self.agree_every_steps:
            return 0, False
        mine = torch.tensor([self._signal or 0, int(late and trainer.is_global_zero)])
        asked, by_time = trainer.strategy.reduce(mine.to(trainer.strategy.root_device), reduce_op="max").tolist()
        return int(asked), bool(by_time)

    def _save(self, trainer: L.Trainer) -> Path:
        folder = Path(trainer.default_root_dir) / "checkpoints"
        path = folder / PATTERN.replace("*", str(trainer.global_step))
        self._between_steps = True
        try:
            trainer.save_checkpoint(path)
        finally:
            self._between_steps = False
        self._saved_s, self._saved_step = time.monotonic(), trainer.global_step
        if trainer.is_global_zero:
            older = sorted(folder.glob(PATTERN), key=lambda p: p.stat().st_mtime)
            for old in older[: -self.keep]:
                old.unlink(missing_ok=True)
        return path
