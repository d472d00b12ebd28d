"""Score networks by rules, size, stride and test-time augmentation, for docs/model-zoo.md.

    python -m benchmarks.zoo --data-root coco bodypix_075=bodypix.safetensors bodypix_075_onnx=bodypix.onnx:plain ...

Each row is one `personlab evaluate`, whose command the file keeps beside the commit and the machine that it ran on.
Rows that the file has already, of the same weights, data, number of images and options, are kept (`--again`: scored
anew); so a run that was stopped goes on, and a new network costs its own rows only.
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
from personlab.data.coco import annotation_path, read_annotations
from personlab.data.dataset import CocoDataset
from personlab.experiments.provenance import provenance
from personlab.files import write_json
from personlab.weights.inspection import inspect_weights

Row = dict[str, Any]
RESULTS = Path(__file__).parent / "results" / "zoo.json"
RULES = ("paper", "tfjs", "bodypix", "coral")
SMALLER, SIZE, LARGER = SIZES = (513, 801, 961)
POSENET = {"decoder.score_threshold": 0.1, "decoder.max_people": 20}
"""What released rules are scored with: their own defaults, made for pictures, leave out whoever is scored below .5."""


def setting(rules: str, size: int, **further: Any) -> Row:
    """The options of a row."""
    return {"rules": rules, "size": size, **further, **({} if rules == "paper" else POSENET)}


CROSSED = [setting(rules, size, **flip) for rules, size, flip in product(RULES, SIZES, ({}, {"tta": "flip"}))]
SEVERAL_SCALES = [setting("paper", SIZE, **flip, scales=[LARGER]) for flip in ({}, {"tta": "flip"})]
FINER = [*(setting(rules, SIZE, stride=8) for rules in RULES), setting("paper", SIZE, stride=8, tta="flip")]
SETTINGS: dict[str, list[Row]] = {
    "all": [*CROSSED, *SEVERAL_SCALES, *FINER],
    "paper": [setting("paper", SIZE), setting("paper", SIZE, tta="flip")],
    "plain": [setting("paper", SIZE)],
}
"""Rows of a network, by the name that may follow its file: `NAME=FILE:plain`."""


def words_of(weights: str, options: Row, root: str, split: str, images: int | None) -> list[str]:
    """The command of a row, its output left out."""
    words = ["evaluate", "--weights", weights, "--data.root", root, "--split", split]
    for name, value in options.items():
        words += [f"--{name}", *(map(str, value) if isinstance(value, list) else [str(value)])]
    return words if images is None else [*words, "--max_images", str(images)]


def score(words: Sequence[str]) -> Row:
    """Run `personlab evaluate` in a process of its own, as a user would."""
    command = [sys.executable, "-m", "personlab.cli.main", *words, "--json", "-"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    report: Row = json.loads(done.stdout)
    return report


def described(path: Path) -> Row:
    """What the table shows of a network, as `personlab weights inspect` tells it."""
    inspected = inspect_weights(path)
    names = ("sha256", "bytes", "backbone", "output_stride", "parameters", "licence", "source")
    return {"file": path.name, **{name: inspected.get(name) for name in names}}


def data_hash(root: str, split: str) -> str:
    """Tells a data set from every other, see `CocoDataset.content_hash`."""
    annotations = read_annotations(annotation_path(root, split), require_annotations=False)
    return CocoDataset(annotations, Path(root) / split).content_hash()


def same(row: Row, key: Row) -> bool:
    """Whether a row holds what a key asks for."""
    return all(name in row and row[name] == value for name, value in key.items())


def main(given: Sequence[str] | None = None) -> None:
    """Score what is not scored yet."""
    words = list(sys.argv[1:] if given is None else given)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+", help=f"NAME=FILE, or NAME=FILE:ROWS with ROWS of {', '.join(SETTINGS)}")
    parser.add_argument("--data-root", required=True, help="folder of the data set, in COCO's layout")
    parser.add_argument("--split", default="val2017")
    parser.add_argument("--max-images", type=int, default=None, help="only the first so many")
    parser.add_argument("--again", action="store_true", help="also score what the file has already")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parse(parser, words)
    wanted = []
    for text in options.networks:
        name, _, rest = text.partition("=")
        path, _, choice = rest.partition(":")
        if not path or choice not in ("", *SETTINGS):
            parser.error(f"{text}: must be NAME=FILE or NAME=FILE:ROWS with ROWS of {', '.join(SETTINGS)}")
        wanted.append((name, path, SETTINGS[choice or "all"]))
    default = ("--results",) if options.results.resolve() == RESULTS else ()
    shown = ["python", "-m", "benchmarks.zoo", *(word for word in words if word != "--again")]
    made = provenance(told(shown, without=default))
    kept = json.loads(options.results.read_text()) if options.results.is_file() else {"networks": {}, "rows": []}
    networks, rows = kept["networks"], [row for row in kept["rows"] if "made" in row]
    images = {"split": options.split, "data": data_hash(options.data_root, options.split)}
    images["max_images"] = options.max_images
    for name, path, settings in wanted:
        networks[name] = described(Path(path))
        own = {"network": name, "sha256": networks[name]["sha256"]}
        # Rows of an older file, or of other images, of the same name would pass for this one's.
        rows = [row for row in rows if row["network"] != name or same(row, own)]
        for one in settings:
            key = {**own, **images, "setting": one}
            found = [row for row in rows if same(row, key)]
            if found and not options.again:
                sys.stderr.write(f"{name}, {one}: kept, of commit {str(found[0]['made']['commit'])[:10]}\n")
                continue
            command = words_of(path, one, options.data_root, options.split, options.max_images)
            line = told(["personlab", *command])
            sys.stderr.write(f"{name}: {line}\n")
            row = {**key, **score(command), "command": line, "made": made}
            less = {part: value for part, value in key.items() if part != "data"}
            rows = [*(other for other in rows if not same(other, less)), row]
            write_json(options.results, {"networks": networks, "rows": rows})


if __name__ == "__main__":
    main()
