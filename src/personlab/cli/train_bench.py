"""`personlab bench train`: where the time of a training step goes."""

from __future__ import annotations

import logging
import shlex
import statistics
import time
from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from personlab.cli.configs import expand_configs
from personlab.cli.options import check_output, write_result
from personlab.cli.preflight import check_precision
from personlab.cli.run_options import default_precision, share_batch
from personlab.cli.trainer import PersonLabCLI
from personlab.data.datamodule import CocoDataModule
from personlab.data.loader import BatchLoader
from personlab.errors import InputError
from personlab.experiments.provenance import provenance
from personlab.training.callbacks import FiniteSteps, PolyakAveraging
from personlab.training.compilation import compile_failure
from personlab.training.task import PersonLabTask

logger = logging.getLogger("personlab")

PARTS = ("wait", "forward", "encode", "losses", "backward", "optimizer")
"""Waiting for a batch; the network; the targets; the losses; backward; the step of the optimiser and of the averages,
with the look whether it is finite. What is left of a step is the Trainer's own."""


class StepClock(Callback):
    """Times steps: first as they are, then once more with the device waited for between the parts.

    Args:
        task: What is trained; its encoder and network are timed.
        warm_up: Steps that do not count.
        steps: Steps of each of both.
    """

    def __init__(self, task: PersonLabTask, warm_up: int, steps: int) -> None:
        """Nothing is timed yet."""
        self.warm_up = warm_up
        self.steps = steps
        self.whole: list[dict[str, float]] = []
        self.split: list[dict[str, float]] = []
        self.images = 0
        self._step: dict[str, float] = {}
        self._mark = self._start = self._waited = 0.0
        self._inside = 0.0
        self._parts = 0
        self._done = 0
        self._device = torch.device("cpu")
        self._task: Any = task

    @property
    def total(self) -> int:
        """Steps that a training must have."""
        return self.warm_up + 2 * self.steps

    def _now(self) -> float:
        if self._splits and self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    @property
    def _splits(self) -> bool:
        return self._done >= self.warm_up + self.steps

    def _timed(self, part: str, function: Callable[..., Any]) -> Any:
        def timed(*words: Any, **options: Any) -> Any:
            started = self._now()
            result = function(*words, **options)
            self._step[part] = self._step.get(part, 0.0) + self._now() - started
            return result

        return timed

    def _since_mark(self, part: str) -> None:
        now = self._now()
        self._step[part] = self._step.get(part, 0.0) + now - self._mark
        self._mark = now

    def on_train_start(self, trainer: L.Trainer, pl_module: LightningModule) -> None:
        """Put clocks around network (compiled by now, if it is to be) and encoder; start that of the first step."""
        network = self._task.network
        network.forward_supervised = self._timed("forward", network.forward_supervised)
        self._task.encoder = self._timed("encode", self._task.encoder)
        self._device = pl_module.device
        self._start = self._now()

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """A batch is there: that of a step, or a part of it whose gradients are accumulated."""
        self._parts = self._parts + 1 if self._step else 1
        self.images = len(batch) * self._parts
        self._inside = self._in_network()
        self._mark = self._now()

    def on_before_backward(self, trainer: L.Trainer, pl_module: LightningModule, loss: Any) -> None:
        """Network, targets and losses are done."""
        self._since_mark("losses")
        self._step["losses"] -= self._in_network() - self._inside

    def on_after_backward(self, trainer: L.Trainer, pl_module: LightningModule) -> None:
        """Backward is done."""
        self._since_mark("backward")

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """The step is done, unless parts of it are to come; other callbacks were before."""
        self._since_mark("optimizer")
        if trainer.global_step == self._done:
            return
        now, loader = self._mark, trainer.train_dataloader
        waited = loader.waited_s if isinstance(loader, BatchLoader) else 0.0
        # The loader's clock begins anew with every epoch.
        self._step["wait"] = waited - self._waited if waited >= self._waited else waited
        self._step["step"] = now - self._start
        self._start, self._waited = now, waited
        if self._done >= self.warm_up:
            (self.split if self._splits else self.whole).append(self._step)
        self._step = {}
        self._done += 1
        if self._done == self.warm_up + self.steps:
            self._start = self._now()

    def _in_network(self) -> float:
        """Seconds of this step so far in network and encoder, which run inside of what is timed as losses."""
        return self._step.get("forward", 0.0) + self._step.get("encode", 0.0)

    def result(self) -> dict[str, Any]:
        """Images a second and share of waiting as it is; shares of the parts, with the device waited for."""
        seconds = sum(step["step"] for step in self.whole)
        parts = {name: 1e3 * statistics.median(step.get(name, 0.0) for step in self.split) for name in PARTS}
        step_ms = 1e3 * statistics.median(step["step"] for step in self.split)
        parts["other"] = max(step_ms - sum(parts.values()), 0.0)
        worked = step_ms - parts["wait"]
        return {
            "batch": self.images,
            "accumulated": self._parts,
            "images_per_s": self.images * len(self.whole) / seconds,
            "step_ms": step_ms,
            "parts_ms": parts,
            "encode_share": parts["encode"] / worked,
            "wait_share": sum(step["wait"] for step in self.whole) / seconds,
        }


