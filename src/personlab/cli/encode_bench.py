"""`personlab bench encode`: how long it takes to make targets, by people and threads."""

from __future__ import annotations

import logging
import os
import shlex
import statistics
from typing import Any

import torch

from personlab.cli.options import make_parser, write_result
from personlab.data.warp import check_sides
from personlab.devices import check_device
from personlab.encoding import Encoder
from personlab.errors import InputError
from personlab.evaluation.scenes import crowds, times_ms
from personlab.experiments.provenance import provenance
from personlab.geometry.cells import valid_size
from personlab.structures import MAX_PEOPLE

logger = logging.getLogger("personlab")

PEOPLE = (1, 10, 50)
SIZE = (401, 401)
STRIDE = 8
QUOTED_MS = {1: 15.0, 10: 135.0, 50: 476.0}
"""Milliseconds an image of openpifpaf's encoder by people, at 401x401 pixels and stride 8, as they were told to us.

Quoted, not measured here: on another machine, and for its own fields, which are not PersonLab's."""


def run(words: list[str]) -> int:
    """Run `personlab bench encode`."""
    parser = make_parser("bench encode", "Median time an image to make the targets of a batch, by people and threads.")
    parser.add_argument("--people", type=int | list[int], default=list(PEOPLE), help="people an image, one or several")
    parser.add_argument("--batch", type=int | list[int], default=[1, 8], help="images a batch, one or several")
    parser.add_argument("--size", type=list[int], default=list(SIZE), help="[height, width] of the images")
    parser.add_argument("--stride", type=int, default=STRIDE, help="output stride")
    parser.add_argument("--device", type=str, default="cpu", help="where the batch lies")
    parser.add_argument(
        "--threads", type=int | list[int] | None, default=None, help="default: 1 and all; 1 on any device but the CPU"
    )
    parser.add_argument("--runs", type=int, default=31, help="runs; their median is reported")
    options = parser.parse_args(words)
    every = sorted({1, os.cpu_count() or 1}) if options.device == "cpu" else [1]
    asked = {name: getattr(options, name) for name in ("people", "batch", "stride", "runs", "size")}
    asked["threads"] = every if options.threads is None else options.threads
    asked = {name: value if isinstance(value, list) else [value] for name, value in asked.items()}
    for name, values in asked.items():
        if min(values, default=0) < 1:
            raise InputError(f"bench encode: --{name} must be at least 1, got {min(values, default='nothing')}")
    _check_size(asked["size"], options.stride)
    if max(asked["people"]) > MAX_PEOPLE:
        raise InputError(f"bench encode: --people must be {MAX_PEOPLE} or fewer")
    check_device(options.device)
    about = provenance(shlex.join(["personlab", "bench", "encode", *words]), options.device)
    before = torch.get_num_threads()
    rows: list[dict[str, Any]] = []
    try:
        for threads in asked["threads"]:
            torch.set_num_threads(threads)
            for images in asked["batch"]:
                rows += [_row(people, images, threads, options) for people in asked["people"]]
    finally:
        torch.set_num_threads(before)
    write_result({**about, "device": options.device, "runs": options.runs, "rows": rows}, options.json)
    return 0


def _check_size(size: list[int], stride: int) -> None:
    if len(size) != 2:
        raise InputError(f"bench encode: --size {size}: give [height, width]")
    check_sides(size, "bench encode: --size")
    if fitting := [valid_size(n, stride) for n in size if valid_size(n, stride) != n]:
        raise InputError(f"bench encode: --size {size}: must be n * {stride} + 1, such as {fitting[0]}")


def _row(people: int, images: int, threads: int, options: Any) -> dict[str, Any]:
    """Time one batch."""
    height, width = options.size
    batch = crowds(people, images, (height, width)).to(options.device)
    encoder = Encoder()
    times = [ms / images for ms in times_ms(lambda: encoder(batch, options.stride), options.runs, options.device)]
    quoted = QUOTED_MS.get(people) if (tuple(options.size), options.stride) == (SIZE, STRIDE) else None
    median = statistics.median(times)
    row = {
        "people": people, "size": [height, width], "stride": options.stride, "threads": threads, "batch": images,
        "encode_ms": median, "fastest_ms": min(times), "quoted_ms": quoted,
        "times_quoted": None if quoted is None else quoted / median,
    }  # fmt: skip
    told = "" if quoted is None else f", {quoted / median:.0f} times less than openpifpaf's quoted {quoted:g} ms"
    logger.info("%d people, batch %d, %d threads: %.2f ms an image%s", people, images, threads, median, told)
    return row
