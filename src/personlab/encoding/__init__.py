"""Annotations -> Targets, batched, on the device of the batch."""

from personlab.encoding.encoder import Encoder

__all__ = ["Encoder"]
