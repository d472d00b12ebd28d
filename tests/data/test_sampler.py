"""The order is a function of (seed, epoch); ranks share it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personlab.data.sampler import DeterministicSampler, Ticket, sample_generator
from personlab.errors import InputError


def _take(sampler: DeterministicSampler, epoch: int) -> list[Ticket]:
    sampler.set_epoch(epoch)
    return list(sampler)


def test_order_is_a_permutation_that_changes_with_epoch_and_seed_only() -> None:
    sampler = DeterministicSampler(50, seed=3)
    first, second = _take(sampler, 0), _take(sampler, 1)
    assert sorted(t.sample for t in first) == list(range(50))
    assert [t.position for t in first] == list(range(50))
    assert {t.epoch for t in second} == {1}
    assert [t.sample for t in first] != [t.sample for t in second]
    assert first == _take(DeterministicSampler(50, seed=3), 0) == _take(sampler, 0)
    assert first != _take(DeterministicSampler(50, seed=4), 0)
    assert [t.sample for t in _take(DeterministicSampler(50, shuffle=False), 5)] == list(range(50))


def test_order_is_frozen() -> None:
    """Resuming a run with another release of numpy must not change its order."""
    assert DeterministicSampler(8, seed=0).order(0).tolist() == [0, 2, 1, 5, 4, 3, 6, 7]


@settings(deadline=None, max_examples=30)
@given(length=st.integers(1, 40), world=st.integers(1, 5), epoch=st.integers(0, 3), start=st.integers(0, 40))
def test_global_steps_do_not_depend_on_the_number_of_ranks(length: int, world: int, epoch: int, start: int) -> None:
    start = min(start, length)
    whole = _take(DeterministicSampler(length, 1), epoch)[start:]
    shares = [
        list(DeterministicSampler(length, 1, rank=r, world_size=world, start_epoch=epoch, start_position=start))
        for r in range(world)
    ]
    assert len({len(s) for s in shares}) == 1
    together = [ticket for step in zip(*shares, strict=True) for ticket in step]
    assert together == whole[: len(whole) // world * world]


@settings(deadline=None, max_examples=30)
@given(length=st.integers(1, 40), world=st.integers(1, 5))
def test_evaluation_takes_every_image_exactly_once(length: int, world: int) -> None:
    shares = [
        DeterministicSampler(length, shuffle=False, rank=r, world_size=world, drop_tail=False) for r in range(world)
    ]
    taken = [ticket.sample for share in shares for ticket in share]
    assert sorted(taken) == list(range(length))
    assert [len(share) for share in shares] == [len(list(share)) for share in shares]


def test_a_resumed_epoch_is_followed_by_whole_ones() -> None:
    sampler = DeterministicSampler(10, seed=2, start_epoch=4, start_position=7)
    assert [t.position for t in sampler] == [7, 8, 9]
    assert len(_take(sampler, 5)) == len(sampler) == 10


def test_progress_is_asked_whenever_an_iteration_begins() -> None:
    progress = (3, 8)
    sampler = DeterministicSampler(10, seed=2, progress=lambda: progress)
    assert [(t.epoch, t.position) for t in sampler] == [(3, 8), (3, 9)]
    progress = (4, 0)
    assert [t.sample for t in sampler] == sampler.order(4).tolist()


def test_generators_differ_by_everything_and_repeat() -> None:
    def draw(*key: int) -> tuple[float, ...]:
        return tuple(sample_generator(*key).random(1000))

    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    streams = [draw(*key) for key in keys]
    assert streams == [draw(*key) for key in keys]
    assert len(set().union(*map(set, streams))) == 4000
    assert abs(np.mean([sample_generator(0, 0, p).random() for p in range(400)]) - 0.5) < 0.06


def test_bad_arguments() -> None:
    with pytest.raises(InputError, match="seed -1"):
        DeterministicSampler(5, -1)
    with pytest.raises(InputError, match="start position 6"):
        DeterministicSampler(5, start_position=6)


def test_every_epoch_is_made_of_whole_steps() -> None:
    # 23 samples, steps of 2 ranks x 4 samples: 2 steps, and 7 samples are left out.
    shares = [list(DeterministicSampler(23, rank=r, world_size=2, samples_a_step=4)) for r in range(2)]
    assert [len(share) for share in shares] == [8, 8]
    assert sorted(t.position for share in shares for t in share) == list(range(16))
    assert len(DeterministicSampler(23, rank=0, world_size=2, samples_a_step=4)) == 8
    # Going on after the first step, with another number of ranks.
    later = list(DeterministicSampler(23, world_size=1, samples_a_step=8, start_position=8))
    assert [t.position for t in later] == list(range(8, 16))
