"""TensorFlow.js graph models, evaluated node by node with TensorFlow's SAME padding; knows nothing of networks."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F


def constants(path: Path) -> dict[str, np.ndarray]:
    """Constants by name, dequantised."""
    kinds = {"float32": "<f4", "uint8": "u1", "uint16": "<u2", "float16": "<f2"}
    found = {}
    for group in json.loads(path.read_text())["weightsManifest"]:
        data = b"".join((path.parent / name).read_bytes() for name in group["paths"])
        for entry in group["weights"]:
            quantised = entry.get("quantization", {"dtype": entry["dtype"]})
            kind = np.dtype(kinds[quantised["dtype"]])
            count = int(np.prod(entry["shape"], dtype=int))
            raw, data = data[: count * kind.itemsize], data[count * kind.itemsize :]
            values = np.frombuffer(raw, kind).astype(np.float64)
            values = values * quantised.get("scale", 1.0) + quantised.get("min", 0.0)
            found[entry["name"]] = values.reshape(entry["shape"])
        assert not data
    return found


def same_padding(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Zeros before and after, by TensorFlow's rule."""
    extent = (kernel - 1) * dilation + 1
    total = max((-(-size // stride) - 1) * stride + extent - size, 0)
    return total // 2, total - total // 2


def convolution(node: dict[str, Any], x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """`x` is NCHW, the weight as TensorFlow has it."""

    def pair(key: str) -> int:
        # Converters write dilations in two orders, but never ones that differ down and across.
        return max(int(v) for v in node["attr"][key]["list"]["i"])

    assert base64.b64decode(node["attr"]["padding"]["s"]) == b"SAME"
    stride, dilation = pair("strides"), pair("dilations")
    depthwise = "Depthwise" in node["op"]
    weight = weight.permute(2, 3, 0, 1) if depthwise else weight.permute(3, 2, 0, 1)
    (top, bottom), (left, right) = (same_padding(x.shape[d], weight.shape[d], stride, dilation) for d in (2, 3))
    groups = x.shape[1] if depthwise else 1
    return F.conv2d(F.pad(x, (left, right, top, bottom)), weight, stride=stride, dilation=dilation, groups=groups)


def evaluate(path: Path, image: torch.Tensor) -> dict[str, torch.Tensor]:
    """Every node's value for an NCHW input in the network's own scale, in double precision."""
    values = {name: torch.from_numpy(v) for name, v in constants(path).items()}
    for node in _ordered(json.loads(path.read_text())["modelTopology"]["node"]):
        op, name = node["op"], node["name"]
        inputs = [values[source] for source in _sources(node)]
        if op == "Placeholder":
            values[name] = image.double()
        elif op == "Const":
            assert name in values
        elif "Conv" in op or "conv" in op:
            result = convolution(node, inputs[0], inputs[1])
            fused = [base64.b64decode(s) for s in node["attr"].get("fused_ops", {}).get("list", {}).get("s", [])]
            if fused:
                assert fused in ([b"BiasAdd"], [b"BiasAdd", b"Relu6"])
                result = result + inputs[2][:, None, None]
            values[name] = result.clamp(0, 6) if fused[1:] else result
        elif op in ("BiasAdd", "AddV2"):
            values[name] = inputs[0] + inputs[1][:, None, None]
        elif op == "Relu6":
            values[name] = inputs[0].clamp(0, 6)
        elif op == "Minimum":
            values[name] = torch.minimum(*inputs)
        elif op == "Maximum":
            values[name] = torch.maximum(*inputs)
        elif op == "Sigmoid":
            values[name] = inputs[0].sigmoid()
        elif op == "Identity":
            values[name] = inputs[0]
        else:
            raise AssertionError(op)
    return values


def _sources(node: dict[str, Any]) -> list[str]:
    """What a node reads, without the number of the output."""
    return [name.removesuffix(":0") for name in node.get("input") or []]


def _ordered(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every node after those it reads."""
    done: set[str] = set()
    order: list[dict[str, Any]] = []
    while len(order) < len(nodes):
        ready = [n for n in nodes if n["name"] not in done and done.issuperset(_sources(n))]
        assert ready
        order += ready
        done |= {n["name"] for n in ready}
    return order
