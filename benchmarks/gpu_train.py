"""How near training comes to what a GPU can do: `python -m benchmarks.gpu_train [--data-root COCO] [--json FILE]`.

ResNet-101 on 801x801 pixels, stride 16, bfloat16 as `personlab fit` trains it on a GPU. Three things are measured:

* a product of two large matrices, which is the rate that the chip really has;
* training steps (what is in one, `benchmarks.gpu_step` and the result tell) of made-up crowds that lie on the device
  already, with and without `torch.compile` and channels last: images a second, floating-point operations, memory, and
  the ten kernels that take most time;
* with `--data-root`, `personlab bench train` on real images: what of it the device spends waiting for data.

The file is written after each of them. What fails, as for want of memory, is told there, the rest is measured, and the
exit code is 1. `--device cpu` with small numbers tries the script where there is no GPU.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.autograd.profiler_util import FunctionEventAvg
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.commands import parse, told
from benchmarks.gpu_step import HAS, LACKS, Step
from personlab.devices import check_device
from personlab.errors import InputError
from personlab.evaluation.scenes import crowds, median_ms
from personlab.experiments.provenance import provenance
from personlab.files import write_json
from personlab.structures import Batch

Row = dict[str, Any]
RESULTS = Path(__file__).parent / "results" / "gpu_train.json"
CONFIG = "configs/experiment/paper_r101.yaml"
PEOPLE = 5
"""On each made-up image; COCO's images with people have about four."""


def matrix_rate(device: torch.device, side: int, runs: int) -> float:
    """Floating-point operations a second of a product of two square matrices, in bfloat16 (float32 on a CPU)."""
    kind = torch.bfloat16 if device.type == "cuda" else torch.float32
    a, b = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
    return 2 * side**3 / (1e-3 * median_ms(lambda: a @ b, runs, str(device)))


def make_step(options: argparse.Namespace, channels_last: bool, compiled: bool) -> Step:
    """A step of the network that the command line names."""
    return Step(torch.device(options.device), options.depth, channels_last, compiled)


def operations(step: Step, batch: Batch) -> float:
    """Floating-point operations of convolutions and products, forward and backward, of a step."""
    with FlopCounterMode(display=False) as counter:
        step.loss(batch).backward()
    return float(counter.get_total_flops())


def measure(options: argparse.Namespace, batch: Batch, channels_last: bool, compiled: bool) -> Row:
    """One way of training: how fast, how much memory."""
    step = make_step(options, channels_last, compiled)
    step(batch)  # compiles
    peak = None
    if step.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(step.device)
    seconds = 1e-3 * median_ms(lambda: step(batch), options.steps, options.device)
    if step.device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(step.device)
    return {
        "channels_last": channels_last, "compiled": compiled, "step_ms": 1e3 * seconds,
        "images_per_s": len(batch) / seconds, "peak_bytes": peak,
    }  # fmt: skip


def kernels(options: argparse.Namespace, batch: Batch, row: Row) -> list[Row]:
    """The ten kernels that take most of a step's time on the device."""
    step = make_step(options, row["channels_last"], row["compiled"])
    for _ in range(3):
        step(batch)
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (step.device.type == "cuda")
    with profile(activities=activities) as found:
        for _ in range(3):
            step(batch)
        if step.device.type == "cuda":
            torch.cuda.synchronize(step.device)
    return slowest(found.key_averages(), step.device.type == "cuda")


def slowest(events: Iterable[FunctionEventAvg], on_gpu: bool) -> list[Row]:
    """The ten events of three steps that take most time, with their share of the time of all.

    Args:
        events: Of the profiler. On a GPU only kernels count: an operation has the time of the kernel that it launches,
            which has a row of its own.
        on_gpu: Whether the steps ran on one.
    """
    name = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    device = DeviceType.CUDA if on_gpu else DeviceType.CPU
    counted = [event for event in events if event.device_type == device and not event.is_user_annotation]
    counted.sort(key=lambda event: -getattr(event, name))
    total = sum(getattr(event, name) for event in counted)
    return [
        {"kernel": event.key[:160], "calls": event.count // 3, "ms": getattr(event, name) / 3e3,
         "share": getattr(event, name) / total}
        for event in counted[:10]
    ]  # fmt: skip


