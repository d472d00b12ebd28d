"""`personlab weights`: taking weights out of runs, importing released ones, looking into files."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from omegaconf import OmegaConf

from personlab.cli.options import choose_command, make_parser, write_result
from personlab.errors import InputError
from personlab.files import sha256
from personlab.weights.files import load_weights, save_weights
from personlab.weights.inspection import inspect_weights
from personlab.weights.network_file import network_state, save_network, weights_path
from personlab.weights.tfjs import import_tfjs
from personlab.weights.torchvision_file import Architecture, import_torchvision

logger = logging.getLogger("personlab")
COMMANDS = ("extract", "import", "inspect")
_FORMATS = ("tfjs", "torchvision")
_UNKNOWN_LICENCE = "unknown; see where the file came from"


def run(words: list[str]) -> int:
    """Run `personlab weights COMMAND`."""
    command = choose_command(words, COMMANDS)
    return {"extract": _extract, "import": _import, "inspect": _inspect}[command](words[2:])


def _extract(words: list[str]) -> int:
    parser = make_parser("weights extract", "Write the network of a run's checkpoint as one safetensors file.")
    parser.add_argument("checkpoint", type=str, help="a checkpoint in a run directory")
    parser.add_output("-o", "--output", type=str, required=True, help="file to write, ending in .safetensors")
    parser.add_argument("--half", type=bool, default=False, help="store float16")
    parser.add_argument(
        "--weights", type=Literal["ema", "raw"], default="ema", help="the averages that runs are scored by, or the raw"
    )
    arguments = parser.parse_args(words)
    averaged = arguments.weights == "ema"
    result = extract(Path(arguments.checkpoint), Path(arguments.output), arguments.half, averaged)
    write_result(result, arguments.json)
    return 0


def _import(words: list[str]) -> int:
    parser = make_parser(
        "weights import",
        "Write released weights as one safetensors file: a PoseNet or BodyPix (tfjs) as a whole network, an ImageNet "
        "file (torchvision) as a backbone for --model.initial_weights imagenet:FILE.",
    )
    parser.add_argument("format", type=str, help=f"format of the file: {', '.join(_FORMATS)}")
    parser.add_argument("file", type=str, help="tfjs: model.json, beside its shards; torchvision: a .pth file")
    parser.add_output("-o", "--output", type=str, required=True, help="file to write, ending in .safetensors")
    parser.add_argument(
        "--architecture", type=str | None, default=None, help=f"torchvision's: {', '.join(get_args(Architecture))}"
    )
    parser.add_argument("--licence", type=str, default=_UNKNOWN_LICENCE, help="kept in the file")
    parser.add_argument("--half", type=bool, default=False, help="store float16")
    arguments = parser.parse_args(words)
    source, output, licence = Path(arguments.file), Path(arguments.output), arguments.licence
    if arguments.format == "tfjs":
        if arguments.architecture is not None:
            raise InputError("weights import tfjs: --architecture is for torchvision files; a graph tells its own")
        _save_tfjs(source, output, licence, arguments.half)
    elif arguments.format == "torchvision":
        if arguments.architecture is None:
            raise InputError(f"weights import torchvision: give --architecture {'|'.join(get_args(Architecture))}")
        _save_torchvision(source, arguments.architecture, output, licence, arguments.half)
    else:
        raise InputError(f"weights import: no format {arguments.format!r}; there are {', '.join(_FORMATS)}")
    found = inspect_weights(output)
    logger.info("%s: %s, %.2f MB", output, found["backbone"], found["bytes"] / 1e6)
    write_result(found, arguments.json)
    return 0


def _save_tfjs(source: Path, output: Path, licence: str, half: bool) -> None:
    found = import_tfjs(source)
    metadata = {**found.metadata, "licence": licence}
    save_network(output, found.architecture, found.state, metadata, half=half, decoder=found.decoder)
    logger.info("%s: heads %s", source, ", ".join(json.loads(metadata["heads"])))
    for name, what in json.loads(metadata["skipped_heads"]).items():
        logger.info("%s: left out %s: %s, which a PersonLab does not have", source, name, what)
    if not found.decoder["init_args"]["masks"]:
        logger.info("%s: has no heads for masks, so there will be poses alone; they can be trained", source)


def _save_torchvision(source: Path, architecture: str, output: Path, licence: str, half: bool) -> None:
    built, state = import_torchvision(source, architecture)  # type: ignore[arg-type]
    metadata = {
        "backbone": json.dumps(built),
        "source_format": "torchvision",
        "source_file": source.name,
        "source_sha256": sha256(source),
        "licence": licence,
    }
    save_weights(output, state, metadata, half=half)
    logger.info("%s: %d tensors of %s", source, len(state), architecture)


def _inspect(words: list[str]) -> int:
    parser = make_parser("weights inspect", "Tell what a weight file holds.")
    parser.add_argument("file", type=str, help="a .safetensors file, a checkpoint or a .pth file")
    arguments = parser.parse_args(words)
    # A checkpoint holds tensors alone; its run's config tells the network.
    run_directory = _run_of(Path(arguments.file)) if arguments.file.endswith(".ckpt") else None
    architecture = _model_of(run_directory.config)["network"] if run_directory is not None else None
    found = inspect_weights(arguments.file, architecture)
    if arguments.json != "-":
        sys.stdout.write(_as_text(found))
    write_result(found, arguments.json)
    return 0


def _as_text(found: dict[str, Any]) -> str:
    """One line a fact; of nested ones, a line an entry."""
    rows: list[tuple[str, Any]] = []
    for name, value in found.items():
        label = name.replace("_", " ")
        if name == "heads":
            for head, told in value.items():
                untrained = "" if told["trained"] else ", not in the released network: zero"
                rows.append(("head", f"{head}: {told['channels']} channels{untrained}"))
        elif name == "edges":
            rows.append((label, ", ".join(" - ".join(edge) for edge in value)))
        elif name == "architecture":
            of_backbone = value["init_args"].get("backbone", value)
            rows += [("backbone's", f"{key}: {told}") for key, told in of_backbone["init_args"].items()]
        elif name == "output_strides":
            rows.append((label, f"{', '.join(map(str, value))} (what it can run at, by the same weights)"))
        elif name == "missing":
            rows.append((label, f"{value} tensors of the {found['holds']} are not in the file"))
        elif isinstance(value, dict):
            rows += [(label, f"{key}: {json.dumps(told).strip(chr(34))}") for key, told in value.items()]
        else:
            rows.append((label, ", ".join(map(str, value)) if isinstance(value, list) else value))
    return "".join(f"{label:16}{text}\n" for label, text in rows)


def extract(checkpoint: Path, output: Path, half: bool, averaged: bool = True) -> dict[str, Any]:
    """Write a checkpoint's network with its architecture, the decoder of its run and where it comes from.

    Raises:
        InputError: If the checkpoint does not lie in a run directory or cannot be read.
    """
    run_directory = _run_of(checkpoint)
    if run_directory is None:
        raise InputError(f"{checkpoint}: lies in no run directory; give runs/NAME/ID/checkpoints/FILE.ckpt")
    card = json.loads(run_directory.card.read_text(encoding="utf-8"))
    evaluation = run_directory.path / "evaluation.json"
    metadata = {
        "run_id": run_directory.run_id,
        "commit": str(card.get("git", {}).get("commit", "")),
        "config_hash": str(card["config_hash"]),
        "seed": str(card["seed"]),
        "weights": "ema" if averaged else "raw",
        "evaluation": _evaluation_of(checkpoint, evaluation, "ema" if averaged else "raw"),
    }
    model = _model_of(run_directory.config)
    metadata |= start_of(model.get("initial_weights"))
    state = network_state(checkpoint, averaged)
    save_network(output, model["network"], state, metadata, half=half, decoder=model.get("decoder"))
    size = output.stat().st_size
    logger.info("%s: %.2f MB", output, size / 1e6)
    return {"file": str(output), "bytes": size, **metadata}


def start_of(initial_weights: str | None) -> dict[str, str]:
    """What a file of trained weights should say about those that the training started from.

    Args:
        initial_weights: As in a config under `model.initial_weights`.

    Returns:
        `source_started_from` (the file's name), `source_started_from_sha256`, and the file's `licence` if it names one:
        whoever trains weights on is bound by it. Hash and licence are left out where the file is no longer there.
    """
    if initial_weights in (None, "none"):
        return {}
    path = weights_path(str(initial_weights).removeprefix("imagenet:"))
    found = {"source_started_from": path.name}
    if path.is_file():
        found["source_started_from_sha256"] = sha256(path)
        if path.suffix == ".safetensors" and (licence := load_weights(path)[1].get("licence")):
            found["licence"] = licence
    return found


def _run_of(checkpoint: Path) -> Any:
    """The run directory that a checkpoint lies in, if it has a config."""
    # Runs bring lightning along, which takes seconds: only those who ask for a run pay for it.
    from personlab.experiments.runs import RunDirectory

    found = RunDirectory.of_checkpoint(checkpoint)
    return found if found is not None and found.config.is_file() else None


def _model_of(config: Path) -> Any:
    return OmegaConf.to_container(OmegaConf.load(config), resolve=False)["model"]  # type: ignore[call-overload,index]


def _evaluation_of(checkpoint: Path, evaluation: Path, weights: str) -> str:
    """The scores of a run, if they are those of this checkpoint's weights; a run keeps the last ones only."""
    if not evaluation.is_file():
        return ""
    text = evaluation.read_text(encoding="utf-8")
    step = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True).get("global_step")
    scores = json.loads(text)
    return text if (scores.get("step"), scores.get("weights", "ema")) == (step, weights) else ""
