"""What makes the optimiser."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Self

import torch
from torch import nn

MakeOptimizer = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


def paper_sgd(parameters: Any) -> torch.optim.Optimizer:
    """The paper's: SGD with momentum."""
    return torch.optim.SGD(parameters, lr=1e-3, momentum=0.9)


class SharedOptimizerMaker:
    """Makes the optimiser, and is shared by all copies of a task.

    What the command line hands in refers to its parser, and through it to the Trainer and the data: a deep copy of the
    task, such as the average of the weights, would copy all that, and fail once the Trainer has started processes.
    """

    def __init__(self, make: MakeOptimizer) -> None:
        """Keep the function that makes an optimiser from parameters."""
        self._make = make

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimiser of these parameters."""
        return self._make(parameters)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: there is nothing in it that could differ."""
        return self
