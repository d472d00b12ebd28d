"""Which sample comes when, as a pure function of (seed, epoch, position)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data.distributed import DistributedSampler

from personlab.errors import InputError


class Ticket(NamedTuple):
    """What the sampler hands to the data set.

    Attributes:
        epoch: Epoch, from 0.
        position: Place in the order of the epoch, over all ranks.
        sample: Index of the sample in the data set.
    """

    epoch: int
    position: int
    sample: int


def sample_generator(seed: int, epoch: int, position: int) -> np.random.Generator:
    """The random numbers of one sample, whoever draws it and whenever.

    Counter-based: the key is (seed, epoch), the counter starts in a part of its own for every position.
    """
    key, counter = np.array([seed, epoch], np.uint64), np.array([0, 0, position, 1], np.uint64)
    return np.random.Generator(np.random.Philox(counter=counter, key=key))


class DeterministicSampler(DistributedSampler[Ticket]):
    """Order of the samples, and this process's share of it.

    The order of an epoch depends on (seed, epoch) only; position p goes to rank `p % world_size` (counted from
    `start_position`), so the union of what the ranks take for a step does not depend on how many they are.

    It is a `DistributedSampler` in name, because Lightning leaves those alone and would shard any other a second time.

    Args:
        length: Number of samples in the data set.
        seed: Seed of the order, 0 or more.
        shuffle: Permute anew in every epoch; otherwise the order is 0, 1, 2, ...
        rank: This process.
        world_size: Number of processes.
        drop_tail: Training: leave out the last positions that do not make a step of all ranks, so that all take equally
            many. Evaluation: False, and every sample is taken by exactly one rank, without padding.
        samples_a_step: Samples that one rank takes for an optimisation step, for `drop_tail`.
        start_epoch: The first epoch; later ones are announced by `set_epoch`.
        start_position: Positions of `start_epoch` that are done already, to go on in the middle of it.
        progress: Asked for (epoch, positions of it that are done) whenever an iteration begins, in the place of
            `set_epoch` and the two above.

    Raises:
        InputError: If the seed is negative, or the start is not inside the data set.
    """

    def __init__(
        self,
        length: int,
        seed: int = 0,
        *,
        shuffle: bool = True,
        rank: int = 0,
        world_size: int = 1,
        drop_tail: bool = True,
        samples_a_step: int = 1,
        start_epoch: int = 0,
        start_position: int = 0,
        progress: Callable[[], tuple[int, int]] | None = None,
    ) -> None:
        """Check the seed and the start."""
        if seed < 0:
            raise InputError(f"seed {seed}: must be 0 or more")
        if not 0 <= start_position <= length:
            raise InputError(
                f"start position {start_position}: must lie between 0 and the {length} samples of an epoch"
            )
        super().__init__(
            range(length),  # type: ignore[arg-type]
            num_replicas=world_size,
            rank=rank,
            shuffle=shuffle,
            seed=seed,
            drop_last=drop_tail,
        )
        self.length = length
        self.world_size = world_size
        self.samples_a_step = samples_a_step
        self.epoch = start_epoch
        self._start = (start_epoch, start_position)
        self._progress = progress

    def order(self, epoch: int) -> NDArray[np.int64]:
        """`(length,)`: the sample at every position of an epoch."""
        if not self.shuffle:
            return np.arange(self.length)
        # Sorted raw bits: unlike Generator.permutation, their stream never changes between numpy releases.
        key = np.array([self.seed, epoch], np.uint64)
        return np.argsort(np.random.Philox(key=key).random_raw(self.length), kind="stable")

    def __iter__(self) -> Iterator[Ticket]:
        """This rank's tickets for the present epoch."""
        if self._progress is not None:
            epoch, start = self._progress()
        else:
            epoch, start = self.epoch, self._start[1] if self.epoch == self._start[0] else 0
        step = self.world_size * self.samples_a_step
        end = self.length - (self.length - start) % step if self.drop_last else self.length
        order = self.order(epoch)
        for position in range(start + self.rank, end, self.world_size):
            yield Ticket(epoch, position, int(order[position]))

    def __len__(self) -> int:
        """Tickets of this rank in a whole epoch."""
        if self.drop_last:
            return self.length // (self.world_size * self.samples_a_step) * self.samples_a_step
        return len(range(self.rank, self.length, self.world_size))
