"""`personlab sweep`: the trials of a sweep file, run to their end."""

from __future__ import annotations

import logging
import shlex
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from rich.table import Table

from personlab.cli.options import make_parser, write_result
from personlab.cli.tables import plain, table_console
from personlab.errors import InputError
from personlab.experiments.provenance import provenance
from personlab.experiments.sweeps.budget import SweepBudget
from personlab.experiments.sweeps.command import trial_command
from personlab.experiments.sweeps.local import LocalSweep
from personlab.experiments.sweeps.records import Record, best_of, first_reaching, summarise
from personlab.experiments.sweeps.space import Sweep, read_sweep
from personlab.experiments.sweeps.study import SharedStudy
from personlab.experiments.trials.process import device_slices, terminated_as_interrupted
from personlab.files import write_json

logger = logging.getLogger("personlab")
SWEEPS = "sweeps"
"""Folder of all sweeps, below that of all runs."""
_USUAL = {"runs_root": "runs", "retries": 1, "seed": 0}
"""Values of options that are not given; --engine wandb must know whether they are."""


def run(words: list[str]) -> int:
    """Run `personlab sweep`."""
    options = _parser().parse_args(words[1:])
    _check(options)
    sweep = read_sweep(options.file)
    trials = sweep.trials(options.trials)
    if options.engine == "wandb":
        _refuse_what_wandb_ignores(options)
    for name, usual in _USUAL.items():
        if getattr(options, name) is None:
            setattr(options, name, usual)
    folder = Path(options.runs_root).resolve() / SWEEPS / sweep.name
    trial_command(sweep, {}, _folder_of(options, folder, "trial"))  # a wrong macro is told before anything begins
    if options.dry_run:
        return _dry_run(sweep, trials, folder, options)
    if options.engine == "wandb":
        return _run_with_wandb(sweep, trials, options)
    return _run_here(sweep, trials, folder, options, words)


def _parser() -> Any:
    parser = make_parser("sweep", "Run the trials of a sweep file in W&B's format: docs/sweeps.md.")
    parser.add_argument("file", type=str, help="the sweep, YAML")
    parser.add_argument("--workers", type=int, default=2, help="trials at once")
    parser.add_argument(
        "--engine", type=Literal["optuna", "ray", "wandb"], default="optuna", help="who runs the trials"
    )
    parser.add_argument(
        "--runs_root", type=str | None, default=None, help="folder of all runs; default: runs. The sweep's: sweeps/NAME"
    )
    parser.add_argument("--trials", type=int | None, default=None, help="no more than so many; default: the file's")
    parser.add_argument(
        "--retries", type=int | None, default=None, help="how often a trial that failed is started again; default: 1"
    )
    parser.add_argument(
        "--failed_again", type=bool, default=False, nargs="?", const=True, help="run those that failed once more"
    )
    parser.add_argument("--seed", type=int | None, default=None, help="what the parameters follow from; default: 0")
    parser.add_argument("--devices_per_trial", type=int, default=0, help="GPUs of a trial; 0 hands none out")
    parser.add_argument("--max_hours", type=float | None, default=None, help="stop after so long, by the clock")
    parser.add_argument(
        "--max_device_hours", type=float | None, default=None, help="stop when all trials together took so long"
    )
    parser.add_argument(
        "--storage", type=str | None, default=None, help="database for several machines, such as postgresql+psycopg://…"
    )
    parser.add_argument("--dry_run", type=bool, default=False, nargs="?", const=True, help="print the commands only")
    return parser


def _check(options: Any) -> None:
    least = {"workers": 1, "trials": 1, "retries": 0, "seed": 0, "devices_per_trial": 0}
    for name, bound in least.items():
        if (value := getattr(options, name)) is not None and value < bound:
            raise InputError(f"sweep: --{name} must be at least {bound}, got {value}")
    for name in ("max_hours", "max_device_hours"):
        if (value := getattr(options, name)) is not None and not value > 0:
            raise InputError(f"sweep: --{name} must be above 0, got {value}")


