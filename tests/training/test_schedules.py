"""Learning-rate schedules: their ends, and that their options matter."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from personlab.errors import InputError
from personlab.training import CosineSchedule, Schedule


def test_constant_is_constant_after_the_warm_up():
    schedule = Schedule(warmup_steps=4)
    assert [schedule.factor(step, 100) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert Schedule().factor(0, 100) == Schedule().factor(99, 100) == 1.0


def test_cosine_falls_from_the_rate_to_its_fraction():
    schedule = CosineSchedule(warmup_steps=10, final_fraction=0.1)
    factors = [schedule.factor(step, 110) for step in range(111)]
    assert factors[:10] == [pytest.approx((step + 1) / 10) for step in range(10)]
    assert factors[10] == pytest.approx(1.0)
    assert factors[60] == pytest.approx(0.55)
    assert factors[110] == pytest.approx(0.1)
    assert all(a >= b for a, b in itertools.pairwise(factors[10:]))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Schedule(-1), "warmup_steps"),
        (lambda: CosineSchedule(-1), "warmup_steps"),
        (lambda: CosineSchedule(final_fraction=-0.1), "final_fraction"),
        (lambda: CosineSchedule(final_fraction=1.1), "final_fraction"),
    ],
)
def test_numbers_out_of_range_are_refused(make, told):
    with pytest.raises(InputError, match=told):
        make()


def test_only_a_schedule_that_falls_needs_to_know_the_end():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    assert Schedule(2).build(optimizer, math.inf).get_last_lr() == [1.0]
    with pytest.raises(InputError, match=r"--trainer\.max_steps"):
        CosineSchedule().build(optimizer, math.inf)


def test_the_scheduler_multiplies_the_optimisers_rate():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    scheduler = CosineSchedule(final_fraction=0.5).build(optimizer, total_steps=2)
    rates = []
    for _ in range(3):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == [pytest.approx(2.0), pytest.approx(1.5), pytest.approx(1.0)]
