"""What trainings came to, for the README: `python -m benchmarks.trainings runs/demo/RUN ... [--json FILE]`.

Collects from run directories what they say of themselves: command, code, steps, time and the last evaluation.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.commands import parse, told
from benchmarks.runs import Run
from personlab.experiments.provenance import provenance
from personlab.files import write_json

Row = dict[str, Any]
RESULTS = Path(__file__).parent / "results" / "trainings.json"


def row_of(run: Run) -> Row:
    """What a run came to.

    Raises:
        ValueError: If it was not evaluated.
    """
    evaluation, ledger = run.evaluation, run.ledger
    if evaluation is None:
        raise ValueError(f"{run.path}: has no evaluation.json; give a run that was evaluated")
    trained = any(key.startswith("train/") for line in ledger for key in line)
    figures = {kind: {"AP": evaluation[kind].get("AP")} for kind in ("keypoints", "segmentation")}
    return {
        **run.origin(), "name": run.card["name"], "status": run.card["status"],
        "steps": ledger[-1]["step"] + 1 if trained else None, "seconds": ledger[-1]["wall_s"] if trained else None,
        "images": evaluation["images"], **figures,
    }  # fmt: skip


def main(given: Sequence[str] | None = None) -> None:
    """Collect the runs."""
    words = list(sys.argv[1:] if given is None else given)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="run directories, in the order of the table")
    parser.add_argument("--json", type=Path, default=RESULTS, help="file of results")
    options = parse(parser, words)
    default = ("--json",) if options.json.resolve() == RESULTS else ()
    about = provenance(told(["python", "-m", "benchmarks.trainings", *words], without=default))
    try:
        rows = [row_of(Run.read(path)) for path in options.runs]
    except ValueError as error:
        parser.error(str(error))
    write_json(options.json, {**about, "rows": rows})


if __name__ == "__main__":
    main()
