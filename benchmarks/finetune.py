"""What training a network further came to: rows of docs/model-zoo.md, from run directories.

    personlab validate --config RECIPE --data.root coco --model.initial_weights W.safetensors --run.name base
    personlab fit --config RECIPE --data.root coco --model.initial_weights W.safetensors ...
    python -m benchmarks.finetune --data-root coco --before runs/base runs/finetune_bodypix:800 ...

The run before is the validation of the weights that all others start from, by the recipe as it stands: what another
run has otherwise is what the table calls changed. `RUN:STEP` takes the predictions of that step's validation, `RUN`
those of the last. Differences of average precision are paired by image, with an interval by a bootstrap.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.commands import parse, told
from benchmarks.runs import Run
from personlab.data.coco import annotation_path, read_annotations
from personlab.data.dataset import CocoDataset
from personlab.evaluation import CocoAP
from personlab.evaluation.bootstrap import paired_bootstrap
from personlab.evaluation.coco_ap import Kind
from personlab.evaluation.results import read_results
from personlab.experiments.provenance import provenance
from personlab.files import write_json

Row = dict[str, Any]
RESULTS = Path(__file__).parent / "results" / "finetune.json"
KINDS: tuple[Kind, ...] = ("keypoints", "segmentation")
COLUMNS = {"model.optimizer.init_args.lr": "learning_rate", "data.view.init_args.crop_size": "crop_size",
           "trainer.max_steps": "planned_steps"}  # fmt: skip
"""Options that a row always tells, by name."""


def last_step(run: Run) -> int:
    """The last step after which a run was validated.

    Raises:
        ValueError: If it never was.
    """
    steps = [int(path.stem.removeprefix("val-step")) for path in _predictions(run)]
    if not steps:
        raise ValueError(f"{run.path}: has no predictions/val-step….json; validate it, or leave it out")
    return max(steps)


def _predictions(run: Run) -> list[Path]:
    """The results of each validation, without the files beside them that tell which images they are of."""
    return [p for p in run.path.glob("predictions/val-step*.json") if not p.name.endswith(".images.json")]


def run_and_step(text: str) -> tuple[Run, int]:
    """The run directory and step of `RUN` or `RUN:STEP`."""
    path, _, step = text.rpartition(":") if text.rpartition(":")[2].isdecimal() else (text, "", "")
    run = Run.read(Path(path))
    return run, int(step) if step else last_step(run)


def scored(data: CocoDataset, run: Run, step: int) -> CocoAP:
    """The metric with a step's predictions.

    Raises:
        ValueError: If the run itself scored them otherwise, so that its data were others.
    """
    metric = CocoAP(data.annotations.path, KINDS, only_with_keypoints=run.options["evaluation.only_with_keypoints"])
    metric.update_results(read_results(run.predictions(step)), data.image_ids.tolist())
    here, there = metric.compute()["keypoints/AP"], run.scores(step)["val/keypoints/AP"]
    if abs(here - there) > 1e-5:  # the ledger has 32 bits of it
        raise ValueError(
            f"{run.path}: scores {here:.4f} here, and told {there:.4f} itself; give its data as --data-root"
        )
    return metric


def validated_on(run: Run, root: str) -> CocoDataset:
    """The images that a run was validated on."""
    split, count = run.options["data.val_split"], run.options["data.val_images"]
    annotations = read_annotations(annotation_path(root, split, run.options["data.annotations"]))
    return CocoDataset(annotations, Path(root) / split, images=np.arange(len(annotations))[:count])


def row_of(run: Run, step: int, metric: CocoAP) -> Row:
    """What is told of a run, alone."""
    figures = metric.compute()
    by_kind: Row = {kind: {"AP": figures[f"{kind}/AP"]} for kind in KINDS}
    return {**run.origin(), "steps": step, **{name: run.options[option] for option, name in COLUMNS.items()}, **by_kind}


def main(given: Sequence[str] | None = None) -> None:
    """Score the runs against what they started from."""
    words = list(sys.argv[1:] if given is None else given)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", help="RUN or RUN:STEP, a run directory and a step that it was validated at")
    parser.add_argument("--before", required=True, help="the same of what they are compared with")
    parser.add_argument("--data-root", required=True, help="folder of the data set, in COCO's layout")
    parser.add_argument("--json", type=Path, default=RESULTS, help="file of results")
    options = parse(parser, words)
    default = ("--json",) if options.json.resolve() == RESULTS else ()
    about = provenance(told(["python", "-m", "benchmarks.finetune", *words], without=default))
    try:
        first, *others = [run_and_step(text) for text in (options.before, *options.runs)]
        run, step = first
        data = validated_on(run, options.data_root)
        start = scored(data, run, step)
        metrics = [scored(data, other, at) for other, at in others]
    except ValueError as error:
        parser.error(str(error))
    rows = []
    for (other, at), metric in zip(others, metrics, strict=True):
        against = {kind: paired_bootstrap(start.matches(kind), metric.matches(kind)).to_json() for kind in KINDS}
        rows.append({**row_of(other, at, metric), "overrides": other.differs_from(run), "against": against})
    images = {"split": run.options["data.val_split"], "images": len(data)}
    write_json(options.json, {**about, **images, "before": row_of(run, step, start), "rows": rows})


if __name__ == "__main__":
    main()
