"""`personlab runs`: which runs there are, what they came to, and what they took."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from typing import Any

from personlab.cli.options import KINDS, make_parser, words_of, write_result
from personlab.cli.parser_errors import nearest
from personlab.cli.tables import plain, tell, tell_table
from personlab.errors import InputError
from personlab.experiments.catalogue import STATUSES, Run, find_runs
from personlab.experiments.settings import differing, flat, is_called, is_value, short_name, short_value

_SORTS: dict[str, Callable[[Run], float]] = {
    "ap": lambda run: -_best(run),
    "start": lambda run: run.start.timestamp() if run.start else 0.0,
    "cost": lambda run: -(run.device_hours or 0.0),
}
_HEADINGS = (
    "name", "id", "status", "keypoint AP", "mask AP", "steps", "hours", "device h", "commit", "start", "what differs"
)  # fmt: skip
_MOST = 6


def run(words: list[str]) -> int:
    """Run `personlab runs`."""
    options = _parser().parse_args(words[1:])
    wanted = _checked(options)
    found = find_runs(*(options.roots or ["runs"]))
    chosen = _chosen(found, options, wanted)
    aside = options.json == "-"
    known = [one.settings for one in chosen if one.config]
    # What all of them have says more than what only some classes have.
    names = sorted(differing(known), key=lambda name: sum(name not in settings for settings in known))
    if not found:
        tell(plain(f"no runs below {', '.join(options.roots or ['runs'])}"), aside)
    elif not chosen:
        tell(f"none of {len(found)} runs is as asked", aside)
    else:
        _show(chosen, names, aside)
    rows = [{**one.summary(), "differs": {name: one.settings.get(name) for name in names}} for one in chosen]
    write_result({"found": len(found), "runs": rows}, options.json)
    return 0


def _parser() -> Any:
    parser = make_parser("runs", "List runs: what they came to, what they took, and what differs between them.")
    parser.add_argument("roots", type=str, nargs="*", help="folders of runs, or single ones (default: runs)")
    parser.add_argument("--status", type=str, default="", help=f"only these, with commas: {', '.join(STATUSES)}")
    parser.add_argument(
        "--name", type=str | None, default=None, help="only runs of this name; * and ? stand for others"
    )
    parser.add_argument(
        "--where", type=str, action="append", default=[],
        help="only runs with this option, as data.batch_size=8 or lr=0.01; may be given several times",
    )  # fmt: skip
    parser.add_argument("--min_ap", type=float | None, default=None, help="only runs of this keypoint AP at least")
    parser.add_argument("--sort", choices=list(_SORTS), default="start", help="best, oldest or dearest first")
    parser.add_argument("--last", type=int | None, default=None, help="only the newest so many of those left")
    return parser


def _checked(options: Any) -> list[tuple[str, str]]:
    """Names and values of `--where`, when all options make sense.

    Raises:
        InputError: If one does not.
    """
    for status in words_of(options.status):
        if status not in STATUSES:
            raise InputError(f"--status {status!r} is unknown{nearest(status, STATUSES)}; use {', '.join(STATUSES)}")
    if options.min_ap is not None and not 0 <= options.min_ap <= 1:
        raise InputError(f"--min_ap must lie between 0 and 1, got {options.min_ap:g}")
    if options.last is not None and options.last < 1:
        raise InputError(f"--last must be at least 1, got {options.last}")
    pairs = [condition.partition("=") for condition in options.where]
    for condition, (name, equals, _) in zip(options.where, pairs, strict=True):
        if not equals or not name:
            raise InputError(f"--where {condition!r}: give an option and its value, as data.batch_size=8")
    return [(name, value) for name, _, value in pairs]


def _chosen(runs: list[Run], options: Any, wanted: list[tuple[str, str]]) -> list[Run]:
    """The runs that were asked for, in order."""
    statuses = words_of(options.status)
    chosen = [run for run in runs if not statuses or run.status in statuses]
    if options.name is not None:
        chosen = [run for run in chosen if fnmatch.fnmatchcase(run.name, options.name)]
    if options.min_ap is not None:
        chosen = [run for run in chosen if (ap := run.ap("keypoints")) is not None and ap >= options.min_ap]
    for name, value in wanted:
        chosen = _with_setting(runs, chosen, name, value)
    if options.last is not None:
        chosen = sorted(chosen, key=_SORTS["start"])[-options.last :]
    return sorted(chosen, key=_SORTS[options.sort])


def _with_setting(known: list[Run], runs: list[Run], given: str, value: str) -> list[Run]:
    """Runs with an option of a value.

    Raises:
        InputError: If no run has such an option, or several are called so.
    """
    options = {id(run): flat(run.config, nulls=True) for run in known}
    names = sorted(set().union(*options.values()))
    meant = [name for name in names if name == given] or [name for name in names if is_called(name, given)]
    if known and not meant:
        ends = {name.rpartition(".")[2] for name in names}
        raise InputError(f"--where {given}: no run has such an option{nearest(given, [*names, *ends])}")
    if len(meant) > 1:
        raise InputError(f"--where {given}: may be {', '.join(meant[:4])}; give more of it")
    return [run for run in runs if run.config and is_value(meant[0], options[id(run)].get(meant[0]), value)]


def _show(runs: list[Run], names: list[str], aside: bool) -> None:
    short = {name: short_name(name, names) for name in names}
    rows = [_row(run, names, short) for run in runs]
    left = ("name", "id", "status", "commit", "start", "what differs")
    tell_table(_HEADINGS, rows, left, aside, spare=("start", "device h", "commit", "steps", "hours", "name"))
    for run in runs:
        for fault in run.faults:
            tell(plain(f"{run.path}: {fault}"), aside)
    if len(names) > _MOST:
        more = ", ".join(short[name] for name in names[_MOST : 3 * _MOST])
        tell(plain(f"{len(names)} options differ, not shown: {more}{', …' * (len(names) > 3 * _MOST)}"), aside)


def _row(run: Run, names: list[str], short: dict[str, str]) -> Sequence[str]:
    seconds, cost = run.seconds, run.device_hours
    commit = f"{run.commit[:10]}{' dirty' * bool(run.dirty)}" if run.commit else ""
    told = [f"{short[name]}={short_value(name, run.settings[name])}" for name in names[:_MOST] if name in run.settings]
    return (
        run.name, run.run_id, run.status, *(_score(run.ap(kind)) for kind in KINDS), str(run.steps or ""),
        _hours(None if seconds is None else seconds / 3600), _hours(cost), commit,
        "" if run.start is None else run.start.strftime("%Y-%m-%d %H:%M"), "  ".join(told),
    )  # fmt: skip


def _best(run: Run) -> float:
    """Keypoint AP, or that of masks where there is none; runs without scores come last."""
    return next((value for kind in KINDS if (value := run.ap(kind)) is not None), -1.0)


def _hours(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}" if value >= 0.1 else f"{value:.4f}"


def _score(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