def _refuse_what_wandb_ignores(options: Any) -> None:
    """Its server decides what is tried, its agents where and how often."""
    for name in ("storage", "max_device_hours", "max_hours", "json", "failed_again", *_USUAL):
        given = getattr(options, name)
        if given is not None and given is not False:
            raise InputError(f"sweep: --{name}: not with --engine wandb, which knows nothing of it; leave it out")


def _folder_of(options: Any, folder: Path, name: str) -> Path | None:
    """The folder of a trial; W&B's agents know of none."""
    return None if options.engine == "wandb" else folder / name


def _dry_run(sweep: Sweep, trials: int, folder: Path, options: Any) -> int:
    """Print what would be run; nothing is written."""
    rows = []
    for number in range(trials):
        if sweep.method == "bayes" or options.engine == "wandb":  # chosen when it begins, here or by the server
            parameters = {p.name: "?" for p in sweep.parameters}
        elif sweep.method == "grid":
            parameters = sweep.combination(number)
        else:
            shares = sweep.draw(options.seed, number)
            parameters = {p.name: p.at(shares[p.name]) for p in sweep.parameters}
        command = trial_command(sweep, parameters, _folder_of(options, folder, f"trial-{number:04}"))
        rows.append({"trial": number, "parameters": parameters, "command": command})
        logger.info("%s", shlex.join(command))
    write_result({"name": sweep.name, "trials": trials, "rows": rows}, options.json)
    return 0


def _run_here(sweep: Sweep, trials: int, folder: Path, options: Any, words: list[str]) -> int:
    """Run what the study lacks; whoever runs it, the study is the same."""
    budget = SweepBudget(options.max_hours, options.max_device_hours, max(1, options.devices_per_trial))
    engine = _engine(options, budget, lambda record: _tell(record, sweep))
    study = SharedStudy(sweep, folder, trials, options.seed, options.storage)
    if options.failed_again:
        logger.info("%d trials that failed are run once more", study.take_up_failed())
    logger.info("%s", plan(sweep, study.records(), trials, options.workers, budget))
    running = engine(study)
    started = time.monotonic()
    try:
        with terminated_as_interrupted():
            running.run()
    except KeyboardInterrupt:
        raise KeyboardInterrupt("interrupted; the same command goes on with what is missing") from None
    finally:
        records = study.records()
        summary = provenance(shlex.join(["personlab", *words])) | {"engine": options.engine, "seed": options.seed}
        summary |= summarise(sweep, records, trials, options.devices_per_trial)
        lacks = summary["counts"]["left"] + summary["counts"]["running"]
        summary |= {"seconds": round(time.monotonic() - started, 1), "stopped_by": running.reason if lacks else None}
        write_json(folder / "summary.json", summary)
    return end(sweep, summary, records, folder, options.json)


class _Engine(Protocol):
    """Who runs the trials of a study."""

    @property
    def reason(self) -> str | None:
        """The budget that is used up, in words."""

    def run(self) -> None:
        """Run to the end of the study or of the budget."""


def _engine(options: Any, budget: SweepBudget, told: Callable[[Record], None]) -> Callable[[SharedStudy], _Engine]:
    """Makes the engine; what it lacks is told before the study is made."""
    if options.engine == "ray":
        from personlab.experiments.sweeps.ray_engine import RaySweep  # an optional package

        return lambda study: RaySweep(study, options.workers, options.devices_per_trial, options.retries, budget, told)
    devices = device_slices(options.workers, options.devices_per_trial)
    return lambda study: LocalSweep(study, devices, options.retries, budget, told=told)


def _run_with_wandb(sweep: Sweep, trials: int, options: Any) -> int:
    from personlab.experiments.sweeps.wandb_engine import run_with_wandb

    devices = device_slices(options.workers, options.devices_per_trial)
    with terminated_as_interrupted():
        path, failed = run_with_wandb(sweep, trials, devices)
    logger.info("%s: %d of %d agents failed", path, failed, options.workers)
    return int(failed > 0)


