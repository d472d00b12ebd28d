"""`personlab weights`: taking weights out of runs."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from personlab.cli.options import make_parser, write_result
from personlab.errors import InputError
from personlab.experiments.runs import RunDirectory
from personlab.weights.network_file import network_state, save_network

logger = logging.getLogger("personlab")
COMMANDS = ("extract",)


def run(words: list[str]) -> int:
    """Run `personlab weights COMMAND`."""
    if len(words) < 2 or words[1] not in COMMANDS:
        raise InputError(f"personlab weights needs a command: {', '.join(COMMANDS)}")
    parser = make_parser("weights extract", "Write the network of a run's checkpoint as one safetensors file.")
    parser.add_argument("checkpoint", type=str, help="a checkpoint in a run directory")
    parser.add_argument("-o", "--output", type=str, required=True, help="file to write, ending in .safetensors")
    parser.add_argument("--half", type=bool, default=False, help="store float16")
    arguments = parser.parse_args(words[2:])
    result = extract(Path(arguments.checkpoint), Path(arguments.output), arguments.half)
    write_result(result, arguments.json)
    return 0


def extract(checkpoint: Path, output: Path, half: bool) -> dict[str, Any]:
    """Write a checkpoint's network with its architecture, the decoder of its run and where it comes from.

    Raises:
        InputError: If the checkpoint does not lie in a run directory or cannot be read.
    """
    run_directory = RunDirectory.of_checkpoint(checkpoint)
    if run_directory is None or not run_directory.config.is_file():
        raise InputError(f"{checkpoint}: lies in no run directory; give runs/NAME/ID/checkpoints/FILE.ckpt")
    config: Any = OmegaConf.to_container(OmegaConf.load(run_directory.config), resolve=False)
    card = json.loads(run_directory.card.read_text(encoding="utf-8"))
    evaluation = run_directory.path / "evaluation.json"
    metadata = {
        "run_id": run_directory.run_id,
        "commit": str(card.get("git", {}).get("commit", "")),
        "config_hash": str(card["config_hash"]),
        "seed": str(card["seed"]),
        "evaluation": _evaluation_of(checkpoint, evaluation),
    }
    model = config["model"]
    save_network(output, model["network"], network_state(checkpoint), metadata, half=half, decoder=model.get("decoder"))
    size = output.stat().st_size
    logger.info("%s: %.2f MB", output, size / 1e6)
    return {"file": str(output), "bytes": size, **metadata}


def _evaluation_of(checkpoint: Path, evaluation: Path) -> str:
    """The scores of a run, if they are those of this checkpoint; a run keeps the last ones only."""
    if not evaluation.is_file():
        return ""
    text = evaluation.read_text(encoding="utf-8")
    step = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True).get("global_step")
    return text if json.loads(text).get("step") == step else ""
