"""Tables of what others named: names with markup, line ends or letters that a terminal lacks stay harmless text."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDE = 220
"""Columns where nobody looks at a terminal: for files and pipes."""
_LEAST_WRAPPED = 16


def plain(text: object) -> str:
    """Text in one line; what is no letter, such as line ends and control codes, is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def table_console() -> Console:
    """Standard error for rich tables with cells of any text: what looks like markup or an emoji stays as it is."""
    return Console(stderr=True, markup=False, emoji=False, highlight=False)


def tell(text: str, aside: bool) -> None:
    """Write a text and a line end to standard output, or aside: to standard error, where JSON takes the former."""
    stream = sys.stderr if aside else sys.stdout
    encoding = stream.encoding or "utf-8"
    try:
        stream.write(f"{text}\n".encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except BrokenPipeError:  # a pager or `head` has seen enough; what follows goes nowhere
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def tell_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str], aside: bool, spare: Sequence[str] = ()
) -> None:
    """Write a table as `tell` does.

    Args:
        headings: Of the columns; text in the last one is wrapped where it is too wide.
        rows: Cells of each row, any text.
        left: Headings of columns with text; the others have numbers.
        aside: See `tell`.
        spare: Columns that are left out one after the other where the terminal is too narrow.
    """
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDE
    dropped: list[str] = []
    for name in [*spare, ""]:
        table = _table(headings, rows, left, dropped)
        if Console(width=10_000).measure(table).minimum <= width:
            break
        dropped.append(name)
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(table)
    tell("\n".join(line.rstrip() for line in out.getvalue().splitlines()).strip("\n"), aside)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str], dropped: list[str]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    kept = [n for n, heading in enumerate(headings) if heading not in dropped]
    for n in kept:
        wrapped = n == len(headings) - 1 and headings[n] in left
        longest = max(cell_len(plain(text)) for text in (headings[n], *(row[n] for row in rows)))
        table.add_column(
            Text(plain(headings[n])),
            justify="left" if headings[n] in left else "right",
            no_wrap=not wrapped,
            overflow="fold",
            min_width=min(longest, _LEAST_WRAPPED) if wrapped else longest,
        )
    for row in rows:
        table.add_row(*(Text(plain(row[n])) for n in kept))
    return table
