"""Devices that a user may name."""

from __future__ import annotations

import torch

from personlab.errors import InputError


def check_device(name: str) -> None:
    """Check that something can be computed on a device.

    Args:
        name: As torch names it: `cpu`, `cuda`, `cuda:1`.

    Raises:
        InputError: If torch knows no such device, or it is not there.
    """
    try:
        torch.zeros(1, device=name).cpu()
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"device {name} cannot be used ({reason}); give another, such as cpu") from error