def plan(sweep: Sweep, records: Sequence[Record], trials: int, workers: int, budget: SweepBudget) -> str:
    """What will be run and how long it may take, in words.

    Args:
        sweep: The sweep.
        records: Of trials that ran before.
        trials: How many there are to be.
        workers: Trials at once.
        budget: What it may take.
    """
    ended = [record for record in records if record.state not in ("running", "stopped")]
    left, timed = trials - len(ended), [r.seconds for r in ended if r.state == "complete"]
    if first_reaching(records, sweep.metric) is not None:
        return f"{sweep.name}: no trial to run: {len(ended)} of {trials} have ended, and the target is reached"
    text = f"{sweep.name}: {left} of {trials} trials to run ({sweep.method}), {min(workers, max(left, 1))} at once"
    if timed and left:
        mean = sum(timed) / len(timed)
        hours, device_hours = left * mean / workers / 3600, left * mean * budget.devices_per_trial / 3600
        text += f"; about {hours:.2f} hours and {device_hours:.2f} device-hours, by the {len(timed)} that are complete"
    elif left:
        text += "; how long a trial takes is not known before the first is complete"
    limits = [f"{budget.hours:g} hours"] if budget.hours is not None else []
    limits += [f"{budget.device_hours:g} device-hours"] if budget.device_hours is not None else []
    return f"{text}; budget: {' and '.join(limits) or 'no limit (--max_hours, --max_device_hours)'}"


def _tell(record: Record, sweep: Sweep) -> None:
    value = "" if record.value is None or sweep.metric is None else f", {sweep.metric.name} {record.value:.4g}"
    error = f", {record.error}" if record.error else ""
    logger.info("trial %d: %s in %.0f s%s%s", record.trial, record.state, record.seconds, value, error)


def end(sweep: Sweep, summary: dict[str, Any], records: Sequence[Record], folder: Path, json_path: str | None) -> int:
    """Show the table, and tell how it ended.

    Returns:
        The exit code: 1 if a trial failed, or the budget left some out.
    """
    table_console().print(_table(sweep, records))
    counts = summary["counts"]
    if summary["stopped_by"]:
        logger.warning("stopped: the budget of %s is used up; the same command goes on", summary["stopped_by"])
    best, enough = best_of(records, sweep.metric), first_reaching(records, sweep.metric)
    if enough is not None and sweep.metric is not None:
        logger.info("trial %d reached the target of %g: no new one begins", enough.trial, sweep.metric.target)
    told = f"; best: trial {best.trial}, {best.value:.4g}" if best and best.value is not None else ""
    logger.info(
        "%d complete, %d pruned, %d failed, %d left%s; %s", counts["complete"], counts["pruned"], counts["failed"],
        counts["left"] + counts["running"], told, folder / "summary.json",
    )  # fmt: skip
    if counts["failed"]:
        logger.info("--failed_again runs those that failed once more")
    write_result(summary, json_path)
    return int(counts["failed"] > 0 or bool(summary["stopped_by"]))


def _table(sweep: Sweep, records: Sequence[Record]) -> Table:
    table = Table(title=plain(sweep.name))
    varied = [p.name for p in sweep.parameters if p.distribution != "constant"]
    metric = sweep.metric.name if sweep.metric else "metric"
    for heading in ("trial", "state", *(name.rpartition(".")[2] for name in varied), metric, "seconds"):
        table.add_column(plain(heading), justify="right")
    sign = -1 if sweep.metric and sweep.metric.maximize else 1
    order = sorted(records, key=lambda r: (r.state != "complete", sign * (r.value or 0.0), r.trial))
    for record in order:
        values = [_shown(record.parameters.get(name)) for name in varied]
        table.add_row(str(record.trial), record.state, *values, _shown(record.value), f"{record.seconds:.0f}")
    return table


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else plain(value)
