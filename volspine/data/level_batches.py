"""Level batches: which study is seen at which step, how it looks there, and the batch of several.

    patches     `Patches`, float32         what a level-mode grader reads, as seen this time
    grades      int64 (B, 25)              labels as read, -1 missing; mirrored where that is seen
    points_mm   float64 (B, 25, 3)         where the targets were taken to be, LPS; NaN not located
    flip        bool (B,)                  whether the mirror image is seen
    study_id    list of B texts

A batch that waits for the accelerator holds `crops`, batched, and `look` instead of `patches`;
`points_mm` of it are added when it is cut there. All of it follows from a seed, the round and the
study.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from volspine.anatomy import MIRRORED_INDEX
from volspine.data.crop_looks import Look, Looks, draw_look, seen_patches, stacked_looks
from volspine.data.crop_store import CropStore
from volspine.data.torchio_transforms import recolour
from volspine.phantom.spec import Noise
from volspine.views import Patches, StudyCrops
from volspine.volume.jitter import ErrorHistogram
from volspine.volume.study_crops import batched

__all__ = ["LevelDataset", "LevelItem", "Seen", "collate_levels", "cut_batch"]


class LevelItem(NamedTuple):
    """A study as it is seen once.

    Attributes:
        name: Of the study.
        grades: (25,) labels of what is seen.
        crops: As stored, or with TorchIO's colours.
        look: How it is seen.
        patches: Of it alone, each (1, ...); None where the accelerator cuts.
        points_mm: (1, 25, 3); None likewise.
    """

    name: str
    grades: Tensor
    crops: StudyCrops
    look: Look
    patches: Patches | None
    points_mm: Tensor | None


@dataclass(frozen=True)
class Seen:
    """How a data set is seen.

    Attributes:
        looks: How much varies.
        errors: Of the localizer.
        noise: Whose labels.
        seed: Of everything drawn.
        as_crops: Leave cutting to whoever has the device.
    """

    looks: Looks
    errors: ErrorHistogram | None
    noise: Noise
    seed: int
    as_crops: bool = False


class LevelDataset(Dataset[LevelItem]):
    """Studies by (round, index), each with a look that follows from these and a seed.

    Args:
        store: Of all studies.
        seen: How they are seen.
    """

    def __init__(self, store: CropStore, seen: Seen) -> None:
        self._store, self._seen = store, seen

    def __len__(self) -> int:
        return len(self._store)

    def __getitem__(self, place: tuple[int, int]) -> LevelItem:
        turn, index = place
        stored, seen = self._store[index], self._seen
        rng = np.random.default_rng([seen.seed, turn, index])
        look = draw_look(seen.looks, seen.errors, rng)
        crops = stored.crops
        if seen.looks.colours_by == "torchio":
            crops = recolour(crops, rng)
        grades = stored.read_by(seen.noise)
        if look.flip:
            grades = grades[list(MIRRORED_INDEX)]
        if seen.as_crops:
            return LevelItem(stored.name, grades, crops, look, None, None)
        patches, points = seen_patches(batched([crops]), stacked_looks([look]))
        return LevelItem(stored.name, grades, crops, look, patches, points)


def collate_levels(items: Sequence[LevelItem]) -> dict[str, Any]:
    """Return a batch; of crops and looks where no patches are cut yet."""
    batch: dict[str, Any] = {
        "grades": torch.stack([item.grades for item in items]),
        "flip": torch.stack([item.look.flip for item in items]),
        "study_id": [item.name for item in items],
    }
    cut = [(item.patches, item.points_mm) for item in items if item.patches is not None]
    if not cut:
        crops = batched([item.crops for item in items])
        return batch | {"crops": crops, "look": stacked_looks([item.look for item in items])}
    patches, points = zip(*cut, strict=True)
    views = range(len(patches[0].images))
    images = tuple(torch.cat([each.images[view] for each in patches]) for view in views)
    covered = tuple(torch.cat([each.covered[view] for each in patches]) for view in views)
    return batch | {"patches": Patches(images, covered), "points_mm": torch.cat(points)}


def cut_batch(batch: dict[str, Any]) -> dict[str, Any]:
    """Return a batch of crops as one of patches, cut where the crops are."""
    patches, points = seen_patches(batch["crops"], batch["look"])
    kept = {name: value for name, value in batch.items() if name not in ("crops", "look")}
    return kept | {"patches": patches, "points_mm": points}
