"""Made-up graph models in the forms of the released ones, small and with random weights."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np

MULTIPLIER = 1 / 16
_CHANNELS = (64, 128, 128, 256, 256, *(512,) * 6)
_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1)
POSE_HEADS = {"heatmap_2": 17, "offset_2": 34, "displacement_fwd_2": 32, "displacement_bwd_2": 32}
BODYPIX_HEADS = POSE_HEADS | {"segment_2": 1, "embedding_2": 34, "part_heatmap_2": 24, "part_offset_2": 48}


def text(value: str) -> dict[str, Any]:
    return {"s": base64.b64encode(value.encode()).decode()}


def numbers(*values: int) -> dict[str, Any]:
    return {"list": {"i": [str(v) for v in values]}}


class GraphWriter:
    """Nodes and constants of a MobileNetV1.

    Args:
        fused: One node a layer and constants without telling names, as in a PoseNet that somebody converted; otherwise
            as in BodyPix.
    """

    def __init__(self, fused: bool = False, seed: int = 0) -> None:
        self.fused = fused
        self.random = np.random.default_rng(seed)
        self.nodes: list[dict[str, Any]] = []
        self.constants: dict[str, np.ndarray] = {}
        self.add("Placeholder", "image", [])

    def add(self, op: str, name: str, inputs: list[str], **attributes: Any) -> str:
        self.nodes.append({"name": name, "op": op, "input": inputs, "attr": attributes})
        return name

    def constant(self, name: str, values: np.ndarray) -> str:
        name = f"Const_{len(self.constants)}" if self.fused else name
        self.constants[name] = values.astype(np.float32)
        return self.add("Const", name, [])

    def convolution(
        self, source: str, scope: str, kernel: int, channels: tuple[int, int], stride: int = 1, dilation: int = 1,
        relu6: bool = True,
    ) -> str:  # fmt: skip
        """Depthwise if there is one output channel an input channel, told by 1."""
        depthwise = kernel == 3 and channels[1] == 1
        fan_in = kernel**2 * (1 if depthwise else channels[0])
        weight = self.random.normal(size=(kernel, kernel, *channels)) * np.sqrt(2 / fan_in)
        weights = self.constant(f"{scope}/weights", weight)
        bias = self.constant(f"{scope}/bias", self.random.normal(size=channels[0] if depthwise else channels[1]) * 0.3)
        # Depthwise dilations in the order that the released graphs have.
        dilations = numbers(dilation, dilation, 1, 1) if depthwise else numbers(1, dilation, dilation, 1)
        attributes: dict[str, Any] = {"strides": numbers(1, stride, stride, 1), "dilations": dilations,
                                      "padding": text("SAME"), "data_format": text("NHWC")}  # fmt: skip
        if self.fused:
            words = ["BiasAdd", "Relu6"] if relu6 else ["BiasAdd"]
            attributes["fused_ops"] = {"list": {"s": [text(w)["s"] for w in words]}}
            op = "FusedDepthwiseConv2dNative" if depthwise else "_FusedConv2D"
            return self.add(op, f"{scope}/{words[-1]}", [source, weights, bias], **attributes)
        op = "DepthwiseConv2dNative" if depthwise else "Conv2D"
        last = self.add(op, f"{scope}/conv", [f"{source}:0", weights], **attributes)
        last = self.add("BiasAdd", f"{scope}/BiasAdd", [last, bias])
        return self.add("Relu6", f"{scope}/Relu6", [last]) if relu6 else last


def mobilenet(
    output_stride: int = 16, heads: dict[str, int] | None = None, fused: bool = False, wide_tail: bool = False
) -> GraphWriter:
    """A MobileNetV1 of multiplier 1/16; heads of BodyPix by default."""
    writer = GraphWriter(fused)
    channels, reached, dilation = int(32 * MULTIPLIER), 2, 1
    last = writer.convolution("image", "MobilenetV1/Conv2d_0", 3, (3, channels), 2)
    tail = ((1024, 2), (1024, 1)) if wide_tail else ((512, 1), (512, 1))
    for block, (base, native) in enumerate((*zip(_CHANNELS, _STRIDES, strict=True), *tail), start=1):
        stride = native if reached < output_stride else 1
        scope = f"MobilenetV1/Conv2d_{block}"
        last = writer.convolution(last, f"{scope}_depthwise", 3, (channels, 1), stride, dilation)
        reached, dilation = reached * stride, dilation * native // stride
        out = int(base * MULTIPLIER)
        last = writer.convolution(last, f"{scope}_pointwise", 1, (channels, out))
        channels = out
    for name, count in (BODYPIX_HEADS if heads is None else heads).items():
        head = writer.convolution(last, f"MobilenetV1/{name}", 1, (channels, count), relu6=False)
        if name == "part_offset_2":
            head = writer.add("Minimum", "clip/Minimum", [head, writer.constant("clip/one", np.float32(1))])
            writer.add("Maximum", "clip", [head, writer.constant("clip/zero", np.float32(0))])
    return writer


def write(folder: Path, writer: GraphWriter, storage: str = "float32", shards: int = 1) -> Path:
    """Write `model.json` and its shards.

    Args:
        folder: Made if it is missing.
        writer: What to write.
        storage: `float32`, `float16`, `uint16` or `uint8`.
        shards: Files to cut the constants into, at places that heed no constant's end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entries, data = [], b""
    for name, values in writer.constants.items():
        entry: dict[str, Any] = {"name": name, "shape": list(values.shape), "dtype": "float32"}
        if storage == "float16":
            entry["quantization"] = {"dtype": storage}
            values = values.astype("<f2")
        elif storage != "float32":
            least, most = float(values.min()), float(values.max())
            scale = (most - least) / np.iinfo(storage).max or 1.0
            entry["quantization"] = {"dtype": storage, "min": least, "scale": scale}
            values = np.round((values.astype(np.float64) - least) / scale).astype(storage)
        entries.append(entry)
        data += np.ascontiguousarray(values).tobytes()
    size = -(-len(data) // shards)
    names = [f"group1-shard{i + 1}of{shards}.bin" for i in range(shards)]
    for i, name in enumerate(names):
        (folder / name).write_bytes(data[i * size : (i + 1) * size])
    model = {"format": "graph-model", "modelTopology": {"node": writer.nodes},
             "weightsManifest": [{"paths": names, "weights": entries}]}  # fmt: skip
    path = folder / "model.json"
    path.write_text(json.dumps(model))
    return path
