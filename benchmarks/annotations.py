"""Time and memory of a large annotation file: `python -m benchmarks.annotations [--images 100000] [--json FILE]`.

Makes an annotation file as large as COCO's in a temporary folder, opens it in fresh processes (never opened before, and
once more), then lets 1 to 4 workers of a loader read all annotations of all images for two epochs and draw the label
maps of one image in twenty. There are no images: what is measured is the annotations. Last, the same without the cache.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.commands import parse, told
from personlab.experiments.memory import process_memory
from personlab.experiments.provenance import provenance
from personlab.files import write_json
from personlab.skeleton import COCO

Row = dict[str, Any]
WORKERS = (1, 2, 3, 4)
EPOCHS = 2
DRAWN = 20
"""The label map of one image in so many is drawn."""
_POLYGON_POINTS = (8, 64)
_HEIGHT, _WIDTH = 480, 640


def generate(path: Path, images: int, seed: int = 0) -> int:
    """Write an annotation file with people as numerous and polygons as long as COCO's; how many people it has."""
    rng = np.random.default_rng(seed)
    counts = np.minimum(rng.geometric(0.41, images), 20)  # 2.4 people an image
    rows = []
    for image, people in enumerate(counts.tolist()):
        rows += [_person(rng, image + 1, len(rows) + 1 + i) for i in range(people)]
    listed = [
        {"id": i + 1, "file_name": f"{i + 1:012d}.jpg", "height": _HEIGHT, "width": _WIDTH,
         "coco_url": f"http://images.cocodataset.org/train2017/{i + 1:012d}.jpg", "license": 3,
         "date_captured": "2013-11-18 06:56:10", "flickr_url": "http://farm8.staticflickr.com/7216/7200825264_af0f.jpg"}
        for i in range(images)
    ]  # fmt: skip
    category = {"id": 1, "name": "person", "keypoints": list(COCO.keypoint_names), "skeleton": []}
    path.write_text(json.dumps({"images": listed, "annotations": rows, "categories": [category]}), encoding="utf-8")
    return len(rows)


def _person(rng: np.random.Generator, image: int, identity: int) -> Row:
    centre_xy, reach_px = rng.uniform(0.2, 0.8, 2) * (_WIDTH, _HEIGHT), rng.uniform(20, 90)
    angle = np.linspace(0, 2 * np.pi, rng.integers(*_POLYGON_POINTS), endpoint=False)
    around = centre_xy + reach_px * rng.uniform(0.7, 1.0, (len(angle), 1)) * np.stack([np.cos(angle), np.sin(angle)], 1)
    keypoints = np.zeros((17, 3))
    if rng.random() < 0.57:  # as in COCO, others have a mask alone
        keypoints[:, :2] = np.rint(centre_xy + rng.uniform(-0.5, 0.5, (17, 2)) * reach_px)
        keypoints[:, 2] = rng.choice([0, 1, 2], 17, p=[0.35, 0.1, 0.55])
    (left, top), (right, bottom) = around.min(0).round(2).tolist(), around.max(0).round(2).tolist()
    polygon: Any = [around.round(2).flatten().tolist()]
    crowd = rng.random() < 0.015
    if crowd:
        polygon = {"size": [_HEIGHT, _WIDTH], "counts": [1000, 5000, _HEIGHT * _WIDTH - 6000]}
    return {
        "id": identity, "image_id": image, "category_id": 1, "iscrowd": int(crowd), "segmentation": polygon,
        "bbox": [left, top, round(right - left, 2), round(bottom - top, 2)], "area": round(reach_px**2, 4),
        "keypoints": keypoints.astype(int).flatten().tolist(), "num_keypoints": int((keypoints[:, 2] > 0).sum()),
    }  # fmt: skip


