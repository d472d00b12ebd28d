"""Devices that commands may be told to work on."""

from __future__ import annotations

import torch

from personlab.errors import InputError


def check_device(name: str) -> None:
    """Check that something can be computed on a device.

    Raises:
        InputError: If it cannot.
    """
    try:
        torch.zeros(1, device=name).cpu()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"--device {name} cannot be used ({reason}); give another, such as cpu") from error
