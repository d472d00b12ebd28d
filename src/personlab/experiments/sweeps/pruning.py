"""When a trial ends early: W&B's hyperband, on the values that ledgers hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from personlab.experiments.sweeps.space import Hyperband, Metric


def should_stop(
    values: Sequence[float], others: Iterable[Sequence[float]], metric: Metric, hyperband: Hyperband
) -> bool:
    """Whether a trial is not among the best `1 / eta` at the last bracket that it has reached.

    A bracket is a count of values of the metric. A trial's best value so far counts, with `strict` the value at the
    bracket itself. The first trials to reach a bracket go on, since there is nothing to compare them with.

    Source: W&B's sweeps, `early_terminate`; Li et al., Hyperband, 2018.

    Args:
        values: Of the trial, in the order in which they were logged.
        others: Of all other trials, those that ended too.
        metric: What is compared.
        hyperband: The brackets.
    """
    reached = [band for band in hyperband.bands if band <= len(values)]
    if not reached:
        return False
    band, sign = reached[-1], -1.0 if metric.maximize else 1.0
    costs = sorted(sign * other[band - 1] for other in (*others, values) if len(other) >= band)
    threshold = costs[int(len(costs) / hyperband.eta)]
    own = values[band - 1 : band] if hyperband.strict else values
    return min(sign * value for value in own) > threshold
