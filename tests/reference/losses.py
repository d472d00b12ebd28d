"""Literal-loop losses, in plain floats."""

from __future__ import annotations

import math

import numpy as np


def logistic_loss(logits: np.ndarray, targets: np.ndarray, valid: np.ndarray) -> float:
    """Mean over valid entries of -t log s(z) - (1 - t) log(1 - s(z))."""
    total, count = 0.0, 0
    for index in np.ndindex(*logits.shape):
        if valid[index]:
            probability = 1 / (1 + math.exp(-float(logits[index])))
            t = float(targets[index])
            total -= t * math.log(probability) + (1 - t) * math.log(1 - probability)
            count += 1
    return total / max(count, 1)


def offset_loss(offsets: np.ndarray, targets: np.ndarray, valid: np.ndarray, radius: float) -> float:
    """Mean over valid pairs of (|dx| + |dy|) / R."""
    total, count = 0.0, 0
    for b, k, i, j in np.ndindex(*valid.shape):
        if valid[b, k, i, j]:
            total += sum(abs(float(offsets[b, k, a, i, j]) - float(targets[b, k, a, i, j])) for a in (0, 1)) / radius
            count += 1
    return total / max(count, 1)
