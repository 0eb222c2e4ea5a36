"""RefinerPatches: loaders over the foramina of people who never were, for a point refiner.

The crops are those of `LevelCrops`, in the same folder; those that are missing are rendered first.
Each study gives 20 patches, both foramina of the five levels on sagittal T1 and T2, about places
that are as far from the true ones as a localizer's, and `widen_mm` further: people of other making
are found less well than those who taught it.

    patches    float32 (N, D, S, S)     as `volume.patches.cut_patches` gives them
    true_mm    float32 (N, 2)           true place along rows and columns, from the patch's middle
    study_id   list of texts, one a study

Patches of which the middle slice was not measured are left out. Step s of a run always sees the
same patches, whatever the number of workers and wherever it was interrupted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from volspine.anatomy import LEVELS, PROTOCOLS, TARGETS
from volspine.data.crop_store import CropStore, person_name, render_crops
from volspine.data.level_people import CropDraws, CropPeople
from volspine.data.lightning import pl
from volspine.data.refiner_looks import any_contrast, with_gaps
from volspine.data.resuming import ResumableLoader, sets_of, training_order
from volspine.models.point_refiner import REFINED_VIEWS
from volspine.views import TOKENS, VIEWS, StudyCrops
from volspine.volume.jitter import ErrorHistogram, measured_errors
from volspine.volume.patches import Moves, cut_patches
from volspine.volume.study_crops import batched

if TYPE_CHECKING:
    from volspine.jobs import Progress

__all__ = ["FarLooks", "RefinerPatches", "far_patches"]

_FARTHEST_MM = 8.0
"""Largest part of an error that `widen_mm` adds along an axis; a patch shows some 12 mm."""

_SIDED = np.array([t.side is not None for t in TARGETS])
_MOVED = [n for n, (view, _) in enumerate(TOKENS) if view in REFINED_VIEWS]

Item = tuple[str, Tensor, Tensor]


@dataclass(frozen=True, kw_only=True)
class FarLooks:
    """How far off patches are, and how they vary.

    Attributes:
        widen_mm: Standard deviation along each axis that is added to a localizer's errors.
        turn_deg: Standard deviation of the turn of a patch.
        zoom: Standard deviation of the logarithm of its size.
        colours: Whether brightness is changed and parts are taken away.
    """

    widen_mm: float = 3.0
    turn_deg: float = 8.0
    zoom: float = 0.12
    colours: bool = True


_PEOPLE = CropPeople(train={"rsna_like": 150, "probe": 150}, val={"rsna_like": 20, "probe": 20})
_DRAWS, _LOOKS = CropDraws(batch_size=4, steps=200), FarLooks()
_PLAIN = FarLooks(widen_mm=2.0, turn_deg=0.0, zoom=0.0, colours=False)


class RefinerPatches(pl.LightningDataModule):
    """Loaders over the foramina in one folder of crops.

    Args:
        crops: Folder of the crops; made and filled if need be.
        people: Who is in it.
        draws: How studies are fetched.
        looks: How much their patches vary in training.

    Attributes:
        progress: Called with how many studies of a set are there and how many are wanted.
    """

    def __init__(
        self,
        crops: str,
        *,
        people: CropPeople = _PEOPLE,
        draws: CropDraws = _DRAWS,
        looks: FarLooks = _LOOKS,
    ) -> None:
        super().__init__()
        self.crops = Path(crops)
        self.people, self.draws, self.looks = people, draws, looks
        self.progress: Progress | None = None
        self._stores: dict[str, CropStore] = {}

    def setup(self, stage: str | None = None) -> None:
        """Render the crops that are missing.

        Args:
            stage: `fit`, `validate` or `test`; those of all sets if omitted.

        Raises:
            OutputError: If a file cannot be written.
        """
        for name in sets_of(stage):
            if name not in self._stores and (specs := self.people.specs(name)):
                self._stores[name] = render_crops(
                    specs, self.crops, workers=self.people.workers, progress=self.progress
                )

    def studies(self, name: str) -> list[str]:
        """Return the names of the people of the `train`, `val` or `test` set."""
        return [person_name(spec) for spec in self.people.specs(name)]

    def recipe(self) -> dict[str, Any]:
        """Return, as plain data, who was trained on."""
        return {"people": dict(self.people.train), "seed": self.people.train_seed}

    def train_dataloader(self) -> DataLoader[Item]:
        """Return training batches, which begin where the run stands."""
        order = training_order(self, len(self._stores["train"]), draws=self.draws)
        return self._loader("train", order, self.looks)

    def val_dataloader(self) -> DataLoader[Item] | list[DataLoader[Item]]:
        """Return validation batches, always the same; none without a validation set."""
        return self._fixed("val") if "val" in self._stores else []

    def test_dataloader(self) -> DataLoader[Item] | list[DataLoader[Item]]:
        """Return test batches, always the same; none without a test set."""
        return self._fixed("test") if "test" in self._stores else []

    def _fixed(self, name: str) -> DataLoader[Item]:
        return self._loader(name, [(0, n) for n in range(len(self._stores[name]))], _PLAIN)

    def _loader(self, name: str, order: Any, looks: FarLooks) -> DataLoader[Item]:
        seed = self.draws.seed + 1 if name == "train" else 0
        return ResumableLoader(
            _Patches(self._stores[name], looks, seed),
            batch_size=self.draws.batch_size,
            sampler=order,
            num_workers=self.draws.num_workers,
            collate_fn=_collate,
        )


class _Patches(Dataset[Item]):
    """The patches of studies by (round, index)."""

    def __init__(self, store: CropStore, looks: FarLooks, seed: int) -> None:
        self._store, self._looks, self._seed = store, looks, seed
        self._errors = measured_errors()

    def __len__(self) -> int:
        return len(self._store)

    def __getitem__(self, place: tuple[int, int]) -> Item:
        rng = np.random.default_rng([self._seed, *place])
        stored = self._store[place[1]]
        return stored.name, *far_patches(stored.crops, self._looks, self._errors, rng)


def far_patches(
    crops: StudyCrops, looks: FarLooks, errors: ErrorHistogram, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return patches of the foramina of a study about places beside them, and where they are.

    Args:
        crops: Not batched, about the true places.
        looks: How much varies.
        errors: Of a localizer.
        rng: Where all chance comes from.
    """
    drawn = errors.draw(rng, len(LEVELS)).transpose(1, 0, 2).reshape(len(TARGETS), 3)
    wide = (rng.standard_normal(drawn.shape) * looks.widen_mm).clip(-_FARTHEST_MM, _FARTHEST_MM)
    points = crops.points_mm + torch.from_numpy((drawn + wide) * _SIDED[:, None])
    turn, size = rng.standard_normal((2, 1, len(TOKENS)))
    moves = Moves(
        turn=torch.from_numpy(turn * np.deg2rad(looks.turn_deg)),
        zoom=torch.from_numpy(np.exp(size * looks.zoom)),
        shift_mm=torch.zeros(1, len(TOKENS), 2, dtype=torch.float64),
    )
    made = cut_patches(batched([crops]), points[None], moves=moves)
    patches = torch.cat([made.images[view][0] for view in REFINED_VIEWS])
    covered = torch.cat([made.covered[view][0] for view in REFINED_VIEWS])
    true_mm = _true_mm(crops, points, moves)
    kept = (covered[:, covered.shape[1] // 2] > 0) & true_mm.isfinite().all(dim=1)
    patches, true_mm = patches[kept], true_mm[kept]
    if looks.colours and len(patches):
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        patches = with_gaps(any_contrast(patches, generator), generator)
    return patches, true_mm.float()


def _true_mm(crops: StudyCrops, points_mm: Tensor, moves: Moves) -> Tensor:
    """Return where in each patch the true place is, along rows and columns, (20, 2)."""
    views, targets = (list(part) for part in zip(*(TOKENS[n] for n in _MOVED), strict=True))
    level = [LEVELS.index(TARGETS[t].level) for t in targets]
    protocol = [PROTOCOLS.index(VIEWS[v].protocol) for v in views]
    linear = crops.affine_lps[level, protocol, :3, :3]
    away = (crops.points_mm - points_mm)[targets]
    index = torch.linalg.solve(linear, away[..., None])[..., 0]
    plane = index[:, 1:] * linear.norm(dim=1)[:, 1:]
    cosine, sine = moves.turn[0, _MOVED].cos(), moves.turn[0, _MOVED].sin()
    back = torch.stack([cosine, sine, -sine, cosine], dim=-1).reshape(-1, 2, 2)
    seen: Tensor = (back @ plane[..., None])[..., 0]
    return seen * moves.zoom[0, _MOVED, None]


def _collate(items: Sequence[Item]) -> dict[str, Any]:
    names, patches, true_mm = zip(*items, strict=True)
    return {
        "patches": torch.cat(patches), "true_mm": torch.cat(true_mm), "study_id": list(names)
    }  # fmt: skip
