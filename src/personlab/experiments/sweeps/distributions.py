"""The parameters of a sweep as Optuna's distributions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from personlab.experiments.sweeps.parameters import Parameter
from personlab.experiments.sweeps.space import Sweep


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


def drawn(sweep: Sweep, seed: int, number: int) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """What a trial of a grid or a random search tries; nothing for bayes, which looks at the other trials first.

    Args:
        sweep: The sweep.
        seed: What a random search follows from.
        number: Of the trial, from 0.

    Returns:
        Optuna's parameters of the trial and their distributions, by name.
    """
    method, parameters = sweep.method, sweep.parameters
    if method == "bayes":
        return {}, {}
    space = dict(dimension(p, method) for p in parameters)
    if method == "grid":
        return {name: choice(value) for name, value in sweep.combination(number).items()}, space
    shares = sweep.draw(seed, number)
    params = {}
    for parameter in parameters:
        name, kind = dimension(parameter, method)
        value = shares[parameter.name] if name != parameter.name else parameter.at(shares[parameter.name])
        params[name] = choice(value) if isinstance(kind, CategoricalDistribution) else value
    return params, space
