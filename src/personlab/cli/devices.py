"""The check of `--device`, where commands look for it."""

from personlab.devices import check_device

__all__ = ["check_device"]
