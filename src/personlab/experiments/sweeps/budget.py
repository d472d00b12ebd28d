"""What a sweep may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SweepBudget:
    """What a sweep may take; None is without end.

    Attributes:
        hours: Of this start, by the clock.
        device_hours: Of all trials together, earlier starts included. A trial on the CPU counts as one device.
        devices_per_trial: At least 1.
    """

    hours: float | None = None
    device_hours: float | None = None
    devices_per_trial: int = 1

    @property
    def has_end(self) -> bool:
        """Whether anything is limited."""
        return self.hours is not None or self.device_hours is not None

    def spent(self, seconds: float, trial_seconds: float) -> str | None:
        """Which limit is reached, in words; None if none is.

        Args:
            seconds: Since the start.
            trial_seconds: Of all trials together.
        """
        if self.hours is not None and seconds >= self.hours * 3600:
            return f"{self.hours:g} hours"
        if self.device_hours is not None and trial_seconds * self.devices_per_trial >= self.device_hours * 3600:
            return f"{self.device_hours:g} device-hours"
        return None
