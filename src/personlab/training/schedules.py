"""Learning-rate schedules, as a factor on the optimiser's own rate at each step."""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from personlab.errors import InputError


class Schedule:
    """Constant rate after an optional linear warm-up, as in the paper."""

    def __init__(self, warmup_steps: int = 0) -> None:
        """Set the warm-up.

        Args:
            warmup_steps: Steps over which the rate rises linearly from near 0.

        Raises:
            InputError: If it is negative.
        """
        if warmup_steps < 0:
            raise InputError(f"schedule: warmup_steps is {warmup_steps}, must be 0 or more")
        self.warmup_steps = warmup_steps

    def factor(self, step: int, total_steps: float) -> float:
        """Factor on the rate at a step (0-based) of a training of `total_steps`, infinity if only time ends it."""
        return min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0

    def build(self, optimizer: Optimizer, total_steps: float) -> LambdaLR:
        """The scheduler to step after every optimiser step; see `factor` for `total_steps`."""
        return LambdaLR(optimizer, lambda step: self.factor(step, total_steps))


class CosineSchedule(Schedule):
    """Linear warm-up, then half a cosine down to a fraction of the rate at the last step."""

    def __init__(self, warmup_steps: int = 0, final_fraction: float = 0.0) -> None:
        """Set the ends of the curve.

        Args:
            warmup_steps: Steps over which the rate rises linearly from near 0.
            final_fraction: What is left of the rate at the end.

        Raises:
            InputError: If the warm-up is negative, or the fraction not between 0 and 1.
        """
        super().__init__(warmup_steps)
        if not 0 <= final_fraction <= 1:
            raise InputError(f"schedule: final_fraction is {final_fraction}, must be between 0 and 1")
        self.final_fraction = final_fraction

    def build(self, optimizer: Optimizer, total_steps: float) -> LambdaLR:
        """The scheduler to step after every optimiser step.

        Raises:
            InputError: If the training has no known end to fall to.
        """
        if math.isinf(total_steps):
            raise InputError("schedule: CosineSchedule needs to know the last step; give --trainer.max_steps")
        return super().build(optimizer, total_steps)

    def factor(self, step: int, total_steps: float) -> float:
        """Factor on the rate at a step (0-based) of a training of `total_steps`."""
        if step < self.warmup_steps:
            return super().factor(step, total_steps)
        done = (step - self.warmup_steps) / max(total_steps - self.warmup_steps, 1)
        wave = 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
        return self.final_fraction + (1 - self.final_fraction) * wave
