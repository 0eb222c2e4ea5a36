"""Looks: which person is seen at which step, and how each looks there.

    a step of a run -> (round, person) -> the person's map with a fresh appearance -> a batch

All of it follows from a seed and from how many were seen before; nothing is remembered between
steps, so a run goes on exactly where it stopped.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from volspine.phantom.appearance import Sample, sample_generator, sample_map
from volspine.phantom.tissue_map import TissueMap
from volspine.phantom.tissue_map_store import MapStore

__all__ = ["Item", "MapDataset", "StepSampler", "collate_samples", "stacked"]

Place = tuple[int, int]
Draw = tuple[int, int, int]
Item = tuple[TissueMap | Sample, Draw, str]


class MapDataset(Dataset[Item]):
    """People by (epoch, index), each with an appearance that follows from these and a seed.

    Args:
        maps: Of all people.
        names: Of the people, in the same order.
        seed: Of the appearances.
        as_maps: Leave the appearance to whoever has the device.
    """

    def __init__(
        self,
        maps: Sequence[TissueMap] | MapStore,
        names: Sequence[str],
        *,
        seed: int,
        as_maps: bool = False,
    ) -> None:
        self._maps, self._names = maps, tuple(names)
        self._seed, self._as_maps = seed, as_maps

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, place: Place) -> Item:
        epoch, index = place
        draw = (self._seed, epoch, index)
        made = self._maps[index]
        seen = made if self._as_maps else sample_map(made, sample_generator(*draw))
        return seen, draw, self._names[index]


class StepSampler(Sampler[Place]):
    """Every person once a round, in an order that depends on seed and round alone.

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
        self._size, self._length, self._seed, self._start = size, length, seed, start

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


def collate_samples(items: Sequence[Item]) -> dict[str, Any]:
    """Return a batch; of maps as they are where they have no appearance yet."""
    seen, draws, names = zip(*items, strict=True)
    samples = [each for each in seen if isinstance(each, Sample)]
    if len(samples) < len(seen):
        return {"maps": list(seen), "draws": list(draws), "study_id": list(names)}
    return stacked(samples, names)


def stacked(samples: Sequence[Sample], names: Sequence[str]) -> dict[str, Any]:
    """Return the batch of samples that are drawn, with the names of their people."""
    fields = {
        name: torch.stack([getattr(sample, name) for sample in samples]) for name in Sample._fields
    }
    return {**fields, "study_id": list(names)}
