"""`personlab fit`, `validate` and `test`: LightningCLI with a run directory around it."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import SIGTERMException

from personlab.cli.configs import expand_configs
from personlab.cli.preflight import (
    check_checkpoint,
    check_fit,
    check_initial_weights,
    check_precision,
    check_statistics,
    check_weights,
    end_with_a_validation,
)
from personlab.cli.run_options import add_run_options, default_precision, loggers_of, share_batch
from personlab.cli.skeletons import share_skeleton
from personlab.data.datamodule import CocoDataModule
from personlab.errors import InputError
from personlab.experiments.inputs import weights_hashes
from personlab.experiments.ledger import LedgerKeeper
from personlab.experiments.lock import RunLock
from personlab.experiments.requeue import requeue
from personlab.experiments.resume import find_unfinished, tell_precision
from personlab.experiments.runs import RunDirectory, describe_devices, finish_card, start_card
from personlab.experiments.settings import read_yaml
from personlab.training.callbacks import (
    PlainProgress,
    Preempted,
    RandomStates,
    Recovery,
)
from personlab.training.checkpoint_files import VerifiedCheckpointIO, newest_whole, remove_unfinished
from personlab.training.compilation import compile_failure
from personlab.training.task import PersonLabTask
from personlab.weights import load_initial

logger = logging.getLogger("personlab")
_RUN_VARIABLE = "PERSONLAB_RUN_DIRECTORY"
_TERMINATED = 128 + signal.SIGTERM
"""Exit code of a program that SIGTERM ends, as shells tell it."""


class PersonLabCLI(LightningCLI):
    """LightningCLI whose every run has a directory of its own, a run card and a ledger."""

    run: RunDirectory

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Options of the run, and of the callbacks that every run has."""
        add_run_options(parser)

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Those of LightningCLI that a PersonLab run has."""
        known = LightningCLI.subcommands()
        return {name: known[name] for name in ("fit", "validate", "test")}

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, and check the weights that are asked for: LightningCLI opens a checkpoint right afterwards."""
        super().parse_arguments(parser, args)
        config = self.config[self.config.subcommand]
        check_weights(self.config.subcommand, config.ckpt_path, config.model.initial_weights)
        if config.ckpt_path is not None:
            check_checkpoint(config.ckpt_path)

    def before_instantiate_classes(self) -> None:
        """Check the config, and tell everything the place of the run; the directory is made when all is built."""
        config = self.config[self.subcommand]
        config.base = None
        share_skeleton(config)
        config.trainer.use_distributed_sampler = False
        config.weights_only = True
        if config.trainer.precision is None:
            config.trainer.precision = default_precision(str(config.trainer.accelerator))
        config.trainer.precision = check_precision(config.trainer.precision)
        if config.trainer.enable_progress_bar is None:
            config.trainer.enable_progress_bar = sys.stderr.isatty()
        if self.subcommand == "fit":
            end_with_a_validation(config.trainer)
        self._portable_config = config.clone()  # without places of this run, so that another run can start from it
        if config.resume == "auto":
            self._find_checkpoint(config)
        self.run = self._place_of_run(config)
        config.trainer.default_root_dir = str(self.run.path)
        config.checkpoint.dirpath = str(self.run.checkpoints)
        if config.trainer.logger is None or config.trainer.logger is True:
            config.trainer.logger = loggers_of(
                self.run, config.run.wandb, config.run.wandb_checkpoints, str(self.subcommand)
            )

    def _find_checkpoint(self, config: Any) -> None:
        """Go on with an unfinished run, if there is one.

        Raises:
            InputError: If there is no training to go on with, or a checkpoint is given as well.
        """
        if self.subcommand != "fit" or config.ckpt_path is not None:
            raise InputError("--resume auto: is for fit, and finds the checkpoint itself; leave out --ckpt_path")
        text = self._parser(self.subcommand).dump(self._portable_config, skip_none=False)
        for unfinished in find_unfinished(config.run.root, config.run.name, read_yaml(text)):
            found = newest_whole(unfinished.checkpoints.glob("*.ckpt"))
            if found is not None:  # a newer run may have been killed before its first one
                logger.info("goes on from %s", found)
                config.ckpt_path = str(found)
                return
        logger.info("nothing to go on with: a run of its own begins")

    def _place_of_run(self, config: Any) -> RunDirectory:
        """A new directory; a resumed `fit` goes on in its own; other processes of one run take the first one's."""
        given = os.environ.get(_RUN_VARIABLE)
        if given and int(os.environ.get("LOCAL_RANK", "0")) > 0:
            return RunDirectory(Path(given))
        resumed = RunDirectory.of_checkpoint(config.ckpt_path) if config.ckpt_path else None
        return resumed if resumed and self.subcommand == "fit" else RunDirectory.plan(config.run.root, config.run.name)

    def after_instantiate_classes(self) -> None:
        """Read the data, then make the run directory: what is refused before leaves none behind.

        Callbacks that need no options are added here.
        """
        config = self.config[self.subcommand]
        if config.ckpt_path is not None:
            check_fit(config.ckpt_path, self.model.network, config.trainer.max_steps)
            self.model.initial_weights = None  # the checkpoint has them all; the file may be gone by now
        elif self.subcommand == "fit":
            check_initial_weights(config.model.initial_weights)
            check_statistics(self.model.network, config.model.initial_weights)
        else:
            self._load_all_weights(config.model.initial_weights)
        callbacks: list[Any] = self.trainer.callbacks  # type: ignore[attr-defined]
        callbacks += [LedgerKeeper(), RandomStates()]
        recovery = next(c for c in callbacks if isinstance(c, Recovery))
        callbacks.remove(recovery)
        callbacks.insert(0, recovery)  # it saves a step before the others see the next one
        self.trainer.strategy.checkpoint_io = VerifiedCheckpointIO()
        if not self.trainer.progress_bar_callback:
            callbacks.append(PlainProgress())
        if self.subcommand == "fit":
            share_batch(self.trainer, self.datamodule, config.trainer.accumulate_grad_batches)
        self.datamodule.setup(str(self.subcommand))
        processes = self.trainer.num_devices * self.trainer.num_nodes
        if self.subcommand == "fit":
            self.datamodule.check_step(processes)
        self.datamodule.check_shares(processes, testing=self.subcommand == "test")
        self._recovery = recovery
        if self.subcommand == "fit":
            recovery.listen()
        try:
            self._open_run()
        except BaseException:
            recovery.give_back()
            raise

    def _load_all_weights(self, source: str) -> None:
        """What is scored when there is no checkpoint.

        Raises:
            InputError: If the weights leave a part of the network random.
        """
        missing = load_initial(self.model.network, source).unfilled
        if missing:
            raise InputError(
                f"{source}: {len(missing)} tensors of the network are missing, first {missing[0]}: there is nothing to "
                "score; give --ckpt_path FILE or the weights of a whole network"
            )

    def fit(self, **arguments: Any) -> None:
        """Train, and tell where everything is."""
        self._run_to_end(self.trainer.fit, arguments)

    def validate(self, **arguments: Any) -> None:
        """Evaluate on the validation split."""
        self._run_to_end(self.trainer.validate, arguments)

    def test(self, **arguments: Any) -> None:
        """Evaluate on the test split."""
        self._run_to_end(self.trainer.test, arguments)

    def _run_to_end(self, function: Callable[..., Any], arguments: dict[str, Any]) -> None:
        status, preempted = "failed", None
        try:
            function(**arguments)
            status = "finished"
        except Preempted as stop:
            status, preempted = "preempted", stop
        except SIGTERMException as stop:  # of an evaluation: a training has been told by `Recovery`
            status = "interrupted"
            logger.error("SIGTERM: stopped before the end; nothing is scored (exit code %d)", _TERMINATED)
            raise SystemExit(_TERMINATED) from stop
        except SystemExit as stop:
            if not self.trainer.interrupted:
                raise
            status = "interrupted"  # Ctrl-C: the Trainer shuts everything down, then ends the program
            last = self.run.checkpoints / "last.ckpt"
            mend = f"go on with --ckpt_path {last}" if last.exists() else "it had no checkpoint yet"
            raise KeyboardInterrupt(f"interrupted; {mend}") from stop
        except Exception as error:
            failure = compile_failure(error)
            if failure is None:
                raise
            if self._recovery.asked is None:
                raise InputError(failure) from error
            # Who asks all processes of a job to end asks the compilers, too, which then seem to have failed.
            status, preempted = "preempted", Preempted(None, self._recovery.asked)
        finally:
            if self.trainer.is_global_zero:
                try:
                    finish_card(self.run, status)
                except InputError as error:  # a full disk; what ended the run is worth more than this
                    logger.error("%s; the run card still says that it is running", error)
                self._lock.release()
                os.environ.pop(_RUN_VARIABLE, None)
            self._recovery.give_back()
            if preempted is None:
                self._close_mirrors()
        if preempted is not None:  # when all is written: SLURM may end the job at once
            wanted = self.config[self.subcommand].run.requeue
            code = requeue(wanted, preempted, self.trainer.is_global_zero)
            self._close_mirrors()  # last, since W&B may take its time; what it does not get now it gets when it goes on
            raise SystemExit(code)
        self._tell_results()

    def _close_mirrors(self) -> None:
        for mirror in self._mirrors():
            mirror.close()

    @rank_zero_only
    def _tell_results(self) -> None:
        evaluation = self.run.path / "evaluation.json"
        if evaluation.is_file():
            scores = json.loads(evaluation.read_text(encoding="utf-8"))
            told = [f"{kind} AP {_rounded(scores[kind]['AP'])}" for kind in ("keypoints", "segmentation")]
            logger.info("%s on %d images", ", ".join(told), scores["images"])
        sheets = sorted(self.run.figures.glob("*.png"), key=lambda p: p.stat().st_mtime)
        if sheets:
            logger.info("picture: %s", sheets[-1])
        logger.info("run directory: %s", self.run.path)

    def _batch(self) -> dict[str, int]:
        """How the images of a training step are shared."""
        processes, each = self.trainer.num_devices * self.trainer.num_nodes, self.datamodule.batch_size
        parts = int(self.trainer.accumulate_grad_batches)
        return {"global": processes * parts * each, "processes": processes, "accumulated": parts, "at_once": each}

    @rank_zero_only
    def _open_run(self) -> None:
        """Make the directory, unless a resumed run has it, and write the config and the card."""
        target = self.run.config
        resumes = self.run.card.exists()
        if not resumes:
            self.run.make()
        self._lock = RunLock(self.run.path)
        self._lock.acquire()
        config = self.config[self.subcommand]
        if resumes:  # it keeps the config it began with
            tell_precision(self.run, str(config.trainer.precision))
            number = 1 + len(list(self.run.path.glob("config-resumed-*.yaml")))
            target = target.with_name(f"config-resumed-{number}.yaml")
            remove_unfinished(self.run.checkpoints)
        self._parser(self.subcommand).save(self._portable_config, str(target), skip_none=False)
        os.environ[_RUN_VARIABLE] = str(self.run.path)
        devices = describe_devices(self.trainer.strategy.root_device.type)
        weights = {} if resumes else weights_hashes(config.model.initial_weights, config.ckpt_path)
        start_card(self.run, config.seed_everything, devices, self.datamodule.content_hashes(), self._batch(), weights)
        for mirror in self._mirrors():
            mirror.describe()
        logger.info("run directory: %s", self.run.path)

    def _mirrors(self) -> list[Any]:
        """Loggers that mirror the run directory, known by their class only where there is one: W&B takes a second."""
        return [mirror for mirror in self.trainer.loggers if hasattr(mirror, "describe") and hasattr(mirror, "close")]


