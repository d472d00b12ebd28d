"""Reading TensorFlow.js graph models: a JSON file with the graph, and the shards that hold its constants."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from personlab.errors import InputError

_PLAIN = {"float32": "<f4", "int32": "<i4", "bool": "u1"}
_QUANTISED = {"uint8": "u1", "uint16": "<u2", "float16": "<f2"}


@dataclass(frozen=True)
class Node:
    """One operation of a graph.

    Attributes:
        name: Its name, unique in the graph.
        op: TensorFlow's name of the operation.
        inputs: Names of the nodes it reads.
        attributes: Its settings, as in the file; see `text` and `integers`.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def text(self, key: str) -> str:
        """A setting that is a word, such as `padding`; empty if it is not set."""
        return _word(self.attributes.get(key, {}).get("s", ""))

    def words(self, key: str) -> list[str]:
        """A setting that is a list of words, such as `fused_ops`."""
        return [_word(value) for value in self.attributes.get(key, {}).get("list", {}).get("s", [])]

    def integers(self, key: str) -> list[int]:
        """A setting that is a list of numbers, such as `strides`."""
        return [int(value) for value in self.attributes.get(key, {}).get("list", {}).get("i", [])]


@dataclass(frozen=True)
class Graph:
    """A graph model.

    Attributes:
        path: The JSON file.
        nodes: Operations by name, in the file's order.
        tensors: Constants by name; floating-point ones in float32, whatever they were stored as.
        hashes: SHA-256 of the JSON file and of each shard, by file name.
    """

    path: Path
    nodes: dict[str, Node]
    tensors: dict[str, NDArray[Any]]
    hashes: dict[str, str]


def read_graph(path: str | Path) -> Graph:
    """Read a graph model with all its constants.

    Args:
        path: `model.json`; the shards it names lie beside it.

    Returns:
        The graph. Constants stored in 8 or 16 bits are turned back into float32 by their scale and minimum.

    Raises:
        InputError: If a file is missing, damaged, too short or too long, or is no graph model.
    """
    path = Path(path)
    content = _read(path, "the model.json of a TensorFlow.js graph model")
    hashes = {path.name: hashlib.sha256(content).hexdigest()}
    try:
        model = json.loads(content)
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); give the model.json of a TensorFlow.js graph model") from None
    if not isinstance(model, dict) or model.get("format", "graph-model") != "graph-model":
        kind = repr(model.get("format")) if isinstance(model, dict) else "no mapping"
        raise InputError(f"{path}: is {kind}, not a TensorFlow.js graph model; convert it to one")
    try:
        nodes = {node.name: node for node in map(_node, model["modelTopology"]["node"])}
        groups = [(_shard_paths(path, group["paths"]), group["weights"]) for group in model["weightsManifest"]]
        tensors: dict[str, NDArray[Any]] = {}
        for shards, entries in groups:
            data = _joined(path, shards, sum(_bytes_of(path, entry) for entry in entries), hashes)
            tensors |= _tensors(path, entries, data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{path}: not a whole TensorFlow.js graph model ({reason}); fetch it again") from None
    return Graph(path, nodes, tensors, hashes)


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); it should be {what}") from None


def _node(raw: Mapping[str, Any]) -> Node:
    # An input may name one of several outputs (`:0`) or only stand for an order (`^`).
    inputs = tuple(str(name).partition(":")[0] for name in raw.get("input") or () if not str(name).startswith("^"))
    return Node(str(raw["name"]), str(raw["op"]), inputs, dict(raw.get("attr") or {}))


def _word(value: Any) -> str:
    """Words stand in base64, or as lists of character codes."""
    if isinstance(value, list):
        return "".join(map(chr, value))
    return base64.b64decode(value).decode("utf-8", "replace")


def _shard_paths(path: Path, names: list[str]) -> list[Path]:
    for name in names:
        parts = PurePosixPath(name)
        if parts.is_absolute() or ".." in parts.parts:
            raise InputError(f"{path}: names the shard {name!r}, outside its folder; put it beside and name it alone")
    return [path.parent / name for name in names]


def _stored(path: Path, entry: Mapping[str, Any]) -> np.dtype[Any]:
    """How one constant is stored."""
    kinds, kind = (_QUANTISED, entry["quantization"]["dtype"]) if "quantization" in entry else (_PLAIN, entry["dtype"])
    if kind not in kinds:
        raise InputError(f"{path}: {entry['name']} is stored as {kind}; this reads {', '.join(_PLAIN | _QUANTISED)}")
    return np.dtype(kinds[kind])


def _count(path: Path, entry: Mapping[str, Any]) -> int:
    if not all(isinstance(size, int) and size >= 0 for size in entry["shape"]):
        raise InputError(f"{path}: {entry['name']} has the shape {entry['shape']}; fetch the model again")
    return math.prod(entry["shape"])


def _bytes_of(path: Path, entry: Mapping[str, Any]) -> int:
    return _count(path, entry) * _stored(path, entry).itemsize


def _joined(path: Path, shards: list[Path], needed: int, hashes: dict[str, str]) -> bytes:
    """The bytes of all shards of a group, which must be as many as its constants take."""
    parts = [_read(shard, f"a shard of {path.name}") for shard in shards]
    for shard, part in zip(shards, parts, strict=True):
        hashes[shard.relative_to(path.parent).as_posix()] = hashlib.sha256(part).hexdigest()
    found = sum(map(len, parts))
    if found != needed:
        names = ", ".join(str(shard) for shard in shards)
        raise InputError(f"{names}: {found} bytes, but {path.name} describes {needed}; fetch model and shards again")
    return b"".join(parts)


def _tensors(path: Path, entries: list[Mapping[str, Any]], data: bytes) -> dict[str, NDArray[Any]]:
    tensors, start = {}, 0
    for entry in entries:
        values = np.frombuffer(data, _stored(path, entry), _count(path, entry), start)
        start += values.nbytes
        quantised = entry.get("quantization")
        if quantised and quantised["dtype"] != "float16":
            # In double precision, as in the browser, and rounded once.
            values = values.astype(np.float64) * quantised["scale"] + quantised["min"]
        if quantised or entry["dtype"] == "float32":
            values = values.astype(np.float32)
        if not np.isfinite(values).all():
            raise InputError(f"{path}: {entry['name']} has values that are no numbers; fetch model and shards again")
        tensors[str(entry["name"])] = values.reshape(entry["shape"])
    return tensors
