"""One parameter of a sweep: what values it takes, and how likely each is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from personlab.errors import InputError

_BOUNDS = frozenset({"min", "max"})
_BELL = frozenset({"mu", "sigma"})
DISTRIBUTIONS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "constant": (frozenset({"value"}), frozenset()),
    "categorical": (frozenset({"values"}), frozenset()),
    "categorical_w_probabilities": (frozenset({"values", "probabilities"}), frozenset()),
    "int_uniform": (_BOUNDS, frozenset()),
    "uniform": (_BOUNDS, frozenset()),
    "q_uniform": (_BOUNDS, frozenset({"q"})),
    "log_uniform": (_BOUNDS, frozenset()),
    "log_uniform_values": (_BOUNDS, frozenset()),
    "q_log_uniform": (_BOUNDS, frozenset({"q"})),
    "q_log_uniform_values": (_BOUNDS, frozenset({"q"})),
    "inv_log_uniform": (_BOUNDS, frozenset()),
    "inv_log_uniform_values": (_BOUNDS, frozenset()),
    "normal": (frozenset(), _BELL),
    "q_normal": (frozenset(), _BELL | {"q"}),
    "log_normal": (frozenset(), _BELL),
    "q_log_normal": (frozenset(), _BELL | {"q"}),
}
"""Distributions, and the keys that each must and may have beside `distribution`."""
MAX_GRID = 100_000
"""Values that a parameter of a grid may have at most."""


@dataclass(frozen=True)
class Parameter:
    """One parameter: a name and a distribution.

    Attributes:
        name: With dots where it is nested.
        distribution: One of `DISTRIBUTIONS`.
        values: Of a constant (one) or a categorical parameter.
        probabilities: Of these, adding up to 1; empty where all are as likely.
        low: Smallest value before quantisation, in the value's own unit, whatever the file gives (which is the natural
            logarithm of it for `log_uniform`, and of its inverse for `inv_log_uniform`).
        high: Largest value, likewise.
        mu: Mean of a normal distribution, of the logarithm for `log_normal`.
        sigma: Standard deviation, likewise.
        q: Step that values are rounded to a multiple of; None where they are not. Whole steps give whole numbers.
    """

    name: str
    distribution: str
    values: tuple[Any, ...] = ()
    probabilities: tuple[float, ...] = ()
    low: float = 0.0
    high: float = 0.0
    mu: float = 0.0
    sigma: float = 1.0
    q: float | None = None

    @property
    def is_choice(self) -> bool:
        """Whether its values are listed."""
        return bool(self.values)

    def at(self, quantile: float) -> Any:
        """The value below which this share of all draws lies: an even draw of shares draws by the distribution.

        Args:
            quantile: From 0 to 1.
        """
        if self.values:
            return self._choice(quantile)
        if self.distribution == "int_uniform":
            return min(int(self.low) + int(quantile * (self.high - self.low + 1)), int(self.high))
        if "normal" in self.distribution:
            x = self.mu if self.sigma == 0 else _bell(self.mu, self.sigma, quantile)
            x = math.exp(x) if "log" in self.distribution else x
        elif "log" in self.distribution:
            quantile = 1 - quantile if self.distribution.startswith("inv_") else quantile
            x = self._within(math.exp(math.log(self.low) * (1 - quantile) + math.log(self.high) * quantile))
        else:
            x = self._within(self.low * (1 - quantile) + self.high * quantile)
        return x if self.q is None else quantised(x, self.q)

    @property
    def grid_size(self) -> int | None:
        """Number of all its values, None if they cannot be counted."""
        if self.values:
            return None if self.probabilities else len(self.values)
        steps = self._steps()
        return None if steps is None else len(steps)

    def grid(self) -> list[Any] | None:
        """All its values, None if they cannot be counted."""
        if self.values:
            return None if self.probabilities else list(self.values)
        steps = self._steps()
        if steps is None or self.q is None:
            return None if steps is None else list(steps)
        return [quantised(step * self.q, self.q) for step in steps]

    def _steps(self) -> range | None:
        """Of evenly spaced values, those values or multiples of `q`."""
        if self.distribution == "int_uniform":
            return range(int(self.low), int(self.high) + 1)
        if self.distribution == "q_uniform" and self.q is not None:
            return range(round(self.low / self.q), round(self.high / self.q) + 1)
        return None

    def _choice(self, quantile: float) -> Any:
        if not self.probabilities:
            return self.values[min(int(quantile * len(self.values)), len(self.values) - 1)]
        below = 0.0
        possible = [(v, p) for v, p in zip(self.values, self.probabilities, strict=True) if p > 0]
        for value, probability in possible:
            below += probability
            if quantile < below:
                return value
        return possible[-1][0]

    def _within(self, x: float) -> float:
        """Without what rounding adds at the ends."""
        return min(max(x, self.low), self.high)


def _bell(mu: float, sigma: float, quantile: float) -> float:
    return NormalDist(mu, sigma).inv_cdf(min(max(quantile, 1e-9), 1 - 1e-9))  # the ends lie at infinity


def quantised(x: float, q: float) -> float | int:
    """The multiple of `q` that is nearest to `x`: a whole number if `q` is one, else without the noise of 0.1 * 3."""
    steps = round(x / q)
    return steps * q if isinstance(q, int) else float(f"{steps * q:.12g}")


def read_parameter(name: str, spec: Mapping[str, Any], where: str) -> Parameter:
    """A parameter from its part of the file.

    Args:
        name: With dots where it is nested.
        spec: Keys and values.
        where: The file and the key, for errors.

    Raises:
        InputError: If a key is missing, unknown or wrong.
    """
    kind = spec["distribution"] if "distribution" in spec else _default_distribution(spec, where)
    if kind == "categorical" and "probabilities" in spec:
        kind = "categorical_w_probabilities"
    if not isinstance(kind, str) or kind not in DISTRIBUTIONS:
        raise InputError(f"{where}.distribution: {kind!r} is none of {', '.join(DISTRIBUTIONS)}")
    needed, further = DISTRIBUTIONS[kind]
    for key in sorted(needed - spec.keys()):
        raise InputError(f"{where}: a parameter with the distribution {kind} needs {key}")
    for key in sorted(str(key) for key in spec.keys() - needed - further - {"distribution"}):
        takes = ", ".join(sorted(needed | further))
        raise InputError(f"{where}.{key}: a parameter with the distribution {kind} takes {takes}; remove {key}")
    if kind == "constant":
        return Parameter(name, kind, (spec["value"],))
    if kind.startswith("categorical"):
        return _choices(name, kind, spec, where)
    numbers = {key: read_number(spec[key], f"{where}.{key}") for key in spec if key != "distribution"}
    return _numeric(name, kind, numbers, where)


def _default_distribution(spec: Mapping[str, Any], where: str) -> str:
    if "value" in spec:
        return "constant"
    if "values" in spec:
        return "categorical"
    if {"min", "max"} <= spec.keys():
        whole = all(isinstance(spec[key], int) for key in ("min", "max"))
        return "int_uniform" if whole else "uniform"
    raise InputError(f"{where}: give value, values, min and max, a distribution, or nested parameters")


def _choices(name: str, kind: str, spec: Mapping[str, Any], where: str) -> Parameter:
    values = spec["values"]
    if not isinstance(values, list) or not values:
        raise InputError(f"{where}.values: expected a list of values, got {values!r}")
    given = spec.get("probabilities")
    if given is None:
        return Parameter(name, kind, tuple(values))
    if not isinstance(given, list) or len(given) != len(values):
        raise InputError(f"{where}.probabilities: expected a list of {len(values)} numbers, one for each of values")
    shares = [float(read_number(p, f"{where}.probabilities")) for p in given]
    if min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise InputError(f"{where}.probabilities: they must be at least 0 and add up to 1, not {sum(shares):g}")
    return Parameter(name, kind, tuple(values), tuple(shares))


def _numeric(name: str, kind: str, numbers: Mapping[str, float], where: str) -> Parameter:
    q = numbers.get("q", 1) if kind.startswith("q_") else None
    if q is not None and q <= 0:
        raise InputError(f"{where}.q: must be above 0, got {q}")
    if "normal" in kind:
        if numbers.get("sigma", 1) < 0:
            raise InputError(f"{where}.sigma: must be at least 0, got {numbers['sigma']}")
        furthest = abs(numbers.get("mu", 0.0)) + 7 * numbers.get("sigma", 1.0)  # draws go to 6 sigma
        if furthest > (700 if "log" in kind else 1e300):
            raise InputError(f"{where}: mu and sigma give numbers that are too large; lower them")
        if q is not None and (math.exp(furthest) if "log" in kind else furthest) / q > 1e300:
            raise InputError(f"{where}.q: {q} is too small a step for these numbers")
        return Parameter(name, kind, mu=numbers.get("mu", 0.0), sigma=numbers.get("sigma", 1.0), q=q)
    low, high = numbers["min"], numbers["max"]
    if low > high:
        raise InputError(f"{where}: min {low} is above max {high}; exchange them")
    if not math.isfinite(high - low):
        raise InputError(f"{where}: there are no numbers for all that lies between {low} and {high}; bring them closer")
    if kind == "int_uniform" and (low != int(low) or high != int(high)):
        raise InputError(f"{where}: int_uniform needs whole numbers as min and max; or write distribution: uniform")
    if kind.endswith("values") and low <= 0:
        raise InputError(f"{where}.min: {kind} needs it above 0, got {low}")
    if "log" in kind and not kind.endswith("values"):
        mend = f"min and max of {kind} are natural logarithms; for the values themselves use {kind}_values"
        if low < -700 or high > 700:
            raise InputError(f"{where}: {mend}")
        low, high = (-high, -low) if kind.startswith("inv_") else (low, high)
        low, high = math.exp(low), math.exp(high)
    if q is not None and (high - low) / q > MAX_GRID:
        raise InputError(f"{where}.q: {q} is too small a step from {low:g} to {high:g}")
    return Parameter(name, kind, low=low, high=high, q=q)


def read_number(value: Any, where: str) -> float | int:
    """A number of the file that is finite, also as a float.

    Raises:
        InputError: If it is none.
    """
    try:
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return value
    except OverflowError:
        pass
    raise InputError(f"{where}: expected a number, got {str(value)[:40]!r}")