def _rounded(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def run(words: list[str]) -> int:
    """Run `fit`, `validate` or `test`, to its end."""
    quiet_lightning()
    if rank_zero_only.rank:  # type: ignore[attr-defined]
        logger.setLevel(logging.WARNING)  # the first process tells how it goes
    command_line(words)
    return 0


def quiet_lightning() -> None:
    """Send what Lightning logs through our handler, warnings only: its own lines hide what the run tells."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).handlers[:] = logger.handlers
        logging.getLogger(name).setLevel(max(logger.level + 10, logging.INFO))


def command_line(words: list[str], kind: type[PersonLabCLI] = PersonLabCLI) -> None:
    """Parse `fit`, `validate` or `test` with its options, and do what `kind` makes of it.

    Args:
        words: Words of the command line, the command first.
        kind: `PersonLabCLI` runs it.
    """
    options = {"parser_mode": "omegaconf+", "exit_on_error": False, "allow_abbrev": False}
    kind(
        PersonLabTask,
        CocoDataModule,
        save_config_callback=None,
        seed_everything_default=0,
        trainer_defaults={"num_sanity_val_steps": 0, "log_every_n_steps": 20},
        parser_kwargs={**options, "prog": "personlab", **{name: dict(options) for name in PersonLabCLI.subcommands()}},
        auto_configure_optimizers=False,
        args=expand_configs(words),
    )
