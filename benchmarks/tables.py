"""Tables of results, as Markdown."""

from __future__ import annotations

import inspect
import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from docstring_parser import parse

from benchmarks.commands import retold
from personlab.decoding import RULES

Row = dict[str, Any]


def peers_table(result: Row, stride: int | None = None) -> str:
    """Our decoder beside the released ones, by stride and people; of several such scenes the median.

    Args:
        result: What `benchmarks.peers` wrote.
        stride: Only this output stride, which then has no column.
    """
    times = ("poses_ms", "peer_poses_ms", "masks_ms", "peer_masks_ms")
    rows = [row for row in result["rows"] if stride in (None, row["stride"])]
    table = []
    for (at, people, size), same in _grouped(rows, "stride", "people", "size").items():
        poses, peer_poses, masks, peer_masks = (_median(same, name) for name in times)
        table.append(
            {"stride": at, "people": people, "image": size, "poses, ms": _ms(poses), "PoseNet, ms": _ms(peer_poses),
             "times faster": times_faster(peer_poses / poses), "masks, ms": _ms(masks), "BodyPix, ms": _ms(peer_masks),
             "times faster ": times_faster(peer_masks / masks)}
        )  # fmt: skip
    return markdown(table, without=() if stride is None else ("stride",))


def peers_summary(result: Row, stride: int = 8) -> str:
    """The comparison at one stride in a sentence or two."""
    rows = [row for row in result["rows"] if row["stride"] == stride]
    groups = _grouped(rows, "people", "size")

    def least(ours: str, theirs: str) -> str:
        return times_faster(min(_median(same, theirs) / _median(same, ours) for same in groups.values()))

    people = sorted({people for people, _ in groups})
    told = (
        f"From {people[0]} to {people[-1]} people, poses take at least {least('poses_ms', 'peer_poses_ms')} times less "
        f"than PoseNet's decoder and masks at least {least('masks_ms', 'peer_masks_ms')} times less than BodyPix's."
    )
    poses = {size: {n: _median(same, "poses_ms") for (n, s), same in groups.items() if s == size} for _, size in groups}
    growth = [by_people[50] / by_people[10] for by_people in poses.values() if {10, 50} <= set(by_people)]
    return told + (f" Poses of 50 people take {growth[0]:.1f} times as long as those of 10." if growth else "")


def decode_table(result: Row) -> str:
    """`personlab bench decode` by stride and people, one pair of columns for each number of threads."""
    rows = result["rows"]
    differing = [name for name in ("rules", "engine") if len({row[name] for row in rows}) > 1]
    table = []
    for key, same in _grouped(rows, *differing, "stride", "people", "size").items():
        row = dict(zip((*differing, "stride", "people", "image"), key, strict=True))
        for kind in ("poses", "masks", "network"):
            for threads in sorted({r["threads"] for r in rows}):
                column = f"{kind}, {threads} thread{'s' * (threads > 1)}"
                row[column] = _ms(_median([r for r in same if r["threads"] == threads], f"{kind}_ms"))
        table.append(row)
    return markdown(table)


def gpu_table(result: Row) -> str:
    """`personlab bench decode` on a GPU."""
    return markdown(
        {"people": row["people"], "stride": row["stride"], "image": _size(row["size"]), "batch": row["batch"],
         "poses, ms": _ms(row["poses_ms"]), "masks, ms": _ms(row["masks_ms"]), "network, ms": _ms(row["network_ms"]),
         "most memory, MiB": _shown(row["memory_peak_mib"], "{:.0f}")}
        for row in result["rows"]
    )  # fmt: skip


def ladder_table(result: Row) -> str:
    """AP by the fields that were exchanged, from `personlab oracle` with a network or noise."""
    return markdown(
        {"fields": row.get("fields"), "stride": row.get("stride"), "longer side": row.get("size"),
         "refinement steps": row.get("refinement_steps"), "keypoint AP": _ap(row, "keypoints"),
         "mask AP": _ap(row, "segmentation")}
        for row in result["rows"]
    )  # fmt: skip


