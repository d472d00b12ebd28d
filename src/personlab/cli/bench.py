"""`personlab bench`: how long a stage takes."""

from __future__ import annotations

import logging
import shlex
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from personlab.cli import encode_bench, loader_bench, train_bench, tune
from personlab.cli.decode import Rules, make_decoder
from personlab.cli.options import choose_command, make_parser, write_result
from personlab.data.warp import check_sides
from personlab.decoding import Decoder
from personlab.decoding.paper import Engine
from personlab.decoding.rules.layout import read_fields
from personlab.devices import check_device
from personlab.errors import InputError
from personlab.evaluation.scenes import SIZE, Scene, crowd_scene, times_ms
from personlab.experiments.provenance import provenance
from personlab.geometry import affine
from personlab.geometry.cells import valid_size
from personlab.network import PersonLab
from personlab.structures import Fields
from personlab.weights.network_file import load_network, weights_path

logger = logging.getLogger("personlab")

COMMANDS = ("decode", "encode", "loader", "train", "tune")
PEOPLE = (1, 2, 5, 10, 20, 50)
STRIDES = (8, 16)
MAX_PEOPLE = 100
"""People a benchmark may have in an image: so many the decoders are asked for."""
_T = TypeVar("_T")


def run(words: list[str]) -> int:
    """Run `personlab bench COMMAND`."""
    commands = {
        "decode": decode, "encode": encode_bench.run, "loader": loader_bench.run, "train": train_bench.run,
        "tune": tune.run,
    }  # fmt: skip
    return commands[choose_command(words, COMMANDS)](words[2:])


def decode(words: list[str]) -> int:
    """Run `personlab bench decode`."""
    parser = make_parser(
        "bench decode",
        "Median time to decode fields that lie in memory, by people, stride and threads, and that of the network.",
    )
    some = int | list[int] | None
    parser.add_argument(
        "--scenes", type=str | None, default=None, help="folder of fields (.npz); default: synthetic crowds"
    )
    parser.add_argument("--people", type=some, default=None, help=f"sizes of the crowds; default: {list(PEOPLE)}")
    parser.add_argument("--stride", type=some, default=None, help=f"their output strides; default: {list(STRIDES)}")
    parser.add_argument(
        "--size", type=list[int] | None, default=None, help=f"[height, width] of their images; default: {list(SIZE)}"
    )
    parser.add_argument("--rules", type=Rules | list[Rules], default="paper", help="whose rules, one or several")
    parser.add_argument(
        "--engine", type=Engine | list[Engine], default="auto", help="engine of the paper's rules, one or several"
    )
    parser.add_argument("--device", type=str, default="cpu", help="where the fields lie and the network runs")
    parser.add_argument("--threads", type=some, default=None, help="default: [1, 2]; 1 on any device but the CPU")
    parser.add_argument(
        "--batch", type=int | None, default=None, help="images decoded at once, times are for one; default: the threads"
    )
    parser.add_argument("--weights", type=str, default="embedded", help="network to time: embedded, none or its file")
    parser.add_argument("--runs", type=int, default=15, help="runs; their median is reported")
    options = parser.parse_args(words)
    options.threads = _several(options.threads, (1, 2) if options.device == "cpu" else (1,))
    counts = {"runs": [options.runs], "threads": options.threads, "batch": _several(options.batch, (1,))}
    for name, values in counts.items():
        if min(values, default=0) < 1:
            raise InputError(f"bench decode: --{name} must be at least 1, got {min(values, default='nothing')}")
    for name in ("rules", "engine"):
        if not _several(getattr(options, name), ()):
            raise InputError(f"bench decode: --{name} is an empty list; name one or several")
    check_device(options.device)
    about = provenance(shlex.join(["personlab", "bench", "decode", *words]), options.device)
    scenes = load_scenes(options.scenes, options.people, options.stride, options.size)
    network = None
    if options.weights != "none":
        network = load_network(weights_path(options.weights))[0].to(options.device)
    before = torch.get_num_threads()
    rows: list[dict[str, Any]] = []
    try:
        for threads in options.threads:
            torch.set_num_threads(threads)
            rows += _rows(scenes, network, options, threads)
    finally:
        torch.set_num_threads(before)
    write_result({**about, "device": options.device, "runs": options.runs, "rows": rows}, options.json)
    return 0


