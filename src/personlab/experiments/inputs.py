"""What a run reads, by content: hashes that tell whether it would read the same again."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from personlab.data.datamodule import CocoDataModule
from personlab.errors import InputError
from personlab.files import sha256
from personlab.weights import source_file

INITIAL_WEIGHTS, CHECKPOINT = "model.initial_weights", "ckpt_path"


def weights_hashes(initial_weights: str | None, checkpoint: str | None) -> dict[str, str]:
    """SHA-256 of the weight file that a run starts from or scores, by the option that names it.

    Args:
        initial_weights: `model.initial_weights` of the config; what is no text names nothing.
        checkpoint: `ckpt_path`; where there is one, initial weights are not read.

    Returns:
        One entry, or none where nothing is read or the file is not there.
    """
    try:
        path = checkpoint or (source_file(initial_weights) if isinstance(initial_weights, str) else None)
        return {CHECKPOINT if checkpoint else INITIAL_WEIGHTS: sha256(path)} if path else {}
    except (OSError, InputError):
        return {}


def data_hashes(options: Mapping[str, Any], command: str) -> dict[str, str]:
    """Content hashes of the data that a config's run would read now, as a run card has them.

    Args:
        options: The `data` section of a config; options that are no longer known are left out.
        command: `fit`, `validate` or `test`.

    Raises:
        InputError: If the data is missing or cannot be read.
    """
    known = inspect.signature(CocoDataModule).parameters
    # The view and the seed decide how images are seen, and the doctor whether they do; neither is content.
    chosen = {name: value for name, value in options.items() if name in known and name not in ("view", "seed", "check")}
    try:
        data = CocoDataModule(**chosen, check=False)
        data.setup(command)
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"data of the config: {error}") from error
    return data.content_hashes()
