"""`personlab bench loader`: images a second of the training loader, where its time goes, and what its workers weigh."""

from __future__ import annotations

import logging
import multiprocessing
import shlex
import time
from typing import Any

import torch
from jsonargparse import ArgumentParser
from omegaconf import OmegaConf

from personlab.cli.configs import expand_configs
from personlab.cli.options import make_parser, write_result
from personlab.data.collate import collate
from personlab.data.datamodule import CocoDataModule
from personlab.data.dataset import CocoDataset
from personlab.data.label_maps import rasterise
from personlab.data.sampler import DeterministicSampler, sample_generator
from personlab.errors import InputError
from personlab.experiments.memory import process_memory
from personlab.experiments.provenance import provenance
from personlab.structures import Sample

logger = logging.getLogger("personlab")

STAGES = ("read", "labels", "view", "collate")
"""Decoding the image; drawing its label map; crop and colours; putting samples side by side."""
PROFILED = 100
"""Images that the profile looks at."""


def run(words: list[str]) -> int:
    """Run `personlab bench loader`."""
    parser = _parser()
    options = parser.parse_args(data_sections(expand_configs(words)))
    counts = [options.workers] if isinstance(options.workers, int) else options.workers
    if min(counts, default=-1) < 0 or options.epochs < 1:
        raise InputError("bench loader: --workers must be 0 or more and --epochs 1 or more")
    started = time.perf_counter()
    module: CocoDataModule = parser.instantiate_classes(options).data
    module.setup("fit")
    assert module.train_dataset is not None
    setup_s = time.perf_counter() - started
    about = provenance(shlex.join(["personlab", "bench", "loader", *words]))
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a worker
    try:
        stages = profile(module.train_dataset, module.batch_size, module.size_multiple, module.seed)
    finally:
        torch.set_num_threads(before)
    told = ", ".join(f"{name} {stages[name]:.1f}" for name in STAGES)
    logger.info("one process, ms an image: %s", told)
    rows: list[dict[str, Any]] = []
    for count in counts:
        module.workers = count
        rows += measure(module, count, options.epochs)
    write_result(
        {
            **about, "images": len(module.train_dataset),
            "batch_size": module.batch_size, "setup_s": setup_s, "stages_ms": stages, "rows": rows,
            "limit": limit(stages, rows),
        },
        options.json,
    )  # fmt: skip
    logger.info("%s", limit(stages, rows))
    return 0


def _parser() -> ArgumentParser:
    parser = make_parser(
        "bench loader",
        "Images a second of the training loader of a config, by workers; where the time of an image goes; and the "
        "memory of the main process and of the workers after each epoch.",
    )
    parser.add_argument("--config", action="config", help="a recipe, as for fit; only its data section counts")
    parser.add_class_arguments(CocoDataModule, "data")
    parser.add_argument("--workers", type=int | list[int], default=[0, 1, 2], help="numbers of workers to try")
    parser.add_argument("--epochs", type=int, default=2, help="of each; --data.train_images N makes them short")
    return parser


def data_sections(words: list[str]) -> list[str]:
    """The words with each `--config FILE` replaced by what the file says about the data."""
    out, i = list(words), 0
    while i < len(out):
        if out[i] == "--config":
            content: Any = OmegaConf.to_container(OmegaConf.load(out[i + 1]), resolve=False)
            section = {"data": content["data"]} if content.get("data") else {}
            out[i : i + 2] = [f"--config={OmegaConf.to_yaml(OmegaConf.create(section))}"]
        i += 1
    return out


def profile(dataset: CocoDataset, batch_size: int, multiple: int, seed: int) -> dict[str, float]:
    """Milliseconds an image of each stage, in this process, over the first images of an epoch.

    Args:
        dataset: Images and their view.
        batch_size: Images a batch.
        multiple: Of the size of a batch, see `collate`.
        seed: Seed of order and views.
    """
    spent = dict.fromkeys(STAGES, 0.0)
    clock = _Clock(spent)
    batch: list[Sample] = []
    tickets = list(DeterministicSampler(len(dataset), seed))
    done = 0
    for ticket in [tickets[0], *tickets[:PROFILED]]:  # the first one warms up
        clock.start()
        sample = dataset.load(ticket.sample)
        clock.stop("read")
        rasterise(dataset.annotations, int(dataset.images[ticket.sample]))
        # Loading draws the label map as well: its time is taken off again.
        spent["read"] -= clock.stop("labels")
        if dataset.view is not None:
            sample = dataset.view(sample, sample_generator(seed, ticket.epoch, ticket.position))
        clock.stop("view")
        batch.append(sample)
        done += 1
        if done == 1:
            batch.clear()
            spent.update(dict.fromkeys(STAGES, 0.0))
        elif len(batch) == batch_size or done == len(tickets[:PROFILED]) + 1:
            collate(batch, multiple)
            clock.stop("collate")
            batch.clear()
    return {name: 1e3 * seconds / (done - 1) for name, seconds in spent.items()}


class _Clock:
    """Adds the time since the last look to a stage."""

    def __init__(self, spent: dict[str, float]) -> None:
        self._spent = spent
        self._last = 0.0

    def start(self) -> None:
        self._last = time.perf_counter()

    def stop(self, stage: str) -> float:
        now = time.perf_counter()
        seconds, self._last = now - self._last, now
        self._spent[stage] += seconds
        return seconds


def measure(module: CocoDataModule, workers: int, epochs: int) -> list[dict[str, Any]]:
    """Images a second of whole epochs, and the memory of all processes after each."""
    loader = module.train_dataloader()
    rows = []
    others = {child.pid for child in multiprocessing.active_children()}
    for epoch in range(epochs):
        started = time.perf_counter()
        images = sum(map(len, loader))
        seconds = time.perf_counter() - started
        mine = [child.pid for child in multiprocessing.active_children() if child.pid not in others]
        rows.append(
            {
                "workers": workers, "epoch": epoch + 1, "images": images, "images_per_s": images / seconds,
                "main": process_memory(), "each": [process_memory(pid) for pid in sorted(filter(None, mine))],
            }
        )  # fmt: skip
        logger.info("%d workers, epoch %d: %.1f images/s", workers, epoch + 1, images / seconds)
    return rows


def limit(stages: dict[str, float], rows: list[dict[str, Any]]) -> str:
    """What holds the loader up, in a sentence."""
    slowest = max(STAGES, key=lambda name: stages[name])
    total = sum(stages[name] for name in STAGES)
    best = max(rows, key=lambda row: row["images_per_s"])
    return (
        f"{slowest} takes {stages[slowest] / total:.0%} of the {total:.1f} ms of an image in one process; "
        f"{best['workers']} workers were fastest, with {best['images_per_s']:.0f} images/s"
    )