def on_images(options: argparse.Namespace) -> Row:
    """`personlab bench train` on real images: images a second, and the share of time that goes by waiting."""
    words = [
        "bench", "train", "--config", CONFIG, "--data.root", options.data_root, "--data.global_batch_size", "null",
        "--data.batch_size", str(options.batch), "--data.workers", str(options.workers),
        "--data.view.init_args.crop_size", str(options.crop), "--steps", str(options.steps),
        "--model.network.init_args.backbone.init_args.depth", str(options.depth),
        "--model.compile_network", str(not options.no_compile).lower(), "--trainer.accelerator",
        "gpu" if options.device.startswith("cuda") else "cpu", "--json", "-",
    ]  # fmt: skip
    command = [sys.executable, "-m", "personlab.cli.main", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    sys.stderr.write(done.stderr)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    found: Row = json.loads(done.stdout)
    names = ("images_per_s", "step_ms", "parts_ms", "encode_share", "wait_share", "workers", "batch")
    return {name: found[name] for name in names}


class Record:
    """What was measured so far, in a file.

    Args:
        path: The file, written anew after each measurement.
        device: What is measured; its memory is given back after each.
        result: What is known before.
    """

    def __init__(self, path: Path, device: torch.device, result: Row) -> None:
        """Nothing is measured, and nothing written."""
        self.path, self.device, self.result = path, device, result
        result["failed"] = []

    def attempt(self, name: str, measured: Callable[[], Row]) -> None:
        """Add what is measured to the result, or in a line why it is not, and write it; then give back the memory."""
        try:
            self.result.update(measured())
        except Exception as error:  # whatever it is, the rest is worth measuring
            reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"[:300]
            self.result["failed"].append({"what": name, "reason": reason})
            sys.stderr.write(f"gpu_train: {name} failed: {reason}\n")
        write_json(self.path, self.result)
        give_back(self.device)


def way(options: argparse.Namespace, batch: Batch, result: Row, channels_last: bool, compiled: bool) -> Row:
    """The rows of the result with one more, a way of training, beside the rate of the matrices if that is known."""
    row = measure(options, batch, channels_last, compiled)
    flops, rate = result["flops_per_image"], result["matrix_flops_per_s"]
    row["share_of_rate"] = None if flops is None or rate is None else row["images_per_s"] * flops / rate
    share = "" if row["share_of_rate"] is None else f", {100 * row['share_of_rate']:.0f} % of {rate / 1e12:.1f} TFLOP/s"
    sys.stderr.write(f"channels last {channels_last}, compiled {compiled}: {row['images_per_s']:.1f} images/s{share}\n")
    return {"rows": [*result["rows"], row]}


def made_up(options: argparse.Namespace) -> Batch:
    """Crowds that lie on the device, with noise for pixels."""
    batch = crowds(PEOPLE, options.batch, (options.crop, options.crop))
    batch.images.random_(0, 256)  # what is zero costs a chip less power, and it may run faster for it
    return batch.to(torch.device(options.device))


def read_options() -> argparse.Namespace:
    """The command line; ends with its usage if the device cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data-root", help="folder of a data set in COCO's layout; without it, made-up people alone")
    parser.add_argument("--depth", type=int, default=101, help="of the ResNet")
    parser.add_argument("--crop", type=int, default=801, help="pixels, high and wide")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=20, help="measured of each way")
    parser.add_argument("--matrix", type=int, default=8192, help="side of the matrices")
    parser.add_argument("--workers", type=int, default=8, help="of the loader of real images")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--json", type=Path, default=RESULTS)
    options = parse(parser)
    try:
        check_device(options.device)
    except InputError as error:
        parser.error(str(error))
    return options


def main() -> int:
    """Measure, tell, and write JSON; 1 if something could not be measured."""
    options = read_options()
    device = torch.device(options.device)
    default = ("--json",) if options.json.resolve() == RESULTS else ()
    command = told(["python", "-m", "benchmarks.gpu_train", *sys.argv[1:]], without=default)
    result: Row = {
        **provenance(command, options.device), "depth": options.depth, "crop": options.crop, "batch": options.batch,
        "people": PEOPLE, "runs": options.steps, "step_has": HAS, "step_lacks": LACKS, "matrix_flops_per_s": None,
        "flops_per_image": None, "rows": [], "kernels": [], "on_images": None,
    }  # fmt: skip
    attempt = Record(options.json, device, result).attempt
    rate = partial(matrix_rate, device, options.matrix, options.steps)
    attempt("the rate of the matrices", lambda: {"matrix_flops_per_s": rate()})
    batch = made_up(options)
    step = partial(make_step, options, True, False)
    attempt("the operations of a step", lambda: {"flops_per_image": operations(step(), batch) / options.batch})
    for compiled, last in itertools.product((False, True)[: 1 + (not options.no_compile)], (False, True)):
        measured = partial(way, options, batch, result, last, compiled)
        attempt(f"training with channels last {last}, compiled {compiled}", measured)
        del measured  # it holds the batch
    if result["rows"]:
        fastest = max(result["rows"], key=lambda row: row["images_per_s"])
        attempt("the profile", lambda: {"kernels": kernels(options, batch, fastest)})
    if options.data_root:
        del batch  # what it needs is for the process that trains on images
        give_back(device)
        attempt("training on images", lambda: {"on_images": on_images(options)})
    for kernel in result["kernels"]:
        sys.stderr.write(f"{kernel['ms']:9.2f} ms {100 * kernel['share']:5.1f} % {kernel['kernel']}\n")
    return 1 if result["failed"] else 0


def give_back(device: torch.device) -> None:
    """Free what a measurement held, for the next one, which may run in a process of its own."""
    torch.compiler.reset()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


if __name__ == "__main__":
    sys.exit(main())
