"""Score networks by rules, size and test-time augmentation, for docs/model-zoo.md.

    python -m benchmarks.zoo --data-root COCO bodypix_075=bodypix.safetensors bodypix_075_onnx=bodypix.onnx ...

Each row is one `personlab evaluate`, whose command the file keeps. Rows that the file has already, of the same weights
and options, are kept; so a run that was stopped goes on, and a new network costs its own rows only.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from personlab.experiments.provenance import provenance
from personlab.files import sha256, write_json

RESULTS = Path(__file__).parent / "results" / "zoo.json"
SIZE, SMALLER, LARGER = 801, 513, 961
POSENET = {"decoder.score_threshold": 0.1, "decoder.max_people": 20}
"""What PoseNet is scored with: its own defaults, made for pictures, leave out whoever is scored below .5."""
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "all": [
        {"rules": "paper", "size": SMALLER},
        {"rules": "paper", "size": SIZE},
        {"rules": "paper", "size": SIZE, "tta": "flip"},
        {"rules": "paper", "size": SIZE, "tta": "flip", "scales": [LARGER]},
        {"rules": "paper", "size": LARGER},
        {"rules": "tfjs", "size": SIZE, **POSENET},
        {"rules": "bodypix", "size": SIZE, **POSENET},
        {"rules": "coral", "size": SIZE, **POSENET},
    ],
    "paper": [{"rules": "paper", "size": SIZE}, {"rules": "paper", "size": SIZE, "tta": "flip"}],
    "plain": [{"rules": "paper", "size": SIZE}],
}
"""Rows of a network, by the name that may follow its file: `NAME=FILE:plain`."""


def words_of(weights: str, setting: dict[str, Any], root: str, split: str, images: int | None) -> list[str]:
    """The command of a row, its output left out."""
    words = ["evaluate", "--weights", weights, "--data.root", root, "--split", split]
    for name, value in setting.items():
        words += [f"--{name}", *(map(str, value) if isinstance(value, list) else [str(value)])]
    return words if images is None else [*words, "--max_images", str(images)]


def score(words: Sequence[str]) -> dict[str, Any]:
    """Run `personlab evaluate` in a process of its own, as a user would."""
    command = [sys.executable, "-m", "personlab.cli.main", *words, "--json", "-"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def described(path: Path) -> dict[str, Any]:
    """What `personlab weights inspect` tells that the table shows."""
    command = [sys.executable, "-m", "personlab.cli.main", "weights", "inspect", str(path), "--json", "-"]
    told = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    return {name: told.get(name) for name in ("backbone", "output_stride", "parameters", "licence", "source")}


def main() -> None:
    """Score what is not scored yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+", help=f"NAME=FILE, or NAME=FILE:ROWS with ROWS of {', '.join(SETTINGS)}")
    parser.add_argument("--data-root", required=True, help="folder of the data set, in COCO's layout")
    parser.add_argument("--split", default="val2017")
    parser.add_argument("--max-images", type=int, default=None)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    about = provenance(shlex.join(["python", "-m", "benchmarks.zoo", *sys.argv[1:]]))
    kept = json.loads(options.results.read_text()) if options.results.is_file() else {"networks": {}, "rows": []}
    networks, rows = kept["networks"], kept["rows"]
    for given in options.networks:
        name, _, rest = given.partition("=")
        path, _, choice = rest.partition(":")
        if not path or choice not in ("", *SETTINGS):
            parser.error(f"{given}: must be NAME=FILE or NAME=FILE:ROWS with ROWS of {', '.join(SETTINGS)}")
        networks[name] = {"file": Path(path).name, "sha256": sha256(Path(path)), "bytes": Path(path).stat().st_size}
        networks[name] |= described(Path(path))
        for setting in SETTINGS[choice or "all"]:
            key = {"network": name, "sha256": networks[name]["sha256"], "split": options.split, "setting": setting}
            if any(key.items() <= row.items() for row in rows):
                continue
            words = words_of(path, setting, options.data_root, options.split, options.max_images)
            shown = shlex.join(["personlab", *words])
            sys.stderr.write(f"{name}: {shown}\n")
            rows = [row for row in rows if (row["network"], row["setting"]) != (name, setting)]
            rows.append({**key, **score(words), "command": shown, "commit": about["commit"]})
            write_json(options.results, {**about, "networks": networks, "rows": rows})


if __name__ == "__main__":
    main()
