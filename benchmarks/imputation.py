"""How good imputed keypoints are: `python -m benchmarks.imputation --weights W.safetensors --data-root COCO`.

Runs `personlab data impute --check` plain and with the mirrored image, and keeps what both told, each with its command.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.commands import parse, told
from personlab.experiments.provenance import provenance
from personlab.files import write_json

Row = dict[str, Any]
RESULTS = Path(__file__).parent / "results" / "imputation.json"
AUGMENTATIONS = ("none", "flip")


def words_of(options: argparse.Namespace, augmentation: str, output: str) -> list[str]:
    """The command of a row."""
    words = ["data", "impute", "--data.root", options.data_root, "--split", options.split, "--weights", options.weights]
    words += ["--check", str(options.check), "-o", output]
    words += ["--max_images", str(options.max_images)] if options.max_images else []
    return words if augmentation == "none" else [*words, "--tta", augmentation]


def impute(words: Sequence[str]) -> Row:
    """Run `personlab data impute` in a process of its own; what it found."""
    command = [sys.executable, "-m", "personlab.cli.main", *words, "--json", "-"]
    summary: Row = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    return summary


def main(given: Sequence[str] | None = None) -> None:
    """Impute, check, and write what came of it."""
    words = list(sys.argv[1:] if given is None else given)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True, help="network: a .safetensors or .onnx, or embedded")
    parser.add_argument("--data-root", required=True, help="folder of the data set, in COCO's layout")
    parser.add_argument("--split", default="val2017")
    parser.add_argument("--check", type=int, default=150, help="people with keypoints to compare with")
    parser.add_argument("--max-images", type=int, default=None, help="only the first so many")
    parser.add_argument("--json", type=Path, default=RESULTS, help="file of results")
    options = parse(parser, words)
    default = ("--json",) if options.json.resolve() == RESULTS else ()
    about = provenance(told(["python", "-m", "benchmarks.imputation", *words], without=default))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for augmentation in AUGMENTATIONS:
            row = impute(words_of(options, augmentation, f"{folder}/imputed.json"))
            shown = told(["personlab", *words_of(options, augmentation, "imputed.json")])
            rows.append({"tta": augmentation, "command": shown, **row})
    write_json(options.json, {**about, "split": options.split, "rows": rows})


if __name__ == "__main__":
    main()
