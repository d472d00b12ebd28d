"""`personlab diff`: what differs between two runs."""

from __future__ import annotations

from typing import Any

from personlab.cli.options import make_parser, write_result
from personlab.cli.tables import plain, tell, tell_table
from personlab.experiments.catalogue import Run, read_run
from personlab.experiments.run_diff import Group, diff_runs

_MOST_COMMITS = 20


def run(words: list[str]) -> int:
    """Run `personlab diff`."""
    parser = make_parser("diff", "Tell what differs between two runs: config, code, data, environment, seed, scores.")
    parser.add_argument("a", type=str, help="a run directory, its name/id below --root, or the beginning of its id")
    parser.add_argument("b", type=str, help="another")
    parser.add_argument("--root", type=str, default="runs", help="folder of all runs")
    options = parser.parse_args(words[1:])
    a, b = (read_run(given, options.root) for given in (options.a, options.b))
    groups = diff_runs(a, b)
    aside = options.json == "-"
    for letter, one in (("a", a), ("b", b)):
        tell(plain(f"{letter}: {one.name}/{one.run_id} ({one.status})  {one.path}"), aside)
        for fault in one.faults:
            tell(plain(f"   {fault}"), aside)
    for name, group in groups.items():
        _show(name, group, aside)
    write_result(_result(a, b, groups), options.json)
    return 0


def _result(a: Run, b: Run, groups: dict[str, Group]) -> dict[str, Any]:
    return {"a": a.summary(), "b": b.summary(), **{name: group.to_json() for name, group in groups.items()}}


def _show(name: str, group: Group, aside: bool) -> None:
    tell(f"\n{name}", aside)
    if name == "scores" and group.differs:
        rows = [(figure, _score(a), _score(b), _change(a, b)) for figure, (a, b) in group.differs.items()]
        tell_table(("", "a", "b", "b - a"), rows, ("",), aside)
    elif group.differs:
        settings = [(option, _cell(a), _cell(b)) for option, (a, b) in group.differs.items()]
        tell_table(("", "a", "b"), settings, ("", "a", "b"), aside)
    elif not any("tell" in note for note in group.notes):
        tell("  nothing differs" if name != "scores" else "  there are none", aside)
    for note in group.notes:
        tell(plain(f"  {note}"), aside)
    for between, commits in (group.commits or {}).items():
        if commits:
            tell(f"  commits {between}: {len(commits)}", aside)
        for commit in commits[:_MOST_COMMITS]:
            tell(plain(f"    {commit}"), aside)
        if len(commits) > _MOST_COMMITS:
            tell(f"    … and {len(commits) - _MOST_COMMITS} more", aside)


def _cell(value: Any) -> str:
    return "–" if value is None else str(value)


def _score(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else _cell(value)


def _change(a: Any, b: Any) -> str:
    known = all(isinstance(value, int | float) for value in (a, b))
    return f"{b - a:+.4f}" if known else ""