class Annotations:
    """A data set of what an annotation file says about each image, without its pixels."""

    def __init__(self, annotations: Any) -> None:
        self.annotations = annotations

    def __len__(self) -> int:
        return len(self.annotations)

    def __getitem__(self, ticket: Any) -> tuple[int, float]:
        from personlab.data.label_maps import rasterise

        image = ticket.sample
        size = self.annotations.size(image)
        total = 0.0
        for annotation in (*self.annotations.people(image), *self.annotations.crowds(image)):
            total += float(self.annotations.keypoints[annotation].sum() + self.annotations.boxes[annotation].sum())
            total += len((self.annotations.segmentations.rle(annotation, *size) or {"counts": b""})["counts"])
        if image % DRAWN == 0:
            total += int(rasterise(self.annotations, image).sum())
        return os.getpid(), total


def open_once(path: Path) -> Row:
    """How long it takes to open the file, and what the process weighs before and after; imports do not count."""
    from personlab.data.coco import read_annotations

    before = process_memory()
    started = time.perf_counter()
    annotations = read_annotations(path)
    seconds = time.perf_counter() - started
    kept = sum(array.nbytes for array in annotations.arrays().values())
    return {
        "seconds": seconds, "mapped": annotations.cached_in is not None, "arrays_mib": kept / 2**20,
        "memory_before": before, "memory": process_memory(),
    }  # fmt: skip


def read_with_workers(path: Path, workers: int) -> list[Row]:
    """Memory of the main process and of each worker after every epoch, and the images a second."""
    from personlab.data.coco import read_annotations
    from personlab.data.loader import BatchLoader
    from personlab.data.sampler import DeterministicSampler

    data = Annotations(read_annotations(path))
    sampler = DeterministicSampler(len(data))
    loader = BatchLoader(
        data, batch_size=64, sampler=sampler, num_workers=workers, persistent_workers=True, collate_fn=list
    )
    rows = []
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        processes: set[int] = set()
        started = time.perf_counter()
        for batch in loader:
            processes |= {process for process, _ in batch}
        seconds = time.perf_counter() - started
        rows.append(
            {
                "workers": workers, "epoch": epoch + 1, "images_per_s": len(data) / seconds, "main": process_memory(),
                "each": [process_memory(process) for process in sorted(processes)],
            }
        )  # fmt: skip
    return rows


def _in_a_process(stage: str, path: Path, cache: str, *words: str) -> Any:
    """One stage in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.annotations", "--stage", stage, "--file", str(path), *words]
    environment = {**os.environ, "PERSONLAB_CACHE": cache}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(folder: Path, images: int, workers: tuple[int, ...]) -> Row:
    """All stages, each in processes of its own."""
    path, cache = folder / "annotations.json", str(folder / "cache")
    people = generate(path, images)
    result: Row = {"images": images, "people": people, "json_mib": path.stat().st_size / 2**20, "epochs": EPOCHS}
    result["opened"] = {
        "first": _in_a_process("open", path, cache),
        "again": [_in_a_process("open", path, cache) for _ in range(3)],
        "without the cache": _in_a_process("open", path, "off"),
    }
    result["rows"] = []
    for kept, counts in ((cache, workers), ("off", workers[-1:])):
        for count in counts:
            rows = _in_a_process("workers", path, kept, "--workers", str(count))
            result["rows"] += [{"mapped": kept != "off", **row} for row in rows]
            sys.stderr.write(f"{count} workers, {'mapped' if kept != 'off' else 'in memory'}: done\n")
    return result


def main() -> None:
    """Measure, print the main figures, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--workers", type=int, nargs="+", default=WORKERS)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--stage", choices=("open", "workers"), help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parse(parser)
    if options.stage:
        stage = (
            open_once(options.file) if options.stage == "open" else read_with_workers(options.file, *options.workers)
        )
        sys.stdout.write(json.dumps(stage) + "\n")
        return
    if options.images < 1 or min(options.workers) < 1:
        parser.error("--images and --workers must be at least 1")
    about = provenance(told(["python", "-m", "benchmarks.annotations", *sys.argv[1:]]))
    with tempfile.TemporaryDirectory() as folder:
        result = {**about, **measure(Path(folder), options.images, tuple(options.workers))}
    opened = result["opened"]
    sys.stdout.write(
        f"opened in {opened['first']['seconds']:.2f} s, then in {max(o['seconds'] for o in opened['again']):.2f} s\n"
    )
    if options.json:
        write_json(options.json, result)


if __name__ == "__main__":
    main()
