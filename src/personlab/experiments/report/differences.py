"""What differs between runs besides their scores: config, code, data, environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from personlab.experiments.comparison import Comparison
from personlab.experiments.labels import SEEDS
from personlab.experiments.report.charts import text_of
from personlab.experiments.report.importance import varying

MISSING = "(not set)"
_PARTS = {
    "Code": ("git",),
    "Data": ("data_hash", "weights_hash"),
    "Environment and seeds": ("versions", "devices", "seed", "batch"),
}
"""Parts of the run card by the title they stand under."""


@dataclass(frozen=True)
class DiffTable:
    """Rows of a name and a value a column; values that are not the first column's are to be marked.

    Attributes:
        title: Of the table.
        columns: Labels of settings or runs.
        rows: Name, and a text for each column.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def difference_tables(comparison: Comparison) -> list[DiffTable]:
    """Config by setting; code, data and environment by run. A table without differences is left out."""
    firsts = [setting.rows[0].run.settings for setting in comparison.settings]
    names = varying(firsts, SEEDS)
    config = tuple(
        (name, tuple(text_of(one[name]) if name in one else MISSING for one in firsts)) for name in sorted(names)
    )
    tables = [DiffTable("Config", tuple(setting.label for setting in comparison.settings), config)]
    labels = tuple(row.label for row in comparison.rows)
    for title, parts in _PARTS.items():
        told = [_of_card(row.run.card, parts) for row in comparison.rows]
        rows = tuple((name, tuple(text_of(t[name]) if name in t else MISSING for t in told)) for name in varying(told))
        tables.append(DiffTable(title, labels, rows))
    return [table for table in tables if table.rows]


def _of_card(card: Mapping[str, Any], parts: Sequence[str]) -> dict[str, Any]:
    """Entries of some parts of a run card, as `git.commit`; a part may be a plain value."""
    found: dict[str, Any] = {}
    for part in parts:
        value = card.get(part)
        found |= {f"{part}.{key}": v for key, v in value.items()} if isinstance(value, Mapping) else {part: value}
    return found
