"""`personlab bench`: how long a stage takes."""

from __future__ import annotations

import logging
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from personlab.cli import tune
from personlab.cli.decode import Rules, make_decoder
from personlab.cli.options import choose_command, make_parser, write_result
from personlab.decoding import Decoder
from personlab.decoding.paper import Engine
from personlab.decoding.rules.layout import read_fields
from personlab.errors import InputError
from personlab.evaluation.scenes import Scene, crowd_scene, times_ms
from personlab.geometry import affine

logger = logging.getLogger("personlab")

COMMANDS = ("decode", "tune")
PEOPLE = (1, 2, 5, 10, 20, 50)
MAX_PEOPLE = 100


def run(words: list[str]) -> int:
    """Run `personlab bench COMMAND`."""
    return {"decode": decode, "tune": tune.run}[choose_command(words, COMMANDS)](words[2:])


def decode(words: list[str]) -> int:
    """Run `personlab bench decode`."""
    parser = make_parser("bench decode", "Median time to decode fields that lie in memory, by people and stride.")
    parser.add_argument(
        "--scenes", type=str | None, default=None, help="folder of fields (.npz); default: made-up crowds"
    )
    parser.add_argument("--rules", type=list[Rules], default=["paper"], help="whose rules, one or several")
    parser.add_argument("--engine", type=Engine, default="auto", help="engine of the paper's rules")
    parser.add_argument("--device", type=str, default="cpu", help="where the fields lie")
    parser.add_argument("--batch", type=int, default=1, help="images decoded at once; times are for one image")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=15, help="the median of so many is told")
    options = parser.parse_args(words)
    for name in ("runs", "threads", "batch"):
        if getattr(options, name) < 1:
            raise InputError(f"bench decode: --{name} must be at least 1, got {getattr(options, name)}")
    torch.set_num_threads(options.threads)
    scenes = load_scenes(options.scenes)
    rows = []
    for scene in scenes:
        for rules in options.rules:
            row = _time(scene, rules, options)
            rows.append(row)
            masks = "" if row["masks_ms"] is None else f", masks {row['masks_ms']:.2f} ms"
            logger.info("%-20s %-8s poses %.2f ms%s", scene.name, rules, row["poses_ms"], masks)
    write_result(
        {"threads": options.threads, "runs": options.runs, "device": options.device, "rows": rows}, options.json
    )
    return 0


def load_scenes(folder: str | None) -> list[Scene]:
    """The fields of a folder, or made-up crowds of 1 to 50 people at stride 8 and 16.

    Raises:
        InputError: If the folder holds no fields.
    """
    if folder is None:
        return [crowd_scene(people, stride) for stride in (8, 16) for people in PEOPLE]
    paths = sorted(Path(folder).glob("*.npz"))
    if not paths:
        raise InputError(f"{folder}: holds no .npz of fields; leave --scenes out for made-up ones")
    return [Scene(path.stem, _people_in(path), read_fields(path)) for path in paths]


def _people_in(path: Path) -> int:
    digits = path.stem.partition("_")[0].lstrip("n")
    return int(digits) if digits.isdigit() else 0


def _time(scene: Scene, rules: str, options: Any) -> dict[str, Any]:
    fields = scene.fields.to(options.device, torch.float32)
    names = [name for name, value in vars(fields).items() if isinstance(value, torch.Tensor)]
    fields = replace(fields, **{name: getattr(fields, name).repeat_interleave(options.batch, 0) for name in names})
    arguments = (fields, affine.identity()[None].repeat(options.batch, axis=0), [scene.size] * options.batch)

    def timed(decoder: Decoder) -> float:
        # Decoding ends with people on the CPU: the device has nothing left to do then.
        return statistics.median(times_ms(lambda: decoder(*arguments), options.runs)) / options.batch

    given = {"engine": options.engine} if rules == "paper" else {}
    poses = make_decoder(rules, masks=False, max_people=MAX_PEOPLE, **given)
    row: dict[str, Any] = {"scene": scene.name, "people": scene.people, "stride": scene.fields.stride, "rules": rules}
    row["found"] = len(poses(*arguments)[0])
    row["poses_ms"] = timed(poses)
    row["masks_ms"] = None
    if rules != "tfjs":
        row["masks_ms"] = timed(make_decoder(rules, masks=True, max_people=MAX_PEOPLE, **given)) - row["poses_ms"]
    return row