def tune_table(result: Row) -> str:
    """AP and time by the options of the decoder, from `personlab bench tune`; each row names what it has changed."""
    defaults: Row = next((row["options"] for row in result["rows"] if row.get("default")), {})

    def told(row: Row) -> str:
        changed = {k: v for k, v in row["options"].items() if row.get("default") or defaults.get(k) != v}
        return ", ".join(f"`{name}` {value}" for name, value in changed.items())

    return markdown(
        {"options": f"{'default: ' * bool(row.get('default'))}{told(row)}", "keypoint AP": _ap(row, "keypoints"),
         "mask AP": _ap(row, "segmentation"), "decoding, ms": _ms(row.get("decode_ms"))}
        for row in result["rows"]
    )  # fmt: skip


def options_table(rules: str) -> str:
    """The options of a set of rules with default and meaning, from its docstring."""
    constructor = RULES[rules].__init__
    meanings = {p.arg_name: " ".join((p.description or "").split()) for p in parse(constructor.__doc__ or "").params}
    rows = []
    for name, parameter in inspect.signature(constructor).parameters.items():
        if name != "self":
            default = getattr(parameter.default, "name", parameter.default)
            rows.append({"option": f"`{name}`", "default": f"`{default}`", "meaning": meanings[name]})
    return markdown(rows)


def origin(result: Row) -> str:
    """Where figures come from, in a sentence; of what `personlab.experiments.provenance` tells, that which is there.

    Empty if the result does not even name its command.
    """
    if not result.get("command"):
        return ""
    versions = result.get("versions") or {}
    named = {"Python": versions.get("python"), "PyTorch": versions.get("torch"), "numba": versions.get("numba"),
             "Node.js": (result.get("peers") or {}).get("node")}  # fmt: skip
    commit = result.get("commit")
    told = [
        result.get("gpu"),
        f"{result['cpu']} with {result['cores']} cores" if result.get("cpu") else None,
        *(f"{name} {version}" for name, version in named.items() if version),
        result.get("date", "")[:10],
        f"commit {commit[:10]}{' with changes' if result.get('dirty') else ''}" if commit else None,
    ]
    runs = f"Medians of {result['runs']} runs" if result.get("runs") else "Made"
    return f"{runs} by `{retold(result['command'])}` ({', '.join(part for part in told if part)})."


def markdown(rows: Iterable[Row], without: tuple[str, ...] = ()) -> str:
    """Rows with the same keys as a table; None is shown as a dash, a column that is None throughout is left out."""
    rows = list(rows)
    if not rows:
        return "No rows."
    columns = [name for name in rows[0] if name not in without]
    columns = [name for name in columns if any(row[name] is not None for row in rows)]
    lines = ["| " + " | ".join(name.strip() for name in columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_shown(row[name]).replace("|", "\\|") for name in columns) + " |" for row in rows]
    return "\n".join(lines)


def _grouped(rows: list[Row], *names: str) -> dict[tuple[Any, ...], list[Row]]:
    """Rows by the values of these names, in order; sizes as words."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(_size(row[name]) if name == "size" else row[name] for name in names), []).append(row)
    return dict(sorted(groups.items()))


def _median(rows: list[Row], name: str) -> Any:
    values = [row[name] for row in rows if row[name] is not None]
    return statistics.median(values) if values else None


def _size(size: Sequence[int]) -> str:
    """(height, width) as width times height."""
    return f"{size[1]}×{size[0]}"


def _shown(value: Any, form: str = "{}") -> str:
    return "–" if value is None else form.format(value)


def _ms(value: float | None) -> str | None:
    return None if value is None else f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"


def times_faster(ratio: float) -> str:
    """Rounded down, so that nothing is called faster than it is."""
    return f"{math.floor(10 * ratio) / 10:.1f}" if ratio < 10 else f"{math.floor(ratio)}"


def shown_ap(figures: Row, name: str = "AP") -> str | None:
    """A figure with three digits, without the 0 before the point."""
    value = figures.get(name)
    return None if value is None else f"{value:.3f}".removeprefix("0")


def shown_commit(made: Row) -> str | None:
    """A commit in short; with a star where the code had changes that were not committed."""
    commit = made.get("commit")
    return f"`{commit[:7]}`{' *' if made.get('dirty') else ''}" if commit else None


def _ap(row: Row, kind: str) -> str | None:
    return shown_ap(row.get(kind) or {})
