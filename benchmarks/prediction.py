"""Time `personlab predict`: `python -m benchmarks.prediction --weights W.safetensors --data-root COCO [--json FILE]`.

Two rows: the images of a split, and one of them enlarged to 8000×6000 pixels, three times. Told are milliseconds an
image of each stage, as the command tells them, and the most memory that its process had.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2

from benchmarks.commands import parse, told
from personlab.experiments.provenance import provenance
from personlab.files import write_json

Row = dict[str, Any]
RESULTS = Path(__file__).parent / "results" / "prediction.json"
LARGE = (8000, 6000)
"""Width and height of the large image."""
TIMES = 3
OPTIONS = ("--rules", "paper", "--size", "801")


def predict(words: Sequence[str]) -> Row:
    """Run `personlab predict` in a process of its own.

    Returns:
        Its summary, and `most_memory_mib` that the process had.
    """
    with tempfile.TemporaryDirectory() as folder:
        summary = Path(folder) / "summary.json"
        own = [sys.executable, "-m", "personlab.cli.main", *words, "-o", folder, "--json", str(summary)]
        with subprocess.Popen(own) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{told(['personlab', *words])} ended with {process.returncode}")
        found: Row = json.loads(summary.read_text(encoding="utf-8"))
    return {**found, "most_memory_mib": usage.ru_maxrss / 1024}  # Linux counts KiB


def row_of(name: str, source: Path, options: argparse.Namespace) -> Row:
    """Time one source."""
    words = ["predict", str(source), "--weights", options.weights, *OPTIONS]
    found = predict(words)
    images = found["images"]
    return {
        "source": name,
        "images": len(images),
        "people": found["people"],
        "milliseconds": {stage: 1e3 * spent / len(images) for stage, spent in found["seconds"].items()},
        "most_memory_mib": found["most_memory_mib"],
        "command": told(["personlab", *words]),
    }


def main(given: Sequence[str] | None = None) -> None:
    """Predict, and write the times."""
    words = list(sys.argv[1:] if given is None else given)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True, help="network: a .safetensors or .onnx, or embedded")
    parser.add_argument("--data-root", required=True, help="folder of the data set, in COCO's layout")
    parser.add_argument("--split", default="val2017")
    parser.add_argument("--json", type=Path, default=RESULTS, help="file of results")
    options = parse(parser, words)
    folder = Path(options.data_root) / options.split
    first = next(iter(sorted(folder.glob("*.jpg"))), None)
    image = None if first is None else cv2.imread(str(first))
    if image is None:
        parser.error(f"{first or folder}: no .jpg to enlarge; check --data-root and --split")
    default = ("--json",) if options.json.resolve() == RESULTS else ()
    threads = os.environ.get("OMP_NUM_THREADS")
    setting = [f"OMP_NUM_THREADS={threads}"] if threads else []
    about = provenance(told([*setting, "python", "-m", "benchmarks.prediction", *words], without=default))
    with tempfile.TemporaryDirectory() as place:
        large = Path(place) / "large"
        large.mkdir()
        for number in range(TIMES):
            cv2.imwrite(str(large / f"{number}.jpg"), cv2.resize(image, LARGE, interpolation=cv2.INTER_CUBIC))
        size = "×".join(map(str, LARGE))
        rows = [row_of(options.split, folder, options), row_of(f"{size} pixels", large, options)]
    write_json(options.json, {**about, "threads": threads, "rows": rows})


if __name__ == "__main__":
    main()
