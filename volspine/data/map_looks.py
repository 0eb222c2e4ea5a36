"""Looks: how each person looks at the step where it is seen.

    (round, person) of `data.resuming` -> the person's map with a fresh appearance -> a batch

All of it follows from a seed and from round and person; nothing is remembered between steps.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import Dataset

from volspine.data.resuming import Place
from volspine.phantom.appearance import Sample, sample_generator, sample_map
from volspine.phantom.tissue_map import TissueMap
from volspine.phantom.tissue_map_store import MapStore

__all__ = ["Item", "MapDataset", "collate_samples", "stacked"]

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