class BenchCLI(PersonLabCLI):
    """Builds what `fit` builds from the same options, without a run directory, and leaves it at that."""

    clock: StepClock

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Options of `fit`, and those of the benchmark."""
        super().add_arguments_to_parser(parser)
        parser.add_argument("--json", type=str | None, default=None, help="write the result to this file; - is stdout")
        parser.add_argument("--steps", type=int, default=20, help="measured twice: as they are, and part by part")
        parser.add_argument("--warm_up", type=int, default=5, help="steps before, which do not count")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse only: there are no subcommands."""
        LightningCLI.parse_arguments(self, parser, args)
        check_output(self.config.json, "--json")

    def before_instantiate_classes(self) -> None:
        """Check the options, and set what `fit` sets."""
        if self.config.steps < 1 or self.config.warm_up < 0:
            raise InputError("bench train: --steps must be at least 1 and --warm_up 0 or more")
        self.config.trainer.use_distributed_sampler = False
        if self.config.trainer.precision is None:
            self.config.trainer.precision = default_precision(str(self.config.trainer.accelerator))
        self.config.trainer.precision = check_precision(self.config.trainer.precision)

    def instantiate_trainer(self, **options: Any) -> L.Trainer:
        """A trainer that measures and keeps nothing; of the callbacks, those that belong to a step stay."""
        self.clock = StepClock(self.model, self.config.warm_up, self.config.steps)
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        endless = {"max_epochs": -1, "max_time": None, "limit_val_batches": 0, "num_sanity_val_steps": 0}
        trainer = super().instantiate_trainer(**{**quiet, **endless, "max_steps": self.clock.total}, **options)
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        callbacks[:] = [*(c for c in callbacks if isinstance(c, (FiniteSteps, PolyakAveraging))), self.clock]
        return trainer

    def after_instantiate_classes(self) -> None:
        """Share the batch as `fit` does; there is no run to begin."""
        share_batch(self.trainer, self.datamodule, self.config.trainer.accumulate_grad_batches)


def run(words: list[str]) -> int:
    """Run `personlab bench train`."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    cli = BenchCLI(
        PersonLabTask,
        CocoDataModule,
        run=False,
        save_config_callback=None,
        seed_everything_default=0,
        trainer_defaults={"num_sanity_val_steps": 0},
        parser_kwargs={
            "prog": "personlab bench train", "parser_mode": "omegaconf+", "exit_on_error": False, "allow_abbrev": False
        },
        auto_configure_optimizers=False,
        args=expand_configs(words),
    )  # fmt: skip
    device = cli.trainer.strategy.root_device
    about = provenance(shlex.join(["personlab", "bench", "train", *words]), str(device))
    try:
        cli.trainer.fit(cli.model, datamodule=cli.datamodule)
    except Exception as error:
        if failure := compile_failure(error):
            raise InputError(failure) from error
        raise
    result = cli.clock.result()
    told = ", ".join(f"{name} {value:.0f}" for name, value in result["parts_ms"].items())
    logger.info(
        "%.1f images/s; of a step of %.0f ms (%d images, %d at once): %s ms; targets are %.1f %% of it, %.1f %% of the "
        "time goes by waiting", result["images_per_s"], result["step_ms"], result["batch"],
        result["batch"] // result["accumulated"], told, 100 * result["encode_share"], 100 * result["wait_share"],
    )  # fmt: skip
    workers, threads = cli.datamodule.workers, torch.get_num_threads()
    write_result(
        {**about, "device": device.type, "workers": workers, "threads": threads, "runs": cli.config.steps, **result},
        cli.config.json,
    )
    return 0
