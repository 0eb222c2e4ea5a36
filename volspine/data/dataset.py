"""From labelled studies to the batches that a grader is trained on.

A batch is a dict, the same for every model:

    volume     float32 (B, 6, I, J, K)   three normalised images, then their masks
    grades     int64   (B, 25)           -1 where missing
    points     float32 (B, 25, 3)        voxel indices (i, j, k); see `has_point`
    has_point  bool    (B, 25)           marked, and inside the grid
    study_id   list of B texts

Own targets may be more or fewer than 25; their batches also have `partner`, int64 (B, T): which
target becomes which when the patient is mirrored. A batch that is augmented where it is moved to
also has `look`, how; see `device_transforms`.

All randomness is a function of (seed, epoch, study), so it depends neither on the number of
workers nor on where a run was interrupted: the sampler hands out (epoch, index) pairs.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from volspine.data.cache import StudyCache
from volspine.data.device_transforms import DeviceAugment, DeviceLook, stacked
from volspine.data.example import Example
from volspine.data.rsna import LabelledStudy
from volspine.data.seeds import rng_for
from volspine.data.transforms import Augment

__all__ = ["Batch", "EpochSampler", "StudyDataset", "collate", "rng_for"]

Batch = dict[str, Any]
Item = tuple[Example, str] | tuple[Example, str, DeviceLook]


class StudyDataset(Dataset[Item]):
    """Labelled studies as examples.

    Args:
        studies: In a fixed order.
        cache: Where voxels come from.
        augment: Applied anew in every epoch; None for none.
        seed: Of the augmentation.
    """

    def __init__(
        self,
        studies: Sequence[LabelledStudy],
        cache: StudyCache,
        *,
        augment: Augment | None = None,
        seed: int = 0,
    ) -> None:
        self.studies = tuple(studies)
        self._cache = cache
        self._augment = augment
        self._seed = seed

    def __len__(self) -> int:
        return len(self.studies)

    def __getitem__(self, place: int | tuple[int, int]) -> Item:
        epoch, index = place if isinstance(place, tuple) else (0, place)
        study = self.studies[index]
        example = self._cache.get(study).example(study.grades)
        if study.partner is not None:
            example = example._replace(partner=torch.tensor(study.partner))
        if self._augment is not None:
            rng = rng_for(self._seed, epoch, study.key)
            if isinstance(self._augment, DeviceAugment):
                return example, study.key, self._augment.look(rng)
            example = self._augment(example, rng, self._cache.grid.spacing_mm)
        return example, study.key


class EpochSampler(Sampler[tuple[int, int]]):
    """Every index once an epoch, in an order that depends on seed and epoch alone.

    Args:
        size: Number of studies.
        shuffle: Whether the order changes from epoch to epoch.
        seed: Of the order.
    """

    def __init__(self, size: int, *, shuffle: bool, seed: int = 0) -> None:
        self._size = size
        self._shuffle = shuffle
        self._seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch; Lightning calls this before each one, also after resuming."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.arange(self._size)
        if self._shuffle:
            order = rng_for(self._seed, self.epoch, "order").permutation(self._size)
        return iter([(self.epoch, int(index)) for index in order])


def collate(items: Sequence[Item]) -> Batch:
    """Return a batch of several studies; see the module's description."""
    examples, keys, *looks = zip(*items, strict=True)
    fields = {
        name: torch.stack([getattr(example, name) for example in examples])
        for name in Example._fields
        if getattr(examples[0], name) is not None
    }
    later = {"look": stacked(looks[0])} if looks else {}
    return {**fields, **later, "study_id": list(keys)}
