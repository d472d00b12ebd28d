"""A whole trained network in one file: safetensors whose metadata says how to build it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser
from torch import Tensor

from personlab.errors import InputError
from personlab.network import PersonLab
from personlab.weights.files import load_into, load_weights, save_weights

_ARCHITECTURE = "network"


def save_network(
    path: str | Path,
    architecture: Mapping[str, Any],
    state: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    half: bool = False,
) -> None:
    """Write a network's weights together with its architecture.

    Args:
        path: A `.safetensors` file.
        architecture: `class_path` and `init_args` of the network, as in a config under `model.network`.
        state: Its tensors by name.
        metadata: What else is worth knowing: command, seed, scores.
        half: Whether to store float16.

    Raises:
        InputError: If the file cannot be written or the tensors do not fill the network.
    """
    network = build_network(architecture, str(path))
    missing = load_into(network, state).missing
    if missing:
        raise InputError(
            f"{path}: the weights do not fill the network: {len(missing)} tensors missing, first {missing[0]}"
        )
    wanted = {name: state[name] for name in network.state_dict() if name in state}
    save_weights(path, wanted, {**metadata, _ARCHITECTURE: json.dumps(architecture)}, half=half)


def load_network(path: str | Path) -> tuple[PersonLab, dict[str, str]]:
    """Build the network that a file holds, ready for evaluation.

    Args:
        path: A file written by `save_network`.

    Returns:
        The network, in evaluation mode, and the file's metadata.

    Raises:
        InputError: If the file is missing, damaged, names no architecture, or its tensors do not fill it.
    """
    state, metadata = load_weights(path)
    if _ARCHITECTURE not in metadata:
        raise InputError(f"{path}: holds tensors but no architecture; make it with `personlab weights extract`")
    network = build_network(json.loads(metadata[_ARCHITECTURE]), str(path))
    missing = load_into(network, state).missing
    if missing:
        raise InputError(f"{path}: {len(missing)} tensors of the network are missing, first {missing[0]}; is it whole?")
    return network.eval(), metadata


def embedded_path() -> Path:
    """The small trained network that comes with the package: synthetic people, for tests, notebooks and first steps."""
    return Path(str(files("personlab.weights") / "embedded" / "tiny.safetensors"))


def build_network(architecture: Mapping[str, Any], source: str) -> PersonLab:
    """Make a network from `class_path` and `init_args`.

    Args:
        architecture: As in a config under `model.network`; only classes of this package may be named.
        source: What to name in errors.

    Raises:
        InputError: If the architecture is unknown or its arguments are wrong.
    """
    _check_classes(architecture, source)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--network", type=PersonLab)
    try:
        parsed = parser.parse_object({"network": dict(architecture)})
        network: PersonLab = parser.instantiate_classes(parsed).network
    except ArgumentError as error:
        raise InputError(
            f"{source}: cannot build the network it names: {' '.join(str(error).split())[:300]}"
        ) from error
    return network


def _check_classes(content: Any, source: str) -> None:
    """Files may come from strangers: nothing outside this package is imported on their behalf."""
    if isinstance(content, Mapping):
        named = content.get("class_path", "personlab.")
        if not str(named).startswith("personlab."):
            raise InputError(f"{source}: names the class {named!r}; only classes of personlab are built from a file")
        for value in content.values():
            _check_classes(value, source)


def network_state(checkpoint: str | Path) -> dict[str, Tensor]:
    """The network's tensors in a training checkpoint (the averaged ones where weights were averaged).

    Raises:
        InputError: If the checkpoint is missing, damaged or holds no network.
    """
    state, _ = load_weights(checkpoint)
    network = {name.removeprefix("network."): tensor for name, tensor in state.items() if name.startswith("network.")}
    if not network:
        raise InputError(f"{checkpoint}: holds no PersonLab network; give a checkpoint of `personlab fit`")
    return network
