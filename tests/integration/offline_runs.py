"""Offline runs of W&B, read back: their files are LevelDB logs of protocol buffers."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

_HEADER_BYTES = 7
"""Of the file, and of each chunk: sum, length, and whether it is whole, the first, a middle or the last of a record."""
_BLOCK_BYTES = 32768
_WHOLE, _LAST = 1, 4


def records(folder: Path) -> Iterator[Any]:
    """What was written of a run; a record that a kill cut short is left out."""
    (path,) = folder.glob("*.wandb")
    content, at, parts = path.read_bytes(), _HEADER_BYTES, b""
    while at + _HEADER_BYTES <= len(content):
        left = _BLOCK_BYTES - at % _BLOCK_BYTES
        if left < _HEADER_BYTES:  # no room for another chunk in this block
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        end = at + _HEADER_BYTES + length
        if kind == 0 or end > len(content):
            return
        parts += content[at + _HEADER_BYTES : end]
        at = end
        if kind in (_WHOLE, _LAST):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


def history(folder: Path) -> list[dict[str, Any]]:
    """Rows of metrics by name."""
    return [_values(record.history.item) for record in records(folder) if record.WhichOneof("record_type") == "history"]


def config(folder: Path) -> dict[str, Any]:
    """The config as it was in the end."""
    return _merged(folder, "config")


def summary(folder: Path) -> dict[str, Any]:
    """The summary as it was in the end."""
    return _merged(folder, "summary")


def run_id(folder: Path) -> str:
    """The id that W&B knows it by."""
    return next(r.run.run_id for r in records(folder) if r.WhichOneof("record_type") == "run")


def of_kind(folder: Path, kind: str) -> list[Any]:
    """All records of one kind, such as `artifact`."""
    return [getattr(r, kind) for r in records(folder) if r.WhichOneof("record_type") == kind]


def _merged(folder: Path, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for record in of_kind(folder, kind):
        found |= _values(record.update)
    return found


def _values(items: Any) -> dict[str, Any]:
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}
