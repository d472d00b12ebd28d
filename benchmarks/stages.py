"""Time encoding and decoding on made-up crowds: `python -m benchmarks.stages [--json FILE]`.

Medians of several runs in one process, one thread, images of 641x481 pixels at stride 8. Fields are the true ones of
every crowd, so the decoder sees as many people as there are.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from personlab.decoding import PaperDecoder
from personlab.encoding import Encoder
from personlab.evaluation.oracle import true_fields
from personlab.structures import FIRST, Batch

HEIGHT, WIDTH, STRIDE = 481, 641, 8
STANDING = np.array(
    [
        (0, -0.80), (0.02, -0.83), (-0.02, -0.83), (0.05, -0.82), (-0.05, -0.82), (0.12, -0.65), (-0.12, -0.65),
        (0.18, -0.48), (-0.18, -0.48), (0.19, -0.32), (-0.19, -0.32), (0.08, -0.33), (-0.08, -0.33), (0.09, -0.12),
        (-0.09, -0.12), (0.09, 0.10), (-0.09, 0.10),
    ]
)  # fmt: skip
"""A standing person of height 1 around its middle, in the order of COCO's keypoints."""


def crowd(people: int, seed: int = 0) -> Batch:
    """One image with so many standing people, smaller the more there are, at random places."""
    rng = np.random.default_rng(seed)
    height_px = 380 / max(people, 1) ** 0.35
    keypoints = np.full((people, 17, 3), 2.0, np.float32)
    labels = np.zeros((3, HEIGHT, WIDTH), np.uint8)
    for p in range(people):
        middle = rng.uniform((0.1 * WIDTH, 0.8 * height_px), (0.9 * WIDTH, HEIGHT - 0.12 * height_px))
        keypoints[p, :, :2] = middle + STANDING * height_px * rng.uniform(0.8, 1.0)
        hull = cv2.convexHull(keypoints[p, :, :2].astype(np.int32))
        cv2.fillPoly(labels[FIRST], [hull], p + 1)
    return Batch(
        images=torch.zeros(1, 3, HEIGHT, WIDTH, dtype=torch.uint8),
        keypoints=torch.from_numpy(keypoints)[None],
        label_maps=torch.from_numpy(labels)[None],
        image_ids=torch.tensor([1]),
        image_sizes=torch.tensor([[HEIGHT, WIDTH]]),
        image_to_crop=torch.eye(2, 3, dtype=torch.float64)[None],
        sample_valid=torch.tensor([True]),
    )


def median_ms(function: Callable[[], object], runs: int) -> float:
    """Median time of a call, after two that do not count."""
    times = []
    for i in range(runs + 2):
        started = time.perf_counter()
        function()
        if i >= 2:
            times.append(1e3 * (time.perf_counter() - started))
    return statistics.median(times)


def main() -> None:
    """Print a table, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    encode, poses, both = Encoder(), PaperDecoder(masks=False, max_people=100), PaperDecoder(max_people=100)
    rows = []
    for people in (1, 10, 50):
        batch = crowd(people)
        fields = true_fields(batch, STRIDE)
        arguments = (fields, batch.image_to_crop, batch.image_sizes)
        row = {
            "people": people,
            "encode_ms": median_ms(lambda batch=batch: encode(batch, STRIDE), options.runs),
            "poses_ms": median_ms(lambda arguments=arguments: poses(*arguments), options.runs),
            "poses_and_masks_ms": median_ms(lambda arguments=arguments: both(*arguments), options.runs),
        }
        rows.append({key: round(value, 2) for key, value in row.items()})
    sys.stdout.write("| people | encode, ms | poses, ms | poses and masks, ms |\n|---|---|---|---|\n")
    for row in rows:
        sys.stdout.write("| " + " | ".join(str(value) for value in row.values()) + " |\n")
    if options.json:
        options.json.write_text(json.dumps({"image": [HEIGHT, WIDTH], "stride": STRIDE, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
