"""Decode random scenes by our rules and by the released code: `python -m benchmarks.peers.agreement [--scenes N]`.

Scenes follow the recipe of the golden ones; each is decoded with several settings, and poses, scores, order and labels
of pixels must be the same. Every scene that differs is told with its seed; the exit status is 1 then. Needs Node.js.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.peers.recipe import VARIANTS, Recipe, make_scene, random_recipe
from benchmarks.peers.released import Peers
from personlab.decoding import BodyPixDecoder
from personlab.decoding.base import Poses
from personlab.decoding.rules.layout import read_fields
from personlab.structures import Fields

ATOL_PX, ATOL_SCORE = 2e-3, 1e-5
GOLDEN = ((100, 0.5, 20.0), (5, 0.5, 20.0), (10, 0.4, 20.0), (100, 0.5, 5.0))
"""Most people, score threshold and radius of the golden vectors."""
OTHERS = ((100, 0.3, 10.0), (3, 0.2, 40.0), (100, 0.7, 1.0), (20, 0.62, 0.0), (1, 0.0, 20.0), (40, 0.05, 3.5))
MATCHED = (5, 17)
LAYOUT = ("heatmap", "short", "fwd", "bwd", "long", "seg_logit")

Configuration = tuple[int, float, float]


@dataclass
class Outcome:
    """What came of a scene.

    Attributes:
        people: People compared, over all settings.
        pixels: Pixels of persons compared.
        differences: What differed.
    """

    people: int
    pixels: int
    differences: list[str]


def as_array(poses: Poses) -> NDArray[np.float64]:
    """Poses as (person, 18, 3): keypoints, then the score in the last row."""
    last = np.zeros((len(poses.scores), 1, 3))
    last[:, 0, 2] = poses.scores
    return np.concatenate([np.concatenate([poses.crop_xy, poses.keypoint_scores[..., None]], axis=-1), last], axis=1)


def difference(found: NDArray[np.float64], expected: NDArray[np.float64]) -> str | None:
    """How people differ, or None."""
    if len(found) != len(expected):
        return f"{len(found)} people for {len(expected)}"
    off = np.abs(found - expected)
    wrong = ((off[..., :2] > ATOL_PX).any(axis=(1, 2))) | ((off[..., 2] > ATOL_SCORE).any(axis=1))
    if not wrong.any():
        return None
    n = int(wrong.argmax())
    return (
        f"person {n} of {len(found)} (and {int(wrong.sum()) - 1} more) off by {off[n, :, :2].max():.3f} px "
        f"and {off[n, ..., 2].max():.6f}"
    )


def compare(peers: Peers, fields: Fields, size: tuple[int, int], settings: list[Configuration], masks: bool) -> Outcome:
    """Decode the scene that the peers have loaded by both, with every setting; masks with the last."""
    outcome = Outcome(0, 0, [])
    for number, (most, threshold, radius) in enumerate(settings):
        decoder = BodyPixDecoder(max_people=most, score_threshold=threshold, nms_radius_px=radius)
        poses = decoder.poses(fields)
        answer = peers.ask(decode=[most, threshold, radius])["poses"]
        rows = [[*keypoints, [0.0, 0.0, score]] for score, keypoints in answer]
        expected = np.array(rows, dtype=np.float64).reshape(len(rows), 18, 3)
        outcome.people += len(expected)
        told = difference(as_array(poses), expected)
        if told:
            outcome.differences.append(f"{(most, threshold, radius)}: {told}")
        elif masks and number == len(settings) - 1:
            for matched in MATCHED:
                runs = np.array(peers.ask(share=matched)["labels"]).reshape(-1, 2)
                labels = np.repeat(runs[:, 0], runs[:, 1]).reshape(size)
                decoder = BodyPixDecoder(matched_keypoints=matched)
                wrong = int((decoder.label_map(fields, poses) != labels).sum())
                outcome.pixels += int((labels >= 0).sum())
                if wrong:
                    outcome.differences.append(f"{matched} matched keypoints: {wrong} pixels differ")
    return outcome


def settings_of(recipe: Recipe) -> list[Configuration]:
    """The golden settings and two others; the last is one of the golden ones, whose masks are compared."""
    others = [OTHERS[(recipe.seed + step) % len(OTHERS)] for step in (0, 1)]
    return [*others, *GOLDEN[1:], GOLDEN[0]]


def main() -> None:
    """Compare, and tell what differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the first scene; the next ones follow")
    parser.add_argument("--masks-every", type=int, default=4, help="compare masks on each so manieth scene; 0: on none")
    parser.add_argument("--people", type=int, help="so many people in every scene, on the golden image sizes")
    parser.add_argument("--variant", choices=VARIANTS, help="only this variant")
    options = parser.parse_args()
    torch.set_num_threads(1)
    peers = Peers()
    differing = people = pixels = 0
    for seed in range(options.seed, options.seed + options.scenes):
        recipe = random_recipe(seed)
        if options.people:
            width = 400 if options.people <= 5 else 640
            height = 400 if options.people <= 5 else 480
            cells = (height // recipe.stride + 1, width // recipe.stride + 1)
            recipe = replace(recipe, people=options.people, cells=cells)
        recipe = replace(recipe, variant=options.variant or recipe.variant)
        scene = make_scene(recipe)
        with tempfile.TemporaryDirectory() as folder:
            peers.load({name: scene[name] for name in LAYOUT}, recipe.size, recipe.stride, Path(folder))
            path = Path(folder) / "scene.npz"
            np.savez(path, **scene)  # type: ignore[arg-type]
            fields = read_fields(path)
        masks = options.masks_every > 0 and seed % options.masks_every == 0
        outcome = compare(peers, fields, recipe.size, settings_of(recipe), masks)
        people, pixels = people + outcome.people, pixels + outcome.pixels
        differing += bool(outcome.differences)
        for told in outcome.differences:
            sys.stdout.write(f"{recipe.name}: {told}\n")
    sys.stdout.write(f"{options.scenes} scenes, {people} people, {pixels} pixels of persons: {differing} differ\n")
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
