"""`personlab ablate`: a baseline and what changes when one thing about it does."""

from __future__ import annotations

import json
import logging
import shlex
from argparse import ArgumentError
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from personlab.cli.options import make_parser, progress_bar, write_result
from personlab.cli.parser_errors import explain
from personlab.cli.resolve import data_hashes, resolve_fit
from personlab.errors import InputError
from personlab.experiments.ablation.decoding import DecoderStudy
from personlab.experiments.ablation.plan import make_plan
from personlab.experiments.ablation.run import Runner, fit_command
from personlab.experiments.ablation.study import Study, read_study
from personlab.experiments.ablation.table import Found, markdown, table_rows
from personlab.experiments.ablation.trained import collect
from personlab.experiments.lock import RunLock
from personlab.experiments.provenance import provenance
from personlab.experiments.trials.process import device_slices, terminated_as_interrupted
from personlab.files import check_writable, write_atomically, write_json

logger = logging.getLogger("personlab")


def run(words: list[str]) -> int:
    """Run `personlab ablate`.

    Returns:
        0 when all is done, 1 when trials failed or a budget left some out.
    """
    parser = make_parser(
        "ablate",
        "Train or decode a baseline and its variations as a study file says, and tell what each changes. Started again "
        "it goes on where it stopped, and takes finished runs of the same config.",
    )
    parser.add_argument("study", type=str, help="study file (docs/ablations.md)")
    parser.add_argument("--data.root", type=str | None, default=None, help="folder of the data; default: the study's")
    parser.add_argument("--weights", type=str | None, default=None, help="network of a decoder-only study, if another")
    parser.add_argument("--runs_root", type=str, default="runs", help="folder of all runs; results in ablations/NAME")
    parser.add_argument("--cache", type=str | None, default=None, help="folder of cached fields; default: RUNS/fields")
    parser.add_argument("--workers", type=int, default=1, help="trainings at once")
    parser.add_argument("--devices_per_trial", type=int, default=0, help="GPUs of a trial; 0 hands none out")
    parser.add_argument("--dry_run", type=bool, default=False, nargs="?", const=True, help="tell the plan and end")
    parser.add_output("--markdown", type=str | None, default=None, help="write the table here, too")
    options = parser.parse_args(words[1:])
    for name, least in (("workers", 1), ("devices_per_trial", 0)):
        if options[name] < least:
            raise InputError(f"ablate: --{name} must be at least {least}, got {options[name]}")
    study = _with_options(read_study(options.study), options)
    folder = Path(options.runs_root).resolve() / "ablations" / study.name
    begun = provenance(shlex.join(["personlab", *words]))  # before hours in which the code may change
    if study.weights is not None:
        return _decode(study, folder, options, begun)
    return _train(study, folder, options, begun)


def _with_options(study: Study, options: Any) -> Study:
    """A study with what the command line says otherwise.

    Raises:
        InputError: If an option is not for this kind of study, or there is no data.
    """
    if study.weights is None and (options.weights or options.cache):
        raise InputError(f"{study.path}: trains, so --weights and --cache mean nothing; leave them out")
    if study.weights is not None and (options.workers, options.devices_per_trial) != (1, 0):
        raise InputError(f"{study.path}: only decodes, in one process; leave out --workers and --devices_per_trial")
    if options["data.root"]:
        study = replace(study, data={**study.data, "root": options["data.root"]})
    if study.weights is not None and not study.data.get("root"):
        raise InputError(f"{study.path}: names no data; give --data.root FOLDER, or data: {{root: FOLDER}} in it")
    return replace(study, weights=options.weights) if options.weights else study


