"""One term a function; an objective that returns named terms and never logs."""

from personlab.losses.objective import Objective
from personlab.losses.terms import logistic_loss, offset_loss

__all__ = ["Objective", "logistic_loss", "offset_loss"]
