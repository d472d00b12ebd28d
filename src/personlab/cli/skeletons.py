"""A skeleton set once: `data.skeleton` is that of the view, the network, the encoder and the decoder too."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from jsonargparse import Namespace

from personlab.skeleton import COCO, Skeleton

_PARTS = ("model.network", "model.encoder", "model.decoder")


def share_skeleton(config: Any) -> None:
    """Give the skeleton file of the data to all parts that were told of no other than COCO's.

    A part with a skeleton of its own keeps it; whether it fits is checked when the parts are put together.

    Args:
        config: What the parser made of a command line, with `data` and perhaps `model`; changed in place.

    Raises:
        InputError: If the file is no skeleton.
    """
    path = config.data.skeleton
    if path is None:
        return
    skeleton = Skeleton.from_file(path)
    view = config.data.view
    if view is not None and "init_args" in view and view.init_args.get("skeleton", path) is None:
        view.init_args.skeleton = path
    for name in _PARTS:
        part = config.get(name)
        if part is None:
            continue
        arguments = part.init_args if "init_args" in part else part
        if "skeleton" in arguments and _is_coco(arguments.skeleton):
            arguments.skeleton = Namespace(asdict(skeleton))  # type: ignore[no-untyped-call]


def _is_coco(value: Any) -> bool:
    if isinstance(value, Skeleton):
        return value == COCO
    return value is None or value.get("name") == COCO.name
