"""Released PoseNet and BodyPix networks (MobileNetV1, TensorFlow.js) as networks of ours."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from personlab.errors import InputError
from personlab.network import HEAD_NAMES, MobileNetV1
from personlab.skeleton import COCO
from personlab.weights.tfjs_file import Graph, read_graph
from personlab.weights.tfjs_layers import Layer, trunk_and_heads

DISK_RADIUS_PX = 32.0
"""The disks that the released networks were trained with, and the unit of our offset heads for them."""
_ABSENT_LOGIT = -10.0
_SKIPPED = {"part_heatmap": "24 body parts", "part_offset": "offsets to body parts"}
_HEADS = {
    "heatmap": "heatmaps",
    "offset": "short_offsets",
    "displacement_fwd": "forward",
    "displacement_bwd": "backward",
    "segment": "segmentation",
    "embedding": "long_offsets",
}
_K, _E = COCO.num_keypoints, COCO.num_edges
_CHANNELS = {
    "heatmaps": _K, "short_offsets": 2 * _K, "forward": 2 * _E, "backward": 2 * _E, "segmentation": 1,
    "long_offsets": 2 * _K,
}  # fmt: skip
_MASK_HEADS = ("segmentation", "long_offsets")


@dataclass(frozen=True)
class Imported:
    """A network as `network_file.save_network` takes it.

    Attributes:
        architecture: `class_path` and `init_args` of the network.
        state: Its tensors by name.
        decoder: `class_path` and `init_args` of the decoder that suits it.
        metadata: `source_format`, `source_file`, `source_sha256`, `source_shards` (JSON: SHA-256 by name),
            `output_stride` (of the graph), `heads` (JSON: names of the fields that the released network has) and
            `skipped_heads` (JSON: what each of the others is).
    """

    architecture: dict[str, Any]
    state: dict[str, Tensor]
    decoder: dict[str, Any]
    metadata: dict[str, str]


def import_tfjs(path: str | Path) -> Imported:
    """Turn a released network into one of ours, which gives the same fields.

    Offsets in (dy ..., dx ...) order become ours, (x, y) an entry, and the heads' unit becomes R. The released networks
    leave refinement to their decoders; ours refines as in the paper, which `mid_refinements`, `long_refinements` and
    `long_short_refinements` of 0 turn off. A PoseNet has no segmentation and no long offsets: these heads are zero
    here, the segmentation finds nobody anywhere, the decoder makes no masks, and `heads` in the metadata leaves them
    out.

    Args:
        path: `model.json`, beside its shards.

    Returns:
        The network.

    Raises:
        InputError: If a file is missing or damaged, or the graph is none of these networks.

    Source: PersonLab, sections 3 and 4. Departure: the released backbone; no body parts, which the paper does not have.
    """
    graph = read_graph(path)
    trunk, layers = trunk_and_heads(graph)
    options, state = _backbone(graph, trunk)
    heads, skipped = _named(graph, layers)
    state |= _head_tensors(heads, trunk[-1].weight.shape[3])
    present = [name for name in HEAD_NAMES if name in heads or name == "mid_offsets"]
    has_masks = all(name in heads for name in _MASK_HEADS)
    own = graph.hashes.pop(graph.path.name)
    return Imported(
        architecture=_architecture(options),
        state=state,
        decoder={"class_path": "personlab.decoding.PaperDecoder", "init_args": {"masks": has_masks}},
        metadata={
            "source_format": "tfjs",
            "source_file": graph.path.name,
            "source_sha256": own,
            "source_shards": json.dumps(graph.hashes),
            "output_stride": str(options["output_stride"]),
            "heads": json.dumps(present),
            "skipped_heads": json.dumps(skipped),
        },
    )


def _architecture(backbone: dict[str, Any]) -> dict[str, Any]:
    return {
        "class_path": "personlab.network.PersonLab",
        "init_args": {
            "backbone": {"class_path": "personlab.network.MobileNetV1", "init_args": backbone},
            "mid_refinements": 2,
            "long_refinements": 2,
            "long_short_refinements": 2,
            "disk_radius_px": DISK_RADIUS_PX,
            # The released MobileNets take rgb / 127.5 - 1.
            "mean": [127.5] * 3,
            "std": [127.5] * 3,
        },
    }


def _backbone(graph: Graph, trunk: list[Layer]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Arguments of the MobileNetV1 whose layers are those of the graph, and its tensors."""
    with torch.device("meta"):
        count = len(_convolutions(MobileNetV1()))
    if len(trunk) != count:
        raise InputError(
            f"{graph.path}: not a MobileNet of PoseNet or BodyPix: its trunk has {len(trunk)} convolutions, not {count}"
        )
    channels = [layer.weight.shape[3] for layer in trunk if not layer.depthwise]
    options: dict[str, Any] = {
        # From block 11, where channels are most: the fewest are rounded.
        "depth_multiplier": channels[11] / 512 if len(channels) > 13 else 1.0,
        "output_stride": int(np.prod([layer.stride for layer in trunk])),
        "norm": "none",
        "wide_tail": channels[-1] != channels[11] if len(channels) > 13 else True,
    }
    try:
        with torch.device("meta"):
            convolutions = _convolutions(MobileNetV1(**options))
    except InputError as error:
        raise InputError(f"{graph.path}: {error}") from error
    state = {}
    for (name, conv), layer in zip(convolutions.items(), trunk, strict=True):
        weight = _weight(layer)
        found = f"{tuple(weight.shape)}, stride {layer.stride}, dilation {layer.dilation}"
        wanted = f"{tuple(conv.weight.shape)}, stride {conv.stride[0]}, dilation {conv.dilation[0]}"
        if found != wanted or layer.depthwise != ("depthwise" in name):
            raise InputError(
                f"{graph.path}: not a MobileNet of PoseNet or BodyPix: its convolution {layer.name} is {found}, "
                f"not {wanted}"
            )
        state[f"backbone.{name}.weight"], state[f"backbone.{name}.bias"] = weight, torch.from_numpy(layer.bias.copy())
    return options, state


