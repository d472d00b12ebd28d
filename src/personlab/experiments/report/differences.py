"""What differs between runs besides their scores: config, code, data, environment."""

from __future__ import annotations

from dataclasses import dataclass

from personlab.experiments.catalogue import flat
from personlab.experiments.comparison import SEEDS, Comparison
from personlab.experiments.report.charts import text_of
from personlab.experiments.report.importance import varying

MISSING = "(not set)"


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
    cards = [flat(row.run.card) for row in comparison.rows]
    for title, starts in (
        ("Code", ("git.",)),
        ("Data", ("data_hash.",)),
        ("Environment and seeds", ("versions.", "devices", "seed", "batch.")),
    ):
        found = [name for name in varying(cards) if name.startswith(starts)]
        rows = tuple((name, tuple(text_of(c[name]) if name in c else MISSING for c in cards)) for name in found)
        tables.append(DiffTable(title, labels, rows))
    return [table for table in tables if table.rows]
