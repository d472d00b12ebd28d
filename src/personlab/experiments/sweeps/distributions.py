"""The parameters of a sweep as Optuna's distributions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from personlab.experiments.sweeps.parameters import Parameter


def dimension(parameter: Parameter, method: str) -> tuple[str, BaseDistribution]:
    """A parameter as Optuna knows it: by its values where Optuna has the distribution, else by quantiles of it."""
    if method == "grid" or (parameter.values and not parameter.probabilities):
        values = parameter.grid() or []
        return parameter.name, CategoricalDistribution(list(dict.fromkeys(map(choice, values))))
    if parameter.distribution == "int_uniform":
        return parameter.name, IntDistribution(int(parameter.low), int(parameter.high))
    if parameter.distribution == "uniform":
        return parameter.name, FloatDistribution(parameter.low, parameter.high)
    if parameter.distribution in ("log_uniform", "log_uniform_values"):
        return parameter.name, FloatDistribution(parameter.low, parameter.high, log=True)
    return f"{parameter.name} (quantile)", FloatDistribution(0.0, 1.0)


def value_of(parameter: Parameter, params: Mapping[str, Any], method: str) -> Any:
    """A parameter's value, from what Optuna gave for its `dimension`."""
    name, kind = dimension(parameter, method)
    if name != parameter.name:
        return parameter.at(params[name])
    return json.loads(params[name]) if isinstance(kind, CategoricalDistribution) else params[name]


def choice(value: Any) -> str:
    """One of several values: Optuna takes 1, 1.0 and True for the same one, and no lists."""
    return json.dumps(value)