def _convolutions(backbone: MobileNetV1) -> dict[str, nn.Conv2d]:
    """By name, in the order they run."""
    return {name: module for name, module in backbone.named_modules() if isinstance(module, nn.Conv2d)}


def _weight(layer: Layer) -> Tensor:
    """TensorFlow's order (rows, columns, in, out) -> (out, in, rows, columns); (.., channel, 1) for a depthwise one."""
    order = (2, 3, 0, 1) if layer.depthwise else (3, 2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(layer.weight.transpose(order)))


def _named(graph: Graph, layers: list[Layer]) -> tuple[dict[str, Layer], dict[str, str]]:
    """The heads we have by our names, and what those are that we do not have."""
    heads: dict[str, Layer] = {}
    skipped: dict[str, str] = {}
    for layer in layers:
        words = {re.sub(r"_\d+$", "", word) for name in layer.names for word in name.split("/")}
        ours = [name for word, name in _HEADS.items() if word in words]
        others = {word: what for word, what in _SKIPPED.items() if word in words}
        if others:
            skipped |= others
            continue
        if len(ours) != 1 or ours[0] in heads:
            told = "twice" if ours else "unknown"
            raise InputError(f"{graph.path}: its head {layer.name} is {told}; a PersonLab has {', '.join(_HEADS)}")
        heads[ours[0]] = layer
        _check_head(graph, ours[0], layer)
    missing = [word for word, name in _HEADS.items() if name not in heads and name not in _MASK_HEADS]
    if missing:
        raise InputError(f"{graph.path}: has no head {missing[0]}; a PoseNet or BodyPix has one")
    return heads, skipped


def _check_head(graph: Graph, name: str, layer: Layer) -> None:
    wanted = (1, 1, layer.weight.shape[2], _CHANNELS[name])
    if layer.depthwise or layer.weight.shape != wanted or layer.stride != 1:
        raise InputError(
            f"{graph.path}: its head {layer.name} has weights {layer.weight.shape}, not {wanted} (COCO's 17 keypoints)"
        )
    # Ours are logits; the released decoders apply the sigmoid, or the graph does.
    allowed = ("Sigmoid",) if name in ("heatmaps", "segmentation") else ()
    changed = [op for op in layer.then if op not in allowed]
    if changed:
        raise InputError(f"{graph.path}: its head {layer.name} is followed by {changed[0]}, which ours is not")


def _head_tensors(heads: dict[str, Layer], in_channels: int) -> dict[str, Tensor]:
    """Weights and biases of our five heads."""

    def both(name: str, order: Callable[[NDArray[np.float32]], Tensor]) -> tuple[Tensor, Tensor]:
        if name not in heads:
            empty = np.zeros((in_channels + 1, _CHANNELS[name]), np.float32)
            return order(empty[:-1]), order(empty[-1])
        return order(heads[name].weight[0, 0]), order(heads[name].bias)

    def plain(values: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values.T))

    def offsets(values: NDArray[np.float32]) -> Tensor:
        y, x = np.split(values.T, 2)
        return torch.from_numpy(np.stack([x, y], axis=1).reshape(len(x) * 2, *x.shape[1:]) / np.float32(DISK_RADIUS_PX))

    found = {
        "heatmaps": both("heatmaps", plain),
        "short_offsets": both("short_offsets", offsets),
        # Parent -> child first, then child -> parent.
        "mid_offsets": tuple(map(torch.cat, zip(both("forward", offsets), both("backward", offsets), strict=True))),
        "segmentation": both("segmentation", plain),
        "long_offsets": both("long_offsets", offsets),
    }
    state = {}
    for name, (weight, bias) in found.items():
        state[f"heads.{name}.weight"], state[f"heads.{name}.bias"] = weight[:, :, None, None], bias
    if "segmentation" not in heads:
        state["heads.segmentation.bias"] = torch.full((1,), _ABSENT_LOGIT)
    return state
