"""What true fields come to: `python -m benchmarks.bounds --data-root COCO [--json FILE]`, for the README.

Each row is one `personlab oracle`, whose command the file keeps: by stride and scale of the images, with the decoder
that suits true fields and with the one that runs use.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.commands import parse, told
from personlab.experiments.provenance import provenance
from personlab.files import write_json

Row = dict[str, Any]
RESULTS = Path(__file__).parent / "results" / "bounds.json"
DECODERS = ("true-fields", "paper")
STRIDES_AND_SCALES = ((8, 1), (16, 1), (8, 2))


def words_of(options: argparse.Namespace, decoder: str, stride: int, scale: int) -> list[str]:
    """The command of a row."""
    words = ["oracle", "--data.root", options.data_root, "--split", options.split, "--stride", str(stride)]
    words += ["--scale", str(scale)] if scale != 1 else []
    words += ["--decoder", decoder] if decoder != DECODERS[0] else []
    return [*words, "--max_images", str(options.max_images)] if options.max_images else words


def score(words: Sequence[str]) -> Row:
    """Run `personlab oracle` in a process of its own."""
    command = [sys.executable, "-m", "personlab.cli.main", *words, "--json", "-"]
    report: Row = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    return report


def main(given: Sequence[str] | None = None) -> None:
    """Score true fields in every way."""
    words = list(sys.argv[1:] if given is None else given)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True, help="folder of the data set, in COCO's layout")
    parser.add_argument("--split", default="val2017")
    parser.add_argument("--max-images", type=int, default=None, help="only the first so many")
    parser.add_argument("--json", type=Path, default=RESULTS, help="file of results")
    options = parse(parser, words)
    default = ("--json",) if options.json.resolve() == RESULTS else ()
    about = provenance(told(["python", "-m", "benchmarks.bounds", *words], without=default))
    rows = []
    for decoder, (stride, scale) in product(DECODERS, STRIDES_AND_SCALES):
        command = words_of(options, decoder, stride, scale)
        setting = {"decoder": decoder, "stride": stride, "scale": scale}
        rows.append({**setting, "command": told(["personlab", *command]), **score(command)})
    write_json(options.json, {**about, "split": options.split, "rows": rows})


if __name__ == "__main__":
    main()
