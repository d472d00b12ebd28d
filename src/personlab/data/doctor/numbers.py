"""Lists of numbers out of JSON rows, with every fault told and the sound rows kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from personlab.data.imputed import Row

LARGEST = 1e12
"""No number of an annotation reaches this, whether place, length or area."""


def numbers(
    rows: list[Row], key: str, length: int, tell: Callable[[int, str, str], None]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """A field of `length` numbers of every row.

    Args:
        rows: Objects of the file.
        key: The field.
        length: How many numbers it must hold.
        tell: Called with the row, `length` or `finite` for what is wrong, and the words for it.

    Returns:
        `(row, length)` numbers, and `(row,)` where they are there and sound; the others are 0.
    """
    values = np.zeros((len(rows), length))
    given = np.array([bool(row.get(key)) for row in rows], dtype=bool)
    chosen = np.flatnonzero(given)
    whole = _together([rows[i][key] for i in chosen], length)
    if whole is not None:
        values[chosen] = whole
        return values, given
    for i in chosen:
        row = _one(rows[i][key])
        if row is None or len(row) != length:
            found = "something else" if row is None else str(len(row))
            tell(int(i), "length", f"{key} needs {length} numbers, got {found}")
        elif not (np.abs(row) < LARGEST).all():
            tell(int(i), "finite", f"{key} holds a number that is not finite, or beyond all images")
        else:
            values[i] = row
            continue
        given[i] = False
    return values, given


def _together(lists: list[Any], length: int) -> NDArray[np.float64] | None:
    """All at once, which is ten times as fast; None if any is not as it should be."""
    if not lists:
        return np.zeros((0, length))
    if any(type(row) is not list or len(row) != length for row in lists):
        return None
    try:
        array = np.array(lists)
    except (ValueError, OverflowError):
        return None
    if array.dtype.kind not in "iuf" or array.shape != (len(lists), length) or not (np.abs(array) < LARGEST).all():
        return None
    return array.astype(np.float64)


def _one(value: Any) -> NDArray[np.float64] | None:
    """The numbers of one list, or None if it is no list of numbers."""
    try:
        row = np.asarray(value).reshape(-1)
    except (ValueError, OverflowError):
        return None
    if row.dtype.kind == "O" and all(type(v) in (int, float) for v in row):  # numbers of more than 64 bits
        row = np.array([float("inf") if abs(v) >= LARGEST else float(v) for v in row])
    return row.astype(np.float64) if row.dtype.kind in "iuf" else None
