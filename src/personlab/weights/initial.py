"""What a fresh training starts from, or an evaluation without a checkpoint scores."""

from __future__ import annotations

import logging

from personlab.errors import InputError
from personlab.network import PersonLab
from personlab.weights.files import LoadReport, load_into, load_weights
from personlab.weights.imagenet import load_imagenet
from personlab.weights.network_file import embedded_path

logger = logging.getLogger("personlab")


def load_initial(network: PersonLab, source: str) -> LoadReport:
    """Load weights into a network, and say what was loaded.

    Args:
        network: Changed in place.
        source: `embedded` for the small network that comes with the package, `imagenet` for the backbone's ImageNet
            weights from an installed package, `imagenet:FILE` for those of a file with torchvision's names, otherwise
            the weights file of a whole PersonLab (`.safetensors`, `.pth`); `none` for nothing.

    Returns:
        What was loaded; `missing` are the tensors that keep their random values.

    Raises:
        InputError: If there is no such file or package, or the file does not fit the network at all.
    """
    if source == "none":
        report = LoadReport(loaded=(), skipped={}, missing=tuple(network.state_dict()))
    elif source == "imagenet" or source.startswith("imagenet:"):
        report = load_imagenet(network.backbone, source.partition(":")[2] or "package")
    else:
        state, _ = load_weights(embedded_path() if source == "embedded" else source)
        # A checkpoint of a training holds the whole task; its network's names carry this prefix.
        whole_task = any(name.startswith("network.") for name in state)
        report = load_into(network, state, prefix="network." if whole_task else "")
        if not report.loaded:
            raise InputError(f"{source}: no tensor fits the network ({report.summary()}); is it another architecture?")
    logger.info("initial weights from %s: %s", source, report.summary())
    return report