def load_scenes(
    folder: str | None,
    people: int | Sequence[int] | None = None,
    strides: int | Sequence[int] | None = None,
    size: Sequence[int] | None = None,
) -> list[Scene]:
    """The fields of a folder, or synthetic crowds.

    Args:
        folder: Where the fields (`.npz`) lie; None for crowds.
        people: Sizes of the crowds; 1 to 50 by default.
        strides: Output strides of the crowds; 8 and 16 by default.
        size: (height, width) of their images in pixels.

    Raises:
        InputError: If the folder holds no fields, a crowd cannot be made, or both are asked for.
    """
    if folder is None:
        counts, strides = _several(people, PEOPLE), _several(strides, STRIDES)
        if not counts or min(counts) < 1 or max(counts) > MAX_PEOPLE:
            raise InputError(f"--people {counts}: give numbers from 1 to {MAX_PEOPLE}")
        if not strides or min(strides) < 1:
            raise InputError(f"--stride {strides}: give numbers from 1 on")
        if size is not None and len(size) != 2:
            raise InputError(f"--size {list(size)}: give [height, width]")
        height, width = SIZE if size is None else size
        check_sides((height, width), "--size")
        return [crowd_scene(n, stride, size=(height, width)) for stride in strides for n in counts]
    if any(given is not None for given in (people, strides, size)):
        raise InputError("--scenes: fields have people, stride and size already; leave out --people, --stride, --size")
    paths = sorted(Path(folder).glob("*.npz"))
    if not paths:
        raise InputError(f"{folder}: holds no .npz of fields; leave --scenes out for synthetic ones")
    return [Scene(path.stem, _people_in(path), read_fields(path)) for path in paths]


def _several(given: _T | Sequence[_T] | None, otherwise: Sequence[_T]) -> list[_T]:
    """What an option that takes one value or a list was given."""
    if given is None:
        return list(otherwise)
    return list(given) if isinstance(given, list | tuple) else [given]  # type: ignore[list-item]


def _people_in(path: Path) -> int:
    digits = path.stem.partition("_")[0].lstrip("n")
    return int(digits) if digits.isdigit() else 0


def _rows(scenes: list[Scene], network: PersonLab | None, options: Any, threads: int) -> list[dict[str, Any]]:
    """Time all scenes with so many threads."""
    batch = options.batch or threads
    on_gpu = torch.device(options.device).type == "cuda"
    network_ms: dict[tuple[int, ...], float | None] = {}
    rows = []
    for scene in scenes:
        kind = (*scene.size, scene.fields.stride)
        if kind not in network_ms:
            network_ms[kind] = None if network is None else _network_ms(network, scene, batch, options)
            if network is not None and network_ms[kind] is None:
                logger.info("%s: the network has no stride %d, so it is not timed", scene.name, scene.fields.stride)
        for rules in _several(options.rules, ()):
            engines = _several(options.engine, ()) if rules == "paper" else ["numba"]
            for engine in dict.fromkeys(("torch" if on_gpu else "numba") if e == "auto" else e for e in engines):
                row = {
                    "scene": scene.name, "people": scene.people, "stride": scene.fields.stride, "size": scene.size,
                    "rules": rules, "engine": engine, "threads": threads, "batch": batch,
                    **_decoding_ms(scene, rules, engine, batch, options), "network_ms": network_ms[kind],
                }  # fmt: skip
                rows.append(row)
                told = [f"{k} {row[f'{k}_ms']:.2f} ms" for k in ("poses", "masks", "network") if row[f"{k}_ms"]]
                logger.info("%-20s %-8s %-6s %d threads: %s", scene.name, rules, engine, threads, ", ".join(told))
    return rows


def _network_ms(network: PersonLab, scene: Scene, batch: int, options: Any) -> float | None:
    """Median time of the network for an image of a scene's size, padded; None if it does not have the stride."""
    try:
        network.set_output_stride(scene.fields.stride)
    except InputError:
        return None
    size = [valid_size(n, network.backbone.size_multiple) for n in scene.size]
    images = torch.zeros(batch, 3, *size, dtype=torch.uint8, device=options.device)
    with torch.inference_mode():
        return statistics.median(times_ms(lambda: network(images), options.runs, options.device)) / batch


def _decoding_ms(scene: Scene, rules: str, engine: str, batch: int, options: Any) -> dict[str, Any]:
    """Median times of a scene's poses, and of its masks on top of them; people found; most memory of a GPU."""
    fields = _repeated(scene.fields.to(options.device, torch.float32), batch)
    arguments = (fields, affine.identity()[None].repeat(batch, axis=0), [scene.size] * batch)
    on_gpu = fields.heatmap_logits.device.type == "cuda"

    def timed(decoder: Decoder) -> float:
        return statistics.median(times_ms(lambda: decoder(*arguments), options.runs, options.device)) / batch

    given = {"engine": engine} if rules == "paper" else {}
    poses = make_decoder(rules, masks=False, max_people=MAX_PEOPLE, **given)
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(options.device)
    found, poses_ms, masks_ms = len(poses(*arguments)[0]), timed(poses), None
    if rules != "tfjs":
        masks_ms = timed(make_decoder(rules, masks=True, max_people=MAX_PEOPLE, **given)) - poses_ms
    memory = torch.cuda.max_memory_allocated(options.device) / 2**20 if on_gpu else None
    return {"found": found, "poses_ms": poses_ms, "masks_ms": masks_ms, "memory_peak_mib": memory}


def _repeated(fields: Fields, images: int) -> Fields:
    """The same image so many times."""
    names = [name for name, value in vars(fields).items() if isinstance(value, torch.Tensor)]
    return replace(fields, **{name: getattr(fields, name).repeat_interleave(images, 0) for name in names})
