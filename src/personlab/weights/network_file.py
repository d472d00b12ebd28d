"""A whole trained network in one file: safetensors whose metadata says how to build and how to decode it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from jsonargparse import ArgumentError, ArgumentParser
from torch import Tensor

from personlab.decoding import PaperDecoder
from personlab.errors import InputError
from personlab.imports import leaves
from personlab.network import HEAD_NAMES, Backbone, PersonLab
from personlab.weights.files import load_into, load_weights, network_tensors, save_weights

_ARCHITECTURE, _DECODER, _BACKBONE, _HEADS = "network", "decoder", "backbone", "heads"
_Built = TypeVar("_Built")


def save_network(
    path: str | Path,
    architecture: Mapping[str, Any],
    state: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    half: bool = False,
    decoder: Mapping[str, Any] | None = None,
) -> None:
    """Write a network's weights together with its architecture.

    Args:
        path: A `.safetensors` file.
        architecture: `class_path` and `init_args` of the network, as in a config under `model.network`.
        state: Its tensors by name.
        metadata: What else is worth knowing: command, seed, scores.
        half: Whether to store float16.
        decoder: `class_path` and `init_args` of the decoder that suits the network, as in a config under
            `model.decoder`; None for the paper's options.

    Raises:
        InputError: If the file cannot be written, the tensors do not fill the network or the decoder cannot be built.
    """
    network = build_network(architecture, str(path))
    missing = load_into(network, state).missing
    if missing:
        raise InputError(
            f"{path}: the weights do not fill the network: {len(missing)} tensors missing, first {missing[0]}"
        )
    wanted = {name: state[name] for name in network.state_dict() if name in state}
    built = {_ARCHITECTURE: json.dumps(architecture)}
    if decoder is not None:
        built[_DECODER] = json.dumps(decoder)
        decoder_of(built, path)  # so that nobody gets a file whose decoder cannot be built
    save_weights(path, wanted, {**metadata, **built}, half=half)


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
    network = build_network(_described(metadata, _ARCHITECTURE, path), str(path))
    missing = load_into(network, state).missing
    if missing:
        raise InputError(f"{path}: {len(missing)} tensors of the network are missing, first {missing[0]}; is it whole?")
    return network.eval(), metadata


def decoder_of(metadata: Mapping[str, str], path: str | Path) -> PaperDecoder:
    """The decoder that suits a network, by the metadata of its file.

    Args:
        metadata: As `load_network` gives it.
        path: The file, for errors.

    Returns:
        The decoder with the options the network was evaluated with, or with the paper's, for the skeleton of the
        network, where the file names none.

    Raises:
        InputError: If the decoder is unknown or its options are wrong.
    """
    if _DECODER not in metadata:
        init_args = (architecture_of(metadata, path) or {}).get("init_args", {})
        skeleton = {"skeleton": init_args["skeleton"]} if "skeleton" in init_args else {}
        described = {"class_path": "personlab.decoding.PaperDecoder", "init_args": skeleton}
        return _build(PaperDecoder, _DECODER, described, str(path))
    return _build(PaperDecoder, _DECODER, _described(metadata, _DECODER, path), str(path))


def heads_of(metadata: Mapping[str, str], path: str | Path) -> tuple[str, ...]:
    """The heads of a network that were trained; those of the others put out nothing of use.

    Args:
        metadata: As `load_network` gives it.
        path: The file, for errors.

    Returns:
        Names of `HEAD_NAMES`, in that order: all of them unless the file says otherwise. Without `segmentation` and
        `long_offsets` there are no masks.

    Raises:
        InputError: If the file names other heads.
    """
    if _HEADS not in metadata:
        return HEAD_NAMES
    try:
        named = json.loads(metadata[_HEADS])
    except ValueError:
        named = None
    if not isinstance(named, list) or not all(name in HEAD_NAMES for name in named):
        raise InputError(f"{path}: its heads are {metadata[_HEADS]!r}, but a PersonLab has {', '.join(HEAD_NAMES)}")
    return tuple(name for name in HEAD_NAMES if name in named)


def architecture_of(metadata: Mapping[str, str], path: str | Path) -> dict[str, Any] | None:
    """`class_path` and `init_args` of the network that a file holds, or of its backbone; None if it names neither.

    Raises:
        InputError: If what it names is no mapping.
    """
    name = next((name for name in (_ARCHITECTURE, _BACKBONE) if name in metadata), None)
    return None if name is None else _described(metadata, name, path)


def embedded_path() -> Path:
    """The small trained network that comes with the package: synthetic people, for tests, notebooks and first steps."""
    return Path(str(files("personlab.weights") / "embedded" / "tiny.safetensors"))


def weights_path(source: str) -> Path:
    """File of a network: `embedded` for the one of the package, anything else is a path."""
    return embedded_path() if source == "embedded" else Path(source)


def build_network(architecture: Mapping[str, Any], source: str) -> PersonLab:
    """Make a network from `class_path` and `init_args`.

    Args:
        architecture: As in a config under `model.network`; only classes of this package may be named.
        source: What to name in errors.

    Raises:
        InputError: If the architecture is unknown or its arguments are wrong.
    """
    return _build(PersonLab, _ARCHITECTURE, architecture, source)


def build_backbone(architecture: Mapping[str, Any], source: str) -> Backbone:
    """Make a backbone alone, see `build_network`.

    Raises:
        InputError: If the architecture is unknown or its arguments are wrong.
    """
    return _build(Backbone, _BACKBONE, architecture, source)  # type: ignore[type-abstract]


def _described(metadata: Mapping[str, str], name: str, path: str | Path) -> dict[str, Any]:
    """What the metadata say under a name."""
    try:
        described = json.loads(metadata[name])
    except ValueError as error:
        raise InputError(
            f"{path}: the {name} it names is not JSON ({error}); make it with `personlab weights extract`"
        ) from None
    if not isinstance(described, dict):
        raise InputError(f"{path}: the {name} it names is no mapping; make it with `personlab weights extract`")
    return described


def _build(kind: type[_Built], name: str, described: Mapping[str, Any], source: str) -> _Built:
    """Make what `class_path` and `init_args` describe: an instance of `kind`."""
    _check_classes(described, source)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument(f"--{name}", type=kind)
    try:
        parsed = parser.parse_object({name: dict(described)})
        return parser.instantiate_classes(parsed)[name]
    except (ArgumentError, InputError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{source}: cannot build the {name} it names: {reason}") from error


def _check_classes(content: Any, source: str) -> None:
    """Files may come from strangers: nothing outside this package is imported on their behalf, nor any file read.

    A class can also be named by a bare string, by text in YAML, or by a file that holds either, so every string must be
    a plain word (which finds classes of this package only) or a dotted name in this package.
    """
    for _, value in leaves(content):
        if not isinstance(value, str) or re.fullmatch(r"personlab(\.\w+)+", value):
            continue
        if not re.fullmatch(r"[\w -]*", value) or Path(value).is_file():
            raise InputError(f"{source}: names the class {value!r}; only classes of personlab are built from a file")


def network_state(checkpoint: str | Path, averaged: bool = True) -> dict[str, Tensor]:
    """The network's tensors in a training checkpoint.

    Args:
        checkpoint: The file.
        averaged: Whether the averages of the weights are wanted, or the raw ones that the optimiser works on. Where
            nothing was averaged, both are the same.

    Raises:
        InputError: If the checkpoint is missing, damaged or holds no network, or no raw weights beside averaged ones.
    """
    state, _ = load_weights(checkpoint, entry="state_dict" if averaged else "current_model_state")
    network = network_tensors(state)
    if not network:
        raise InputError(f"{checkpoint}: holds no PersonLab network; give a checkpoint of `personlab fit`")
    return network
