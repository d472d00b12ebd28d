"""Weights of one PersonLab as the start of another: other heads, keypoints or disks are allowed."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from personlab.errors import InputError
from personlab.network import HEAD_NAMES, PersonLab
from personlab.network.personlab import IMAGENET_MEAN, IMAGENET_STD
from personlab.skeleton import Skeleton
from personlab.weights.files import LoadReport, load_into
from personlab.weights.network_file import architecture_of, build_network, heads_of

OFFSET_HEADS = ("short_offsets", "mid_offsets", "long_offsets")
_HEAD_SETS = ("heads", "mid_heads")
_SAME_COLOUR = 0.5
"""Of 255: what rounding may do to a mean or a standard deviation."""

logger = logging.getLogger("personlab")


def warm_start(
    network: PersonLab, state: Mapping[str, Tensor], metadata: Mapping[str, str], source: str | Path
) -> LoadReport:
    """Load what fits of another network; what the file says about that network decides what fits.

    Tensors go by name and shape. Beyond that, where the file names its architecture: channels of the heads go by the
    names of keypoints (edges by both names), so that a network of other keypoints starts from those that both have;
    offsets of a network with another disk radius are scaled, since that is their unit; heads that the file's network
    was never trained with are left out.

    Args:
        network: Changed in place.
        state: The file's tensors by name.
        metadata: The file's, see `network_file`; without an architecture, only names and shapes count.
        source: The file, for errors and warnings.

    Returns:
        What was loaded, in part or whole, and what was not. What is missing keeps its values.

    Raises:
        InputError: If nothing of the backbone fits, or the file's architecture is no PersonLab.
    """
    described = architecture_of(metadata, source)
    state = dict(state)
    left_out: dict[str, str] = {}
    partial: dict[str, str] = {}
    if described is not None and "backbone" in described.get("init_args", {}):
        with torch.device("meta"):  # no memory, and no time for initial values
            theirs = build_network(described, str(source))
        left_out = _drop_untrained(state, heads_of(metadata, source))
        _match_units(state, theirs.disk_radius_px, network.disk_radius_px)
        partial, others = _match_channels(state, theirs.skeleton, network)
        left_out |= others
        _warn_of_colours(described, network, source)
    found = load_into(network, state)
    report = LoadReport(
        loaded=tuple(name for name in found.loaded if name not in partial),
        skipped={**found.skipped, **left_out},
        missing=found.missing,
        partial=partial,
    )
    if not any(name.startswith("backbone.") for name in report.loaded):  # biases of heads fit everywhere
        raise InputError(f"{source}: no tensor fits the backbone ({report.summary()}); is it another architecture?")
    return report


def _drop_untrained(state: dict[str, Tensor], trained: Sequence[str]) -> dict[str, str]:
    """Take out heads that hold nothing: names, each with the reason."""
    dropped = [f"{heads}.{head}." for heads in _HEAD_SETS for head in HEAD_NAMES if head not in trained]
    names = [name for name in state if name.startswith(tuple(dropped))]
    for name in names:
        del state[name]
    return dict.fromkeys(names, "its network was not trained with this head")


def _match_units(state: dict[str, Tensor], their_radius_px: float, own_radius_px: float) -> None:
    """Scale offset heads: an output of 1 stands for the disk radius."""
    if their_radius_px == own_radius_px:
        return
    heads = tuple(f"{heads}.{head}." for heads in _HEAD_SETS for head in OFFSET_HEADS)
    for name in [name for name in state if name.startswith(heads)]:
        state[name] = state[name] * (their_radius_px / own_radius_px)


def _match_channels(
    state: dict[str, Tensor], theirs: Skeleton, network: PersonLab
) -> tuple[dict[str, str], dict[str, str]]:
    """Put the channels of heads into the order of another skeleton; those without counterpart stay the network's.

    Returns:
        Names of tensors that are filled in part, with how many channels are; names of those taken out, with the reason.
    """
    own = network.skeleton
    if (theirs.keypoint_names, theirs.edges) == (own.keypoint_names, own.edges):
        return {}, {}
    keypoints = _places(own.keypoint_names, theirs.keypoint_names)
    edges = _places(_named_edges(own), _named_edges(theirs))
    channels = {
        "heatmaps": (keypoints, 1), "short_offsets": (keypoints, 2), "mid_offsets": (edges, 2),
        "long_offsets": (keypoints, 2),
    }  # fmt: skip
    partial, left_out = {}, {}
    for name, now in network.state_dict().items():
        heads, _, rest = name.partition(".")
        head = rest.partition(".")[0]
        if heads not in _HEAD_SETS or head not in channels or name not in state:
            continue
        places, width = channels[head]
        given = state.pop(name)
        if given.shape[1:] != now.shape[1:]:
            left_out[name] = f"shape {tuple(given.shape)}, network has {tuple(now.shape)}"
        elif not (known := sum(place is not None for place in places)):
            left_out[name] = "no keypoint or edge of the same name"
        else:
            state[name] = _reordered(given, now, places, width)
            if known < len(places):
                partial[name] = f"{width * known} of {len(now)} channels, by name"
    return partial, left_out


def _reordered(given: Tensor, now: Tensor, places: Sequence[int | None], width: int) -> Tensor:
    """`now` with its n-th group of `width` channels from where `places` says in `given`, if anywhere."""
    filled = now.clone()
    for ours, place in enumerate(places):
        if place is not None:
            filled[width * ours : width * (ours + 1)] = given[width * place : width * (place + 1)]
    return filled


def _named_edges(skeleton: Skeleton) -> list[tuple[str, str]]:
    names = skeleton.keypoint_names
    return [(names[a], names[b]) for a, b in skeleton.directed_edges]


def _places(own: Sequence[Hashable], theirs: Sequence[Hashable]) -> list[int | None]:
    """Where each of our names stands among theirs."""
    place = {name: i for i, name in enumerate(theirs)}
    return [place.get(name) for name in own]


def _warn_of_colours(described: Mapping[str, Any], network: PersonLab, source: str | Path) -> None:
    """The first layer reads colours as its own network's `mean` and `std` made them."""
    for name, default in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
        wanted, own = described["init_args"].get(name, default), getattr(network, name).flatten().tolist()
        if max(abs(a - b) for a, b in zip(wanted, own, strict=True)) > _SAME_COLOUR:
            logger.warning(
                "%s was trained with %s %s, this network has %s: set model.network.init_args.%s", source, name,
                _shown(wanted), _shown(own), name,
            )  # fmt: skip


def _shown(values: Sequence[float]) -> str:
    return "[" + ", ".join(f"{value:g}" for value in values) + "]"
