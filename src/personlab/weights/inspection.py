"""What a weight file holds: architecture, heads, channel names, numbers, where it comes from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from personlab.files import sha256
from personlab.network import HEAD_NAMES, Backbone, PersonLab
from personlab.weights.files import load_into, load_weights, network_tensors
from personlab.weights.network_file import architecture_of, build_backbone, build_network, heads_of
from personlab.weights.onnx_file import ONNX_SUFFIX, OnnxInterface, read_onnx

NO_LICENCE = "not recorded"
_SOURCE = "source_"
_TOLD_ELSEWHERE = ("network", "backbone", "decoder", "heads", "skipped_heads", "licence", "output_stride")


def inspect_weights(path: str | Path, architecture: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Describe a weight file without running anything in it.

    Args:
        path: A `.safetensors` file, a PyTorch file of tensors such as a checkpoint, or an `.onnx` file of a network.
        architecture: `class_path` and `init_args` of the network, for a file that does not tell; None takes the file's.

    Returns:
        For JSON: `file`, `bytes`, `sha256`, `holds` (`network`, `backbone` or `tensors`), `tensors`, `parameters` (all
        numbers but statistics and counters, as far as the architecture is known), `dtypes` (tensors by type, as
        stored), `licence`, `source`, `notes` (all other metadata). Where the architecture is known, `backbone`,
        `output_stride`, `output_strides` (those it can run at), `missing` (tensors it has and the file has not) and
        `architecture`. For a whole network, `heads` (name: `channels`, and `trained`, False for what the released
        network did not have), `mid_supervision`, `skipped_heads`, `keypoints`, `edges` (pairs of names, parent first),
        `disk_radius_px`, `refinements` and `decoder`. An ONNX file has one stride, its `size_multiple`, and no
        `missing`, `mid_supervision`, `skipped_heads` and `architecture`; its parameters are all numbers of the graph.

    Raises:
        InputError: If the file is missing or damaged, or names an architecture that cannot be built.
    """
    path = Path(path)
    if path.suffix == ONNX_SUFFIX:
        return _onnx(path)
    state, metadata = load_weights(path, as_stored=True)
    state = network_tensors(state) or state
    described = architecture or architecture_of(metadata, path)
    content = {
        "holds": "tensors",
        "tensors": len(state),
        "parameters": sum(t.numel() for t in state.values() if t.is_floating_point()),
        "dtypes": dict(Counter(str(t.dtype).removeprefix("torch.") for t in state.values())),
    }
    found = _file(path, content, metadata, _TOLD_ELSEWHERE)
    if described is None:
        return found
    with torch.device("meta"):  # no memory, and no time for initial values
        if "backbone" in described.get("init_args", {}):
            network = build_network(described, str(path))
            found |= _built("network", network, network.backbone, state) | _network(network, metadata, path)
        else:
            backbone = build_backbone(described, str(path))
            found |= _built("backbone", backbone, backbone, state)
    return {**found, "architecture": described}


def _file(
    path: Path, content: Mapping[str, Any], metadata: Mapping[str, str], told_elsewhere: Collection[str]
) -> dict[str, Any]:
    return {
        "file": str(path),
        "bytes": path.stat().st_size,
        "sha256": sha256(path),
        **content,
        "licence": metadata.get("licence", NO_LICENCE),
        "source": {n.removeprefix(_SOURCE): _read(text) for n, text in metadata.items() if n.startswith(_SOURCE)},
        "notes": {
            n: _read(text) for n, text in metadata.items() if n not in told_elsewhere and not n.startswith(_SOURCE)
        },
    }


def _onnx(path: Path) -> dict[str, Any]:
    metadata, content = read_onnx(path)
    interface = OnnxInterface.from_metadata(metadata, path)
    names, edges = interface.skeleton.keypoint_names, interface.skeleton.edges
    described = architecture_of(metadata, path) or {}
    backbone = described.get("init_args", {}).get("backbone", {})
    trained = heads_of(metadata, path)
    channels = (len(names), 2 * len(names), 4 * len(edges), 1, 2 * len(names))
    told_elsewhere = (*_TOLD_ELSEWHERE, *interface.as_metadata())
    return {
        **_file(path, {"holds": "ONNX network", **content}, metadata, told_elsewhere),
        "backbone": str(backbone.get("class_path", "unknown")).rpartition(".")[2],
        "output_stride": interface.output_stride,
        "output_strides": [interface.output_stride],
        "size_multiple": interface.size_multiple,
        "heads": {
            name: {"channels": count, "trained": name in trained}
            for name, count in zip(HEAD_NAMES, channels, strict=True)
        },
        "keypoints": list(names),
        "edges": [[names[a], names[b]] for a, b in edges],
        "disk_radius_px": interface.disk_radius_px,
        "refinements": interface.refinements,
        "decoder": _read(metadata.get("decoder", "null")),
    }


def _built(kind: str, whole: nn.Module, backbone: Backbone, state: Mapping[str, Tensor]) -> dict[str, Any]:
    empty = {name: tensor.to("meta") for name, tensor in state.items()}
    return {
        "holds": kind,
        "parameters": sum(p.numel() for p in whole.parameters()),
        "backbone": type(backbone).__name__,
        "output_stride": backbone.output_stride,
        "output_strides": backbone.output_strides,
        "missing": len(load_into(whole, empty).missing),
    }


def _network(network: PersonLab, metadata: Mapping[str, str], path: Path) -> dict[str, Any]:
    trained = heads_of(metadata, path)
    names = network.skeleton.keypoint_names
    heads = {name: getattr(network.heads, name).out_channels for name in HEAD_NAMES}
    return {
        "heads": {name: {"channels": count, "trained": name in trained} for name, count in heads.items()},
        "mid_supervision": network.mid_heads is not None,
        "skipped_heads": _read(metadata.get("skipped_heads", "{}")),
        "keypoints": list(names),
        "edges": [[names[a], names[b]] for a, b in network.skeleton.edges],
        "disk_radius_px": network.disk_radius_px,
        "refinements": {
            "mid": network.mid_refinements,
            "long": network.long_refinements,
            "long_short": network.long_short_refinements,
        },
        "decoder": _read(metadata.get("decoder", "null")),
    }


def _read(text: str) -> Any:
    """What JSON says, where it is JSON with a structure; otherwise the text as it stands, so that hashes stay text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, dict | list) or value is None else text
