"""Time our decoder beside the released ones: `python -m benchmarks.peers [--scenes DIR] [--json FILE]`.

Needs Node.js; installs `@tensorflow-models/posenet` and `@tensorflow-models/body-pix` below `benchmarks/peers` from npm
the first time. Both sides decode fields that lie in memory, in one thread, a few runs each by turns; told are median
and quartiles of all runs. Peers' masks are those of BodyPix's CPU code matching all 17 keypoints, from the binary mask
of persons on; ours include that step.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.commands import parse, told
from benchmarks.peers.released import HERE, Peers
from benchmarks.tables import peers_table
from personlab.cli.bench import MAX_PEOPLE, load_scenes
from personlab.decoding import PaperDecoder
from personlab.evaluation.scenes import Scene
from personlab.experiments.provenance import provenance
from personlab.files import write_json
from personlab.geometry import affine
from personlab.visualization.fields import upscale

RUNS_A_TURN = 20
PERSON = 0.7
"""BodyPix's threshold for pixels of persons."""


def load(peers: Peers, scene: Scene, folder: Path) -> None:
    """Hand a scene over, in the layout of the released models."""
    fields = scene.fields
    edges = fields.mid_offsets.shape[1] // 2

    def vectors(offsets: torch.Tensor) -> torch.Tensor:
        return torch.cat([offsets[:, 1], offsets[:, 0]]).permute(1, 2, 0)

    maps = {
        "heatmap": fields.heatmaps[0].permute(1, 2, 0),
        "short": vectors(fields.short_offsets[0]),
        "fwd": vectors(fields.mid_offsets[0, :edges]),
        "bwd": vectors(fields.mid_offsets[0, edges:]),
        "long": vectors(fields.long_offsets[0]),
        "persons": upscale(fields.segmentation[0, 0].numpy(), fields.stride) > PERSON,
    }
    peers.load(maps, scene.size, fields.stride, folder)


@dataclass
class Times:
    """Milliseconds of all runs on one scene."""

    ours_poses: list[float] = field(default_factory=list)
    ours_all: list[float] = field(default_factory=list)
    peer_poses: list[float] = field(default_factory=list)
    peer_masks: list[float] = field(default_factory=list)


def compare(scene: Scene, peers: Peers, turns: int) -> dict[str, Any]:
    """Time one scene on both sides by turns."""
    with tempfile.TemporaryDirectory() as folder:
        load(peers, scene, Path(folder))
    poses, everything = (PaperDecoder(masks=masks, max_people=MAX_PEOPLE) for masks in (False, True))
    arguments = (scene.fields, affine.identity()[None], [scene.size])
    times = Times()
    for turn in range(turns + 1):  # the first does not count: both sides compile on the way
        for decoder, kept in ((poses, times.ours_poses), (everything, times.ours_all)):
            for _ in range(RUNS_A_TURN):
                started = time.perf_counter()
                people = decoder(*arguments)[0]
                kept += [1e3 * (time.perf_counter() - started)] * (turn > 0)
        for kind, kept in (("poses", times.peer_poses), ("masks", times.peer_masks)):
            for _ in range(RUNS_A_TURN):
                answer = peers.ask(run=kind)
                kept += [answer["ms"]] * (turn > 0)
    ours_poses, ours_all, peer_poses, peer_masks = (statistics.median(values) for values in vars(times).values())
    ours_masks = ours_all - ours_poses
    names = ("poses_ms", "poses_and_masks_ms", "peer_poses_ms", "peer_masks_ms")
    return {
        "scene": scene.name, "people": scene.people, "stride": scene.fields.stride, "size": scene.size,
        "found": len(people), "peer_found": answer["people"],
        "poses_ms": ours_poses, "peer_poses_ms": peer_poses, "poses_ratio": peer_poses / ours_poses,
        "masks_ms": ours_masks, "peer_masks_ms": peer_masks, "masks_ratio": peer_masks / ours_masks,
        "quartiles": {name: quartiles(values) for name, values in zip(names, vars(times).values(), strict=True)},
    }  # fmt: skip


def quartiles(values: list[float]) -> list[float]:
    """The values that a quarter and three quarters of all are below."""
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return [low, high]


def versions() -> dict[str, str]:
    """Of Node.js and of the released decoders."""
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return {"node": node, **json.loads((HERE / "package.json").read_text())["dependencies"]}


def main() -> None:
    """Compare, print the table, and write what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", default=None, help="folder of fields (.npz); default: made-up crowds")
    parser.add_argument("--match", default="*", help="pattern of the scenes' names, such as n*_s08_noisy")
    parser.add_argument("--turns", type=int, default=5, help=f"of {RUNS_A_TURN} runs each")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parse(parser)
    if options.turns < 1:
        parser.error("--turns must be at least 1")
    torch.set_num_threads(1)
    about = provenance(told(["python", "-m", "benchmarks.peers", *sys.argv[1:]]))
    scenes = [scene for scene in load_scenes(options.scenes) if Path(scene.name).match(options.match)]
    if not scenes:
        parser.error(f"--match {options.match}: no scene is called so")
    peers = Peers()
    rows = []
    for scene in scenes:
        rows.append(compare(scene, peers, options.turns))
        row = rows[-1]
        sys.stderr.write(f"{scene.name}: poses {row['poses_ratio']:.1f}x, masks {row['masks_ratio']:.1f}x\n")
    sys.stdout.write(peers_table({"rows": rows}) + "\n")
    if options.json:
        runs = options.turns * RUNS_A_TURN
        write_json(options.json, {**about, "peers": versions(), "threads": 1, "runs": runs, "rows": rows})


if __name__ == "__main__":
    main()
