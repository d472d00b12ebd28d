"""Graph models that are no PoseNet or BodyPix, or not whole: one clear line each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from personlab.errors import InputError
from personlab.weights.tfjs import import_tfjs
from tests.weights.released import BODYPIX_HEADS, POSE_HEADS, GraphWriter, mobilenet, text, write


def edited(change: Callable[[GraphWriter], None], **options: Any) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        writer = mobilenet(**options)
        change(writer)
        return write(folder, writer)

    return build


def rewritten(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        path = write(folder, mobilenet())
        model = json.loads(path.read_text())
        change(model)
        path.write_text(json.dumps(model))
        return path

    return build


def on_shard(change: Callable[[Path], object]) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        path = write(folder, mobilenet(), shards=2)
        change(folder / "group1-shard2of2.bin")
        return path

    return build


def replaced(text: str) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        path = folder / "model.json"
        path.write_text(text)
        return path

    return build


def node(writer: GraphWriter, name: str) -> dict[str, Any]:
    return next(n for n in writer.nodes if n["name"] == f"MobilenetV1/{name}")


def residual(writer: GraphWriter) -> None:
    """A shortcut around block 8, as in a ResNet."""
    node(writer, "Conv2d_9_depthwise/conv")["input"][0] = writer.add(
        "AddV2", "sum", ["MobilenetV1/Conv2d_8_pointwise/Relu6", "MobilenetV1/Conv2d_7_pointwise/Relu6"]
    )


def without_last_block(writer: GraphWriter) -> None:
    for name in BODYPIX_HEADS:
        node(writer, f"{name}/conv")["input"][0] = "MobilenetV1/Conv2d_12_pointwise/Relu6"
    writer.nodes = [n for n in writer.nodes if "Conv2d_13" not in n["name"]]


def entries(model: dict[str, Any]) -> list[dict[str, Any]]:
    return model["weightsManifest"][0]["weights"]


def drop(name: str) -> Callable[[GraphWriter], None]:
    def change(writer: GraphWriter) -> None:
        writer.nodes = [n for n in writer.nodes if f"/{name}/" not in n["name"]]

    return change


BAD = {
    "no file": (lambda folder: folder / "model.json", r"model\.json: cannot be read"),
    "not JSON": (replaced("hello"), r"model\.json: not JSON"),
    "not text": (lambda folder: (folder / "m.json").write_bytes(bytes(range(256))) and folder / "m.json", "not JSON"),
    "a list": (replaced("[]"), "no mapping"),
    "a Keras model": (replaced('{"format": "layers-model"}'), "layers-model"),
    "nothing in it": (replaced("{}"), "modelTopology"),
    "no weights": (rewritten(lambda m: m.pop("weightsManifest")), "weightsManifest"),
    "nodes of another kind": (rewritten(lambda m: m["modelTopology"].update(node=[3])), "not a whole"),
    "no shard": (on_shard(Path.unlink), r"group1-shard2of2\.bin: cannot be read"),
    "a short shard": (on_shard(lambda p: p.write_bytes(p.read_bytes()[:-1])), r"group1-shard2of2\.bin: \d+ bytes"),
    "a long shard": (on_shard(lambda p: p.write_bytes(p.read_bytes() + b"0")), r"describes \d+"),
    "a shard elsewhere": (rewritten(lambda m: m["weightsManifest"][0].update(paths=["../x.bin"])), "outside"),
    "an unknown type": (rewritten(lambda m: entries(m)[0].update(dtype="complex64")), "complex64"),
    "an impossible shape": (rewritten(lambda m: entries(m)[0].update(shape=[-3, 3])), "shape"),
    "a swapped shape": (rewritten(lambda m: entries(m)[0]["shape"].reverse()), r"Conv2d_0"),
    "a huge shape": (rewritten(lambda m: entries(m)[0].update(shape=[10**9, 10**9])), "bytes"),
    "a missing constant": (rewritten(lambda m: entries(m)[0].update(name="other")), "no MobilenetV1/Conv2d_0/weights"),
    "not a number": (
        edited(lambda w: w.constants["MobilenetV1/Conv2d_0/bias"].fill(np.nan)), r"Conv2d_0/bias has values"
    ),
    "an unknown operation": (edited(lambda w: w.add("MaxPool", "pool", ["image"])), r"MaxPool \(pool\)"),
    "a missing node": (edited(lambda w: w.add("Identity", "x", ["y"])), "reads y, which is missing"),
    "two inputs": (edited(lambda w: w.add("Placeholder", "second", [])), "2 inputs"),
    "a shortcut": (edited(residual), r"AddV2 \(sum\) stands where a convolution should"),
    "a loop": (
        edited(lambda w: node(w, "Conv2d_0/conv").update(input=["MobilenetV1/Conv2d_1_depthwise/Relu6"] * 2)),
        "nothing reads",
    ),
    "another padding": (
        edited(lambda w: node(w, "Conv2d_3_depthwise/conv")["attr"].update(padding=text("VALID"))), "padding VALID"
    ),
    "another layout": (
        edited(lambda w: node(w, "Conv2d_3_depthwise/conv")["attr"].update(data_format=text("NCHW"))), "layout NCHW"
    ),
    "another stride": (
        edited(lambda w: node(w, "Conv2d_3_depthwise/conv")["attr"].update(
            node(w, "Conv2d_2_depthwise/conv")["attr"])), "Conv2d_3_depthwise/conv is .* stride 2, .* not .* stride 1"
    ),
    "a short trunk": (edited(without_last_block), "trunk has 25 convolutions, not 27"),
    "a layer as weights": (
        edited(lambda w: node(w, "Conv2d_3_depthwise/conv")["input"].reverse()), "in place of a constant"
    ),
    "a setting of another kind": (
        edited(lambda w: node(w, "Conv2d_3_depthwise/conv")["attr"].update(padding={"s": 3})), "not a whole"
    ),
    "no heatmaps": (edited(drop("heatmap_2")), "no head heatmap"),
    "no heads": (edited(lambda w: None, heads={}), "no heads"),
    "an unknown head": (edited(lambda w: None, heads=POSE_HEADS | {"depth_2": 1}), "depth_2"),
    "other keypoints": (edited(lambda w: None, heads=POSE_HEADS | {"heatmap_2": 21}), "17 keypoints"),
    "clipped offsets": (
        edited(lambda w: w.add("Maximum", "m", ["MobilenetV1/offset_2/BiasAdd", "MobilenetV1/offset_2/bias"])),
        "followed by Maximum",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_such_network_is_told_in_one_line(case: str, tmp_path: Path) -> None:
    build, told = BAD[case]
    path = build(tmp_path)
    with pytest.raises(InputError, match=told) as error:
        import_tfjs(path)
    assert "\n" not in str(error.value)
    assert str(tmp_path) in str(error.value)