def _decode(study: Study, folder: Path, options: Any, begun: dict[str, Any]) -> int:
    work = DecoderStudy(study, str(study.data["root"]), folder, options.cache or Path(options.runs_root) / "fields")
    views, levels = work.missing_views(), work.levels_to_decode()
    logger.info(
        "%s: %d levels, %d of them to decode; the network runs on %d images in %d views; about %s",
        study.name, len(study.cells()), len(levels), work.images, len(views), shown_time(work.estimate_s()),
    )  # fmt: skip
    if options.dry_run:
        write_result({"study": study.name, "levels": levels, "views": [list(v) for v in views]}, options.json)
        return 0
    with _held(folder):
        evidence = work.run(progress_bar("running the network"), lambda name: logger.info("decoded %s", name))
        found = [Found(cell.name, {0: evidence[cell.name]}) for cell in study.cells()]
        about = {"weights": Path(str(study.weights)).name, "split": study.split, **work.about, "images": work.images}
        _tell(study, folder, found, options, begun | about)
    return 0


def _train(study: Study, folder: Path, options: Any, begun: dict[str, Any]) -> int:
    plan = make_plan(study, resolve_fit_of(study), data_hashes, Path(options.runs_root))
    devices = device_slices(options.workers, options.devices_per_trial)
    runner = Runner(folder, Path(options.runs_root), fit_command, devices, study.budget)
    done, left = runner.sort(plan)
    logger.info("%s: %d trials, %d of them finished already", study.name, len(plan), len(done))
    for trial in left:
        logger.info("to run: %s, seed %d", trial.cell, trial.seed)
    logger.info("%s", runner.forecast(plan))
    if options.dry_run:
        told = [{"level": t.cell, "seed": t.seed, "key": t.key, "finished": t not in left} for t in plan]
        write_result({"study": study.name, "trials": told, "forecast": runner.forecast(plan)}, options.json)
        return 0
    with _held(folder), terminated_as_interrupted():
        reason = runner.run(plan)
        found = collect(plan, runner)
        _tell(study, folder, found, options, begun | {"seeds": list(study.seeds)})
    failed, unfinished = (sum(getattr(cell, name) for cell in found) for name in ("failed", "unfinished"))
    if not found[0].runs:
        logger.warning("no run of %s is finished, so there is nothing to compare with", found[0].level)
    if reason is not None:
        logger.warning("the budget of %s is spent; the same command goes on with a larger one", reason)
    if failed or unfinished:
        logger.warning(
            "%d trials failed, %d are not finished; the same command tries them again (logs: %s)",
            failed, unfinished, folder / "logs",
        )  # fmt: skip
    return int(bool(failed or unfinished))


def resolve_fit_of(study: Study) -> Any:
    """What makes the config of a trial of a study: from its overlays and options to a `Resolved`."""
    fixed = {f"data.{name}": value for name, value in study.data.items()} | dict(study.settings)

    def resolve(overlays: Sequence[Path], options: dict[str, Any]) -> Any:
        words = ["--config", str(study.base)]
        words += [word for overlay in overlays for word in ("--config", str(overlay))]
        words += [f"--{name}={_yaml(value)}" for name, value in (fixed | options).items()]
        try:
            return resolve_fit(words)
        except ArgumentError as error:
            told = explain(str(error), lambda: "")
            raise InputError(f"{told} (personlab fit --help lists the options)") from error

    return resolve


def _yaml(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _tell(study: Study, folder: Path, found: list[Found], options: Any, about: dict[str, Any]) -> None:
    """Write and show the table."""
    rows = table_rows(found)
    result = about | {"study": study.name, "baseline": study.baseline, "rows": rows}
    table = markdown(rows)
    write_json(folder / "results.json", result)
    write_atomically(folder / "table.md", f"{table}\n".encode())
    if options.markdown:
        write_atomically(options.markdown, f"{table}\n".encode())
    write_result(result, options.json)
    for line in table.splitlines():
        logger.info("%s", line)
    logger.info("results: %s", folder)


def shown_time(seconds: float) -> str:
    """A duration in words."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Only one process at a time works on a study.

    Raises:
        InputError: If another one does, or the folder cannot be written.
    """
    check_writable(folder / "results.json", "give another --runs_root")
    folder.mkdir(parents=True, exist_ok=True)
    lock = RunLock(folder, "another personlab ablate works on this study", "wait for it")
    lock.acquire()
    try:
        yield
    finally:
        lock.release()
