"""Runs that go on where they stopped: who is seen at which step follows from a seed and the step.

    steps of a run that are done -> how many were seen -> (round, person) of all that follow
    epoch, and batches of it that are done               -> (epoch, study) of the rest of it

Nothing is remembered between steps. With several processes each takes its turn.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

from volspine.data.lightning import pl
from volspine.data.seeds import rng_for

__all__ = [
    "SETS",
    "EpochTurns",
    "Place",
    "ResumableLoader",
    "StepSampler",
    "Turns",
    "sets_of",
    "training_order",
]

SETS = ("train", "val", "test")

Place = tuple[int, int]
"""Round and person, both from 0."""


def sets_of(stage: str | None) -> tuple[str, ...]:
    """Return the sets that a stage of Lightning needs; all, if it is none of the three.

    Args:
        stage: `fit`, `validate` or `test`.
    """
    needed = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}
    return needed.get(stage or "", SETS)


class StepSampler(DistributedSampler[Place]):
    """Every person once a round, in an order that depends on seed and round alone.

    It is a sampler for several processes, so Lightning leaves it as it is.

    Args:
        size: Number of people.
        length: How many are seen before the sampler ends.
        seed: Of the order.
        start: How many were seen before, and of how many one is seen here, as several processes
            take turns; asked whenever the sampler begins.
    """

    def __init__(
        self, size: int, *, length: int, seed: int, start: Callable[[], tuple[int, int]]
    ) -> None:
        # Not the parent's: it would ask for a process group, which the run already knows.
        self._size, self._length, self._seed, self._start = size, length, seed, start
        self.epoch = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Place]:
        first, step = self._start()
        order: tuple[int, Sequence[int]] = (-1, ())
        for seen in range(first, first + step * self._length, step):
            turn, place = divmod(seen, self._size)
            if order[0] != turn:
                shuffled = np.random.default_rng([self._seed, turn]).permutation(self._size)
                order = (turn, shuffled.tolist())
            yield turn, order[1][place]


@runtime_checkable
class Turns(Protocol):
    """How people are fetched."""

    @property
    def batch_size(self) -> int:
        """People a step."""

    @property
    def steps(self) -> int:
        """Steps that are called an epoch; 0 for as many as see everyone once."""

    @property
    def seed(self) -> int:
        """Of the order."""


def training_order(data: pl.LightningDataModule, size: int, *, draws: Turns) -> StepSampler:
    """Return who is trained on in an epoch, which begins where the run of `data` stands.

    Args:
        data: Whose run it is; with none, the epoch is the first.
        size: Number of people.
        draws: How they are fetched.
    """
    processes = 1 if data.trainer is None else int(data.trainer.world_size)
    steps = draws.steps or max(size // (draws.batch_size * processes), 1)
    return StepSampler(
        size,
        length=steps * draws.batch_size,
        seed=draws.seed,
        start=partial(_stand, data, draws.batch_size),
    )


def _stand(data: pl.LightningDataModule, batch_size: int) -> tuple[int, int]:
    """Return what this process sees next, and how many processes take turns."""
    trainer = data.trainer
    if trainer is None:
        return 0, 1
    processes, mine = int(trainer.world_size), int(trainer.global_rank)
    batches = int(trainer.global_step) * int(trainer.accumulate_grad_batches)
    return batches * batch_size * processes + mine, processes


class EpochTurns(DistributedSampler[Place]):
    """Every study once an epoch, from the batch on at which the run stands.

    The order depends on seed and epoch alone. Of P processes each sees every P-th study, so that a
    step of all of them sees what one process would with P times the batch; where they do not come
    out even, the first studies of the epoch are seen again. It is a sampler for several processes,
    so Lightning leaves it as it is.

    Args:
        size: Number of studies.
        batch_size: Studies a batch of one process.
        seed: Of the order.
        data: Whose run it is; without one, the epoch is that of `set_epoch`, from its beginning.
    """

    def __init__(
        self, size: int, *, batch_size: int, seed: int, data: pl.LightningDataModule
    ) -> None:
        # Not the parent's: it would ask for a process group, which the run already knows.
        self._size, self._batch_size, self._seed, self._data = size, batch_size, seed, data
        self.epoch = 0

    def __len__(self) -> int:
        return math.ceil(self._size / self._processes()[0])

    def __iter__(self) -> Iterator[Place]:
        processes, mine = self._processes()
        epoch, batches = self._stand()
        order = rng_for(self._seed, epoch, "order").permutation(self._size)
        turns = np.resize(order, len(self) * processes)[mine::processes]
        return iter([(epoch, int(index)) for index in turns[batches * self._batch_size :]])

    def _processes(self) -> tuple[int, int]:
        trainer = self._data.trainer
        return (1, 0) if trainer is None else (trainer.world_size, trainer.global_rank)

    def _stand(self) -> tuple[int, int]:
        """Return the epoch, and how many batches of it are done."""
        trainer = self._data.trainer
        if trainer is None or trainer.state.fn != "fit":
            return self.epoch, 0
        loop = trainer.fit_loop
        epochs: Any = loop.epoch_progress  # Its counts are of a kind that its type does not say.
        begun = epochs.total.started == epochs.total.ready
        is_within = begun and epochs.total.processed == epochs.total.started - 1
        done = loop.epoch_loop.batch_progress.current.ready if loop.restarting and is_within else 0
        return int(epochs.current.processed), int(done)


class ResumableLoader(DataLoader[Any]):
    """A loader that may begin in the middle of an epoch: its sampler asks where the run stands.

    It does so when the first batch is asked for, not before: the trainer makes an iterator, whose
    processes would already fetch, before it knows where a run that goes on stands.
    """

    def __iter__(self) -> Any:
        """Begin where the run stands by then."""
        yield from super().__iter__()

    def state_dict(self) -> dict[str, Any]:
        """Return nothing, as there is nothing to remember."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Do nothing."""
