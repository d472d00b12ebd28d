"""Time a network by torch beside onnxruntime: `python -m benchmarks.onnx --weights W.safetensors [--json FILE]`.

Exports the network first. Both make the five fields of the same images, a few runs each by turns, with one thread and
with all of them; told are median and quartiles of all runs. Decoding is the same for both and not counted. Where other
work runs beside, set GOMP_SPINCOUNT=10000 as the program `personlab` does: otherwise torch's threads wait for each
other so eagerly that several take longer than one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks.commands import parse, told
from personlab.cli.export import export
from personlab.experiments.provenance import provenance
from personlab.files import sha256, write_json
from personlab.geometry.cells import valid_size
from personlab.inference.onnx_network import OnnxNetwork
from personlab.network import PersonLab
from personlab.weights.network_file import load_network, weights_path

SIZES = ((301, 401), (601, 801), (801, 801), (901, 1201))
"""Height and width of images before they are padded to what the network takes."""
RUNS_A_TURN = 3


def milliseconds(network: Callable[[torch.Tensor], Any], images: torch.Tensor) -> list[float]:
    """Of each run of one turn."""
    spent = []
    for _ in range(RUNS_A_TURN):
        started = time.perf_counter()
        network(images)
        spent.append(1e3 * (time.perf_counter() - started))
    return spent


@torch.inference_mode()
def compare(network: PersonLab, exported: Path, size: tuple[int, int], threads: int, turns: int) -> dict[str, Any]:
    """Time one size by turns."""
    torch.set_num_threads(threads)
    beside = OnnxNetwork(exported)  # with as many threads as torch has
    height, width = (valid_size(side, network.size_multiple) for side in size)
    images = torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    times: dict[str, list[float]] = {"torch": [], "onnxruntime": []}
    for turn in range(turns + 1):  # the first does not count: memory is laid out on the way
        for name, made in (("torch", network), ("onnxruntime", beside)):
            times[name] += milliseconds(made, images) * (turn > 0)
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {
        "size": [height, width], "threads": threads,
        "torch_ms": medians["torch"], "onnxruntime_ms": medians["onnxruntime"],
        "ratio": medians["torch"] / medians["onnxruntime"],
        "quartiles": {
            name: statistics.quantiles(values, n=4, method="inclusive")[::2] for name, values in times.items()
        },
    }  # fmt: skip


def main(given: Sequence[str] | None = None) -> None:
    """Compare, print the table, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="embedded", help="network: a .safetensors, or embedded")
    parser.add_argument("--stride", type=int, default=None, help="output stride; default: the network's")
    parser.add_argument("--threads", type=int, nargs="+", default=None, help="default: one, and one a core")
    parser.add_argument("--turns", type=int, default=10, help=f"of {RUNS_A_TURN} runs each")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    words = list(sys.argv[1:] if given is None else given)
    options = parse(parser, words)
    if options.turns < 1 or min(options.threads or [1]) < 1:
        parser.error("--turns and --threads must be at least 1")
    spin = os.environ.get("GOMP_SPINCOUNT")
    setting = [f"GOMP_SPINCOUNT={spin}"] if spin else []
    about = provenance(told([*setting, "python", "-m", "benchmarks.onnx", *words]))
    weights = weights_path(options.weights)
    network, _ = load_network(weights)
    if options.stride is not None:
        network.set_output_stride(options.stride)
    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder) / "network.onnx"
        result = export(weights, exported, options.stride, check=True)
        if not result["equal"]:
            sys.exit("onnxruntime makes other fields than torch: nothing to compare")
        rows = []
        for threads in options.threads or sorted({1, os.cpu_count() or 1}):
            for size in SIZES:
                rows.append(compare(network, exported, size, threads, options.turns))
                sys.stderr.write(f"{rows[-1]['size']}, {threads} threads: {rows[-1]['ratio']:.2f}x\n")
    sys.stdout.write("| image | threads | torch, ms | onnxruntime, ms | times faster |\n|---|---|---|---|---|\n")
    for row in rows:
        height, width = row["size"]
        sys.stdout.write(
            f"| {width}×{height} | {row['threads']} | {row['torch_ms']:.1f} | {row['onnxruntime_ms']:.1f} "
            f"| {row['ratio']:.2f} |\n"
        )
    if options.json:
        write_json(options.json, {
            **about,
            "packages": {name: version(name) for name in ("onnx", "onnxruntime", "onnxscript")},
            "weights": {"file": weights.name, "sha256": sha256(weights), "bytes": weights.stat().st_size},
            "onnx_bytes": result["bytes"], "output_stride": network.output_stride,
            "differences": result["differences"], "runs": options.turns * RUNS_A_TURN, "rows": rows,
        })  # fmt: skip


if __name__ == "__main__":
    main()
