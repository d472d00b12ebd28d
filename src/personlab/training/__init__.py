"""The LightningModule and what belongs to a training run."""

from personlab.training.schedules import CosineSchedule, Schedule
from personlab.training.task import PersonLabTask

__all__ = ["CosineSchedule", "PersonLabTask", "Schedule"]
