"""torchvision's ImageNet files as backbone weights of ours: the same tensors, without the classifier, safe to load."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

from torch import Tensor

from personlab.errors import InputError
from personlab.network import Backbone, MobileNetV2, ResNet
from personlab.weights.imagenet import load_imagenet

Architecture = Literal["mobilenet_v2", "resnet50", "resnet101", "resnet152"]


def import_torchvision(path: str | Path, architecture: Architecture) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read the weights of a backbone from one of torchvision's files.

    The names stay torchvision's, so `model.initial_weights: imagenet:FILE` takes what is written of them.

    Args:
        path: A `.pth` file, of tensors alone.
        architecture: Which of torchvision's networks it holds.

    Returns:
        `class_path` and `init_args` of the backbone, and its tensors by name, without the classifier.

    Raises:
        InputError: If the file is missing or damaged, could run code, or holds another network.
    """
    if architecture not in get_args(Architecture):
        raise InputError(f"architecture {architecture!r}: this reads {', '.join(get_args(Architecture))}")
    backbone: Backbone
    if architecture == "mobilenet_v2":
        # With the last layer, which a MobileNetV2 of ours can do without and then leaves out.
        options: dict[str, Any] = {"last_layer": True}
        backbone = MobileNetV2(**options)
    else:
        options = {"depth": int(architecture.removeprefix("resnet"))}
        backbone = ResNet(**options)
    report = load_imagenet(backbone, path)
    if report.skipped:
        raise InputError(f"{path}: not the weights of torchvision's {architecture}: {report.summary()}")
    loaded = set(report.loaded)
    state = {name: tensor for name, tensor in backbone.state_dict().items() if name in loaded}
    return {"class_path": f"personlab.network.{type(backbone).__name__}", "init_args": options}, state
