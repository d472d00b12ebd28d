"""How near training comes to what a GPU can do: `python -m benchmarks.gpu_train [--data-root COCO] [--json FILE]`.

ResNet-101 on 801x801 pixels, stride 16, bfloat16 as `personlab fit` trains it on a GPU. Three things are measured:

* a product of two large matrices, which is the rate that the chip really has;
* training steps (network, targets, losses, backward, optimiser) of made-up crowds that lie on the device already, with
  and without `torch.compile` and channels last: images a second, floating-point operations, memory, and the ten
  kernels that take most time;
* with `--data-root`, `personlab bench train` on real images: what of it the device spends waiting for data.

`--device cpu` with small numbers tries the script where there is no GPU.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.autograd.profiler_util import FunctionEventAvg
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.commands import parse, told
from personlab.encoding import Encoder
from personlab.evaluation.scenes import crowds, median_ms
from personlab.experiments.provenance import provenance
from personlab.files import write_json
from personlab.losses import Objective
from personlab.network import PersonLab, ResNet
from personlab.structures import Batch

Row = dict[str, Any]
RESULTS = Path(__file__).parent / "results" / "gpu_train.json"
CONFIG = "configs/experiment/paper_r101.yaml"
PEOPLE = 5
"""On each made-up image; COCO's images with people have about four."""


class Step:
    """A step of training on a batch that lies on the device.

    Args:
        options: Of the command line.
        channels_last: Whether the network's tensors have their channels last in memory.
        compiled: Whether the network is compiled.
    """

    def __init__(self, options: argparse.Namespace, channels_last: bool, compiled: bool) -> None:
        """Build network and optimiser; nothing is compiled yet."""
        torch.manual_seed(0)
        self.device = torch.device(options.device)
        network = PersonLab(ResNet(options.depth, output_stride=16, norm="frozen"), mid_supervision=True)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.network = network.to(self.device).to(memory_format=layout).train()  # type: ignore[call-overload]
        self.encode, self.objective = Encoder(), Objective()
        # No step: made-up people and random weights would soon make numbers that are none.
        self.optimizer = torch.optim.SGD((p for p in network.parameters() if p.requires_grad), lr=0.0, momentum=0.9)
        if compiled:
            self.network.compile_supervised()

    def loss(self, batch: Batch) -> torch.Tensor:
        """The loss of a batch, in bfloat16 where `personlab fit` would."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            predicted = self.network.forward_supervised(batch.images)
        targets = {stride: self.encode(batch, stride) for stride in {fields.stride for fields in predicted}}
        return self.objective(predicted, [targets[fields.stride] for fields in predicted])["total"]

    def __call__(self, batch: Batch) -> torch.Tensor:
        """One step."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(batch)
        loss.backward()
        self.optimizer.step()
        return loss.detach()


def matrix_rate(device: torch.device, side: int, runs: int) -> float:
    """Floating-point operations a second of a product of two square matrices, in bfloat16 (float32 on a CPU)."""
    kind = torch.bfloat16 if device.type == "cuda" else torch.float32
    a, b = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
    return 2 * side**3 / (1e-3 * median_ms(lambda: a @ b, runs, str(device)))


def operations(step: Step, batch: Batch) -> float:
    """Floating-point operations of convolutions and products, forward and backward, of a step."""
    with FlopCounterMode(display=False) as counter:
        step.loss(batch).backward()
    return float(counter.get_total_flops())


def measure(options: argparse.Namespace, batch: Batch, channels_last: bool, compiled: bool) -> Row:
    """One way of training: how fast, how much memory."""
    step = Step(options, channels_last, compiled)
    loss = float(step(batch))  # compiles
    if loss != loss:
        raise SystemExit("gpu_train: the loss is not a number, and what is computed on such is not timed")
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
    step = Step(options, row["channels_last"], row["compiled"])
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
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: Row = json.loads(done.stdout)
    names = ("images_per_s", "step_ms", "parts_ms", "encode_share", "wait_share", "workers", "batch")
    return {name: found[name] for name in names}


def main() -> None:
    """Measure, tell, and write JSON."""
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
    device = torch.device(options.device)
    default = ("--json",) if options.json.resolve() == RESULTS else ()
    command = told(["python", "-m", "benchmarks.gpu_train", *sys.argv[1:]], without=default)
    about = provenance(command, options.device)
    batch = crowds(PEOPLE, options.batch, (options.crop, options.crop))
    batch.images.random_(0, 256)  # what is zero costs a chip less power, and it may run faster for it
    batch = batch.to(device)
    rate = matrix_rate(device, options.matrix, options.steps)
    flops = operations(Step(options, True, False), batch) / len(batch)
    rows = []
    for compiled, channels_last in itertools.product((False, True)[: 1 + (not options.no_compile)], (False, True)):
        row = measure(options, batch, channels_last, compiled)
        row["share_of_rate"] = row["images_per_s"] * flops / rate
        rows.append(row)
        sys.stderr.write(
            f"channels last {channels_last}, compiled {compiled}: {row['images_per_s']:.1f} images/s, "
            f"{100 * row['share_of_rate']:.0f} % of {rate / 1e12:.1f} TFLOP/s\n"
        )
    fastest = max(rows, key=lambda row: row["images_per_s"])
    result = {
        **about, "depth": options.depth, "crop": options.crop, "batch": options.batch, "people": PEOPLE,
        "matrix_flops_per_s": rate, "flops_per_image": flops, "runs": options.steps, "rows": rows,
        "kernels": kernels(options, batch, fastest),
        "on_images": on_images(options) if options.data_root else None,
    }  # fmt: skip
    write_json(options.json, result)
    for kernel in result["kernels"]:
        sys.stderr.write(f"{kernel['ms']:9.2f} ms {100 * kernel['share']:5.1f} % {kernel['kernel']}\n")


if __name__ == "__main__":
    main()
