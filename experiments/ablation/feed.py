"""Feed: from a store of crops to the patches of a training step, or of the studies to test on.

In training studies look as in any training of the package (`volspine.data.crop_looks`), but for the
part of it that a variant switches off. In testing points are moved by the localizer's measured
errors, the same for every variant, and nothing else varies.

Shapes: B studies; 25 targets.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ablation.variants import Variant
from volspine.data.crop_looks import AS_LOCATED, Looks
from volspine.data.crop_store import CropStore
from volspine.data.level_batches import LevelDataset, Seen, collate_levels, cut_batch
from volspine.phantom.spec import Noise
from volspine.views import Patches
from volspine.volume.jitter import measured_errors

TEST_POINTS = 77
"""Seed of the errors of the points at which all variants are tested."""


@dataclass(frozen=True)
class Feed:
    """Studies of a store, with the labels of one reader.

    Attributes:
        store: Crops.
        rows: Which studies of it.
        reader: Whose labels.
        device: Where patches are cut.
    """

    store: CropStore
    rows: Sequence[int]
    reader: Noise
    device: torch.device

    def labels(self) -> np.ndarray:
        """Return the labels of all studies, (N, 25)."""
        return np.stack([self.store[row].read_by(self.reader).numpy() for row in self.rows])

    def grades(self) -> np.ndarray:
        """Return the grades of the measured geometry, (N, 25)."""
        return np.stack([self.store[row].grades.numpy() for row in self.rows])

    def training(
        self, variant: Variant, order: Tensor, seed: int
    ) -> Iterator[tuple[Patches, dict[str, Any]]]:
        """Yield the patches and grades of every step.

        Args:
            variant: Says whether there is jitter and mirroring.
            order: (steps, B) places in `rows`.
            seed: Of everything that is drawn.
        """
        usual = Looks()
        looks = replace(
            usual,
            jitter=usual.jitter * variant.jitter,
            mirror=usual.mirror * variant.mirror,
        )
        dataset = self._dataset(looks, seed)
        for step, places in enumerate(order.tolist()):
            batch = self._batch(dataset, [(step, self.rows[place]) for place in places])
            yield batch["patches"], batch

    def testing(self, batch: int) -> Iterator[Patches]:
        """Yield the patches of all studies at points that err, the same at every call."""
        dataset = self._dataset(AS_LOCATED, TEST_POINTS)
        for start in range(0, len(self.rows), batch):
            rows = self.rows[start : start + batch]
            yield self._batch(dataset, [(0, row) for row in rows])["patches"]

    def _dataset(self, looks: Looks, seed: int) -> LevelDataset:
        errors = measured_errors()
        return LevelDataset(self.store, Seen(looks, errors, self.reader, seed, as_crops=True))

    def _batch(self, dataset: LevelDataset, places: list[tuple[int, int]]) -> dict[str, Any]:
        batch = collate_levels([dataset[place] for place in places])
        return cut_batch({name: moved(part, self.device) for name, part in batch.items()})


def moved(part: Any, device: torch.device) -> Any:
    """Return a part of a batch on a device: a tensor, or a tuple of them; the rest as it is."""
    if isinstance(part, Tensor):
        return part.to(device)
    if isinstance(part, tuple) and hasattr(part, "_fields"):
        return type(part)(*(moved(one, device) for one in part))
    return part


def batches(studies: int, steps: int, batch: int, seed: int) -> Tensor:
    """Return the studies of every step, (steps, B): all of them before one comes again."""
    generator = torch.Generator().manual_seed(seed)
    wanted = steps * batch
    rounds = [torch.randperm(studies, generator=generator) for _ in range(-(-wanted // studies))]
    return torch.cat(rounds)[:wanted].view(steps, batch)
