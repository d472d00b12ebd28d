"""From the operations of a TensorFlow.js graph to layers: a chain of convolutions, and the heads that read its end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from personlab.errors import InputError
from personlab.weights.tfjs_file import Graph, Node

_FULL, _DEPTHWISE = ("Conv2D", "_FusedConv2D"), ("DepthwiseConv2dNative", "FusedDepthwiseConv2dNative")
_CONVOLUTIONS = _FULL + _DEPTHWISE
_BIAS = ("BiasAdd", "Add", "AddV2")
_AFTER_HEADS = ("Identity", "Sigmoid", "Minimum", "Maximum")
_KNOWN = ("Placeholder", "Const", "Relu6", *_CONVOLUTIONS, *_BIAS, *_AFTER_HEADS)


@dataclass(frozen=True)
class Layer:
    """A convolution with its bias.

    Attributes:
        name: Its node.
        names: All names that tell what it is for: of its nodes and its constants.
        weight: Height, width, input and output channels; for a depthwise one, channels and 1 come last.
        bias: One value an output channel.
        depthwise: Whether each channel is filtered alone.
        stride: Its stride, down and across.
        dilation: Its dilation, down and across.
        clipped: Whether ReLU6 follows.
        then: Operations that follow it, where nothing else is computed from them.
    """

    name: str
    names: tuple[str, ...]
    weight: Float32[np.ndarray, "rows columns in out"]
    bias: Float32[np.ndarray, " out"]
    depthwise: bool
    stride: int
    dilation: int
    clipped: bool
    then: tuple[str, ...]


def trunk_and_heads(graph: Graph) -> tuple[list[Layer], list[Layer]]:
    """Take a graph apart.

    Args:
        graph: What was read from a file.

    Returns:
        The layers with ReLU6 in a row from the input on, and those without that read the last of them.

    Raises:
        InputError: If the graph has another form, or an operation that these networks do not have.
    """
    try:
        return _Reader(graph).read()
    except (TypeError, ValueError, KeyError, AttributeError) as error:  # settings of other types than they should be
        raise InputError(f"{graph.path}: not a whole TensorFlow.js graph model ({error}); fetch it again") from None


class _Reader:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        for node in graph.nodes.values():
            if node.op not in _KNOWN:
                raise self.error(f"its operation {node.op} ({node.name}) is unknown there")
        self.consumers: dict[str, list[Node]] = {name: [] for name in graph.nodes}
        for node in graph.nodes.values():
            for name in dict.fromkeys(node.inputs):
                if name not in graph.nodes:
                    raise self.error(f"its node {node.name} reads {name}, which is missing")
                self.consumers[name].append(node)

    def error(self, reason: str) -> InputError:
        return InputError(f"{self.graph.path}: not a MobileNet of PoseNet or BodyPix: {reason}")

    def read(self) -> tuple[list[Layer], list[Layer]]:
        inputs = [node for node in self.graph.nodes.values() if node.op == "Placeholder"]
        if len(inputs) != 1:
            raise self.error(f"it has {len(inputs)} inputs")
        trunk: list[Layer] = []
        heads: list[Layer] = []
        place = inputs[0]
        while not heads:
            same = self._same(place)
            readers = [node for name in same for node in self.consumers[name] if node.op != "Identity"]
            if not readers:
                raise self.error("it has no heads: nothing reads its last layer")
            layers = [self._layer(node, same) for node in readers]
            if len(layers) == 1 and layers[0][0].clipped:
                trunk.append(layers[0][0])
                place = layers[0][1]
            else:
                heads = [layer for layer, _ in layers]
        branching = [head.name for head in heads if head.clipped]
        if branching:
            raise self.error(f"it branches at {place.name}, where {branching[0]} is no head")
        return trunk, heads

    def _same(self, node: Node) -> list[str]:
        """A node and those that only give it another name."""
        names = [node.name]
        for name in names:
            names += [
                reader.name for reader in self.consumers[name] if reader.op == "Identity" and reader.name not in names
            ]
        return names

    def _layer(self, node: Node, sources: list[str]) -> tuple[Layer, Node]:
        """The layer that begins with a convolution, and its last node; it must read one of the sources."""
        if node.op not in _CONVOLUTIONS:
            raise self.error(f"{node.op} ({node.name}) stands where a convolution should")
        if node.inputs[0] not in sources:  # so each layer has one before it, and the walk an end
            raise self.error(f"its {node.op} ({node.name}) reads {sources[0]} in place of a constant")
        if node.text("data_format") not in ("", "NHWC"):
            raise self.error(f"its convolution {node.name} has the layout {node.text('data_format')}")
        names, after = [node.name], node.words("fused_ops")
        weight = self._constant(node, 1, names)
        bias = self._constant(node, 2, names) if after[:1] == ["BiasAdd"] else None
        last, then = node, after[1:] if bias is not None else after
        for following in self._chain(node):
            if bias is None and following.op in _BIAS and not then:
                names.append(following.name)
                bias = self._constant(following, 1, names)
            elif following.op == "Relu6" and not then:
                then = ["Relu6"]
            else:
                break
            last = following
        clipped = then == ["Relu6"]
        if not clipped:
            following_ops = [n for n in self._chain(last) if n.op in _AFTER_HEADS]
            names += [n.name for n in following_ops]
            then = [*then, *(n.op for n in following_ops if n.op != "Identity")]
        if weight.ndim != 4 or bias is None or bias.shape != (weight.shape[2 if node.op in _DEPTHWISE else 3],):
            shape = None if bias is None else bias.shape
            raise self.error(f"its convolution {node.name} has weights {weight.shape} and a bias {shape}")
        if node.text("padding") != "SAME" and weight.shape[:2] != (1, 1):
            raise self.error(f"its convolution {node.name} has the padding {node.text('padding')}")
        layer = Layer(
            name=node.name,
            names=tuple(names),
            weight=weight,
            bias=bias,
            depthwise=node.op in _DEPTHWISE,
            stride=self._square(node, "strides"),
            dilation=self._square(node, "dilations"),
            clipped=clipped,
            then=() if clipped else tuple(then),
        )
        return layer, last

    def _chain(self, node: Node) -> Iterable[Node]:
        """The nodes after one, as long as each is read by one alone."""
        seen = {node.name}
        while len(readers := self.consumers[node.name]) == 1 and readers[0].name not in seen:
            node = readers[0]
            seen.add(node.name)
            yield node

    def _constant(self, node: Node, index: int, names: list[str]) -> NDArray[Any]:
        if len(node.inputs) <= index:
            raise self.error(f"{node.op} ({node.name}) has {len(node.inputs)} inputs")
        source = self.graph.nodes[node.inputs[index]]
        for _ in self.graph.nodes:
            if source.op == "Identity" and source.inputs:
                source = self.graph.nodes[source.inputs[0]]
        if source.op != "Const":
            raise self.error(
                f"its {node.op} ({node.name}) reads {source.op} ({source.name}) where a constant should be"
            )
        name = source.name
        if name not in self.graph.tensors:
            raise InputError(f"{self.graph.path}: its weights have no {name}, which {node.name} reads; fetch it again")
        names.append(name)
        return self.graph.tensors[name]

    def _square(self, node: Node, key: str) -> int:
        values = node.integers(key) or [1, 1, 1, 1]
        # TensorFlow.js writes dilations of depthwise convolutions as down, across, 1, 1 as well as 1, down, across, 1.
        if key == "dilations" and len(values) == 4 and values[2:] == [1, 1]:
            values = [1, *values[:2], 1]
        if len(values) != 4 or values[0] != 1 or values[3] != 1 or values[1] != values[2] or values[1] < 1:
            raise self.error(f"its convolution {node.name} has {key} {node.integers(key)}")
        return values[1]
