"""Training with one process and with two: `python -m benchmarks.processes --data-root COCO [--json FILE]`.

Runs `personlab fit` under torchrun with 1 and with 2 processes by turns (gloo, one thread each), the same images a
process and step, and reads images a second from the ledger each run leaves. Beside it stands the processor time of the
whole run, starting and loading included: where other work takes its share of the cores, two processes cannot be twice
as fast as one, but images a second of processor time still tell what two processes lose by being two.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.commands import parse, told
from benchmarks.speed_tables import times_one_process
from personlab.experiments.provenance import provenance
from personlab.files import write_json

Row = dict[str, Any]
CONFIG = "configs/experiment/coco_sample.yaml"
WARM_UP = 4
"""Steps that do not count: the first ones lay out memory and wait for the loader to fill up."""


def command(
    processes: int, batch: int, workers: int, steps: int, root: str, config: str, runs: Path, *further: str
) -> list[str]:
    """The words of one training."""
    return [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes),
        "-m", "personlab.cli.main", "fit", "--config", config, "--data.root", root,
        "--data.batch_size", str(batch), "--data.workers", str(workers), "--data.val_images", str(processes),
        "--trainer.accelerator", "cpu", "--trainer.devices", str(processes), "--trainer.max_steps", str(steps),
        "--trainer.val_check_interval", str(steps), "--trainer.log_every_n_steps", "1",
        "--run.root", str(runs), "--run.name", "processes", "--run.wandb", "off", *further,
    ]  # fmt: skip


def images_per_s(ledger: list[Row], warm_up: int = WARM_UP) -> float:
    """Images a second between the end of the warm-up and the last training step.

    Args:
        ledger: Lines of a run's `metrics.jsonl`.
        warm_up: Steps that do not count.
    """
    steps = [line for line in ledger if "train/loss/total" in line and line["step"] >= warm_up - 1]
    first, last = steps[0], steps[-1]
    return (last["samples_seen"] - first["samples_seen"]) / (last["wall_s"] - first["wall_s"])


def train(
    processes: int, batch: int, workers: int, steps: int, root: str, config: str, further: tuple[str, ...] = ()
) -> Row:
    """One training, and what it reached.

    Args:
        processes: How many train together, with one thread each.
        batch: Images a process and step.
        workers: Loader processes of each.
        steps: Optimisation steps, warm-up included.
        root: Folder of the data set.
        config: The recipe.
        further: More words of the command line.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        words = command(processes, batch, workers, steps, root, config, Path(folder), *further)
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(words, env=environment, stdout=sys.stderr, check=True)
        after, seconds = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - started
        (ledger,) = Path(folder).rglob("metrics.jsonl")
        lines = [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()]
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "processes": processes, "batch": batch, "workers": workers,
        "images_per_s": images_per_s(lines), "images": lines[-1]["samples_seen"],
        "cpu_s": cpu_s, "seconds": seconds, "load": os.getloadavg()[0],
    }  # fmt: skip


def main() -> None:
    """Measure by turns, print the ratio, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True, help="folder of the data set, in COCO's layout")
    parser.add_argument("--config", default=CONFIG, help="recipe")
    parser.add_argument("--batch", type=int, default=4, help="images a process and step")
    parser.add_argument(
        "--workers", type=int, default=0, help="loader processes of each; 0 loads in the process itself"
    )
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--turns", type=int, default=3, help="of one run each")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parse(parser)
    if options.steps < WARM_UP + 2 or options.turns < 1:
        parser.error(f"--steps must be at least {WARM_UP + 2} and --turns 1")
    about = provenance(told(["python", "-m", "benchmarks.processes", *sys.argv[1:]]))
    rows = [
        train(processes, options.batch, options.workers, options.steps, options.data_root, options.config)
        for _ in range(options.turns)
        for processes in (1, 2)
    ]
    one, two = (statistics.median(r["images_per_s"] for r in rows if r["processes"] == n) for n in (1, 2))
    sys.stdout.write(
        f"1 process {one:.2f} images/s, 2 processes {two:.2f} images/s: {times_one_process(rows, 2):.2f} times\n"
    )
    if options.json:
        write_json(options.json, {**about, "config": options.config, "batch": options.batch, "rows": rows})


if __name__ == "__main__":
    main()
