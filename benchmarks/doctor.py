"""Time of `personlab data doctor`, start of the program included: `python -m benchmarks.doctor --data-root COCO`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.commands import parse, told
from personlab.experiments.provenance import provenance
from personlab.files import write_json

Row = dict[str, Any]
RESULTS = Path(__file__).parent / "results" / "doctor.json"


def examine(root: str) -> Row:
    """One run on every split and image: seconds, how many images there are, and how many findings of each level."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        words = ["-m", "personlab.cli.main", "data", "doctor", "--data.root", root, "--json", str(report)]
        started = time.perf_counter()
        done = subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        seconds = time.perf_counter() - started
        if done.returncode not in (0, 1):
            raise SystemExit((done.stderr.strip().splitlines() or [f"doctor: exit code {done.returncode}"])[-1])
        found = json.loads(report.read_text(encoding="utf-8"))
    images = sum(split["decoded"] for split in found["splits"].values())
    return {"seconds": seconds, "images": images, **{level: found[level] for level in ("errors", "warnings", "infos")}}


def main() -> None:
    """Examine several times, tell, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", required=True, help="folder of the data set, in COCO's layout")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path, default=RESULTS)
    options = parse(parser)
    if options.runs < 1:
        parser.error("--runs must be at least 1")
    default = ("--json",) if options.json.resolve() == RESULTS else ()
    about = provenance(told(["python", "-m", "benchmarks.doctor", *sys.argv[1:]], without=default))
    rows = [examine(options.data_root) for _ in range(options.runs)]
    for row in rows:
        sys.stderr.write(f"{row['images']} images: {row['seconds']:.2f} s, {row['errors']} errors\n")
    write_json(options.json, {**about, "rows": rows})


if __name__ == "__main__":
    main()
