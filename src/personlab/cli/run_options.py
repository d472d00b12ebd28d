"""Options that every run has, and what follows from them."""

from __future__ import annotations

import os
from typing import Any, Literal

import torch
from lightning import Trainer
from lightning.pytorch.cli import LightningArgumentParser

from personlab.data.datamodule import CocoDataModule
from personlab.errors import InputError
from personlab.experiments.runs import RunDirectory
from personlab.experiments.sweeps.wandb_engine import has_key
from personlab.experiments.wandb_names import project_named
from personlab.training.callbacks import (
    CocoEvaluation,
    ContactSheet,
    FiniteSteps,
    KeptCheckpoints,
    PolyakAveraging,
    Recovery,
    SampleCounter,
)


def add_run_options(parser: LightningArgumentParser) -> None:
    """Options of the run, and of the callbacks that every run has."""
    parser.add_argument("--base", type=list[str] | None, default=None, help="configs this one builds on")
    parser.add_argument("--run.name", type=str, default="personlab", help="folder of this experiment's runs")
    parser.add_argument("--run.root", type=str, default="runs", help="folder of all runs")
    parser.add_argument(
        "--run.wandb",
        type=Literal["auto", "online", "offline", "off"],
        default="auto",
        help="W&B: auto (online with a key), online, offline, off",
    )
    parser.add_argument(
        "--run.wandb_checkpoints",
        type=Literal["none", "best", "all"],
        default="none",
        help="checkpoints sent to W&B: none, best (and the last, when the run ends), all (as they are saved)",
    )
    parser.add_argument(
        "--run.requeue", type=bool, default=True, help="in a SLURM job: have it queued again when it is preempted"
    )
    parser.add_argument(
        "--resume",
        type=Literal["none", "auto"],
        default="none",
        help="fit: auto goes on with the newest unfinished run of this name and config, or starts one",
    )
    parser.add_argument(
        "--weights", type=Literal["ema", "raw"], default="ema", help="score the averages of the weights, or the raw"
    )
    parser.add_lightning_class_args(Recovery, "recovery")
    parser.add_lightning_class_args(FiniteSteps, "finite")
    parser.add_lightning_class_args(SampleCounter, "samples")
    parser.add_lightning_class_args(PolyakAveraging, "averaging")
    parser.add_lightning_class_args(CocoEvaluation, "evaluation")
    parser.add_lightning_class_args(ContactSheet, "contact_sheet")
    parser.add_lightning_class_args(KeptCheckpoints, "checkpoint")
    parser.set_defaults(
        {
            "checkpoint.monitor": "val/keypoints/AP",
            "checkpoint.mode": "max",
            "checkpoint.save_top_k": 2,
            "checkpoint.save_last": True,
            "checkpoint.filename": "step={step}",
            "checkpoint.auto_insert_metric_name": False,
            "checkpoint.enable_version_counter": False,  # a resumed run's last.ckpt replaces the older one
        }
    )
    parser.link_arguments("seed_everything", "data.seed")
    parser.link_arguments("weights", "averaging.weights")


def default_precision(accelerator: str) -> str:
    """bf16 mixed on GPUs that have it, fp16 mixed on other GPUs, fp32 on the CPU (where bf16 is far slower)."""
    if accelerator in ("cpu", "mps") or not torch.cuda.is_available():
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"


def loggers_of(run: RunDirectory, mode: str, checkpoints: str = "none", command: str = "fit") -> list[dict[str, Any]]:
    """The ledger, and W&B as its mirror: the ledger first, since the mirror reads it."""
    loggers: list[dict[str, Any]] = [
        {"class_path": "personlab.experiments.Ledger", "init_args": {"run_directory": str(run.path)}},
    ]
    if mode == "auto":
        asked = {"disabled": "off", "offline": "offline"}.get(os.environ.get("WANDB_MODE", ""))
        mode = asked or ("online" if has_key() else "offline")
    if mode != "off":
        arguments = {
            "run_directory": str(run.path),
            "checkpoints": checkpoints,
            "project": os.environ.get("WANDB_PROJECT") or project_named(run.name),  # trials have names of their own
            "id": run.run_id,
            "name": run.run_id,
            "job_type": command,
            "offline": mode == "offline",
        }
        loggers.append({"class_path": "personlab.experiments.mirror.WandbMirror", "init_args": arguments})
    return loggers


def share_batch(trainer: Trainer, datamodule: CocoDataModule, accumulate: int | None) -> None:
    """Give each process its part of the config's global batch, by accumulation where it is too much at once.

    Args:
        trainer: What trains; its accumulation is set.
        datamodule: Its batch size is set.
        accumulate: Of the config.

    Raises:
        InputError: If it cannot be shared, or accumulation is set by hand as well.
    """
    parts = datamodule.divide(trainer.num_devices * trainer.num_nodes)
    if datamodule.global_batch_size is None:
        return
    if accumulate not in (1, None):
        raise InputError(
            "trainer.accumulate_grad_batches follows from data.global_batch_size and data.batch_size: leave it out"
        )
    trainer.accumulate_grad_batches = parts
    if trainer.check_val_every_n_epoch is None and isinstance(trainer.val_check_interval, int):
        trainer.val_check_interval *= parts  # the config counts steps, the Trainer batches
