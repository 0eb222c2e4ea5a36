"""PhantomMaps: tissue maps of people who never were, each seen anew at every step.

A folder keeps one map a person; those that are missing are rendered first. Contrast, coil, field of
view and pose are drawn anew whenever a person is seen, so a run never sees a picture twice. Step s
of a run always sees the same pictures, whatever the number of workers and wherever it was
interrupted: they follow from the seed and from how many were seen before.

    image         float32 (B, 1, I, J, K)   raw intensities on `MAP_GRID`
    mask          bool    (B, 1, I, J, K)   what was measured
    points_index  float32 (B, 27, 3)        fractional voxel indices
    visible       bool    (B, 27)           which points are in view
    study_id      list of B texts
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader

from volspine.data.lightning import pl
from volspine.data.map_looks import Item, MapDataset, collate_samples, stacked
from volspine.data.resuming import SETS, ResumableLoader, sets_of, training_order
from volspine.errors import ConfigurationError
from volspine.phantom.appearance import sample_generator, sample_map
from volspine.phantom.appearance_place import MAP_GRID
from volspine.phantom.spec import Spec
from volspine.phantom.tissue_map_store import MapStore, map_specs, write_maps

if TYPE_CHECKING:
    from volspine.jobs import Progress

__all__ = ["Draws", "People", "PhantomMaps"]


@dataclass(frozen=True, kw_only=True)
class People:
    """How many people there are, and which.

    Attributes:
        train: Number of people that are trained on.
        val: Number that choose the best checkpoint; 0 for none.
        test: Number that are only ever tested on.
        train_seed: People of another seed are other people.
        val_seed: Of the validation set.
        test_seed: Of the test set.
        workers: Processes that render maps.
    """

    train: int = 700
    val: int = 40
    test: int = 100
    train_seed: int = 900
    val_seed: int = 990
    test_seed: int = 991
    workers: int = 1

    def __post_init__(self) -> None:
        seeds = {self.train_seed, self.val_seed, self.test_seed}
        if self.train < 1 or min(self.val, self.test) < 0 or self.workers < 1 or len(seeds) < 3:
            raise ConfigurationError(
                f"{self.train}, {self.val} and {self.test} people of the seeds {sorted(seeds)} "
                "are impossible",
                remedy="train on one person or more, and give each set a seed of its own",
                code="VS-CFG-103",
            )

    def specs(self, name: str) -> list[Spec]:
        """Return the people of the `train`, `val` or `test` set."""
        return map_specs(getattr(self, name), seed=getattr(self, f"{name}_seed"))


@dataclass(frozen=True, kw_only=True)
class Draws:
    """How people are seen.

    Attributes:
        batch_size: Pictures a step.
        steps: Steps that are called an epoch, at whose end checkpoints are written.
        num_workers: Processes that draw; 0 draws in the main process.
        seed: Of order and appearance.
        on_device: Draw appearances on the accelerator rather than in the workers.
    """

    batch_size: int = 2
    steps: int = 200
    num_workers: int = 0
    seed: int = 0
    on_device: bool = False

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.steps < 1 or self.num_workers < 0:
            raise ConfigurationError(
                f"batch_size {self.batch_size}, steps {self.steps} and {self.num_workers} workers "
                "are impossible",
                remedy="use a batch size and a number of steps from 1, and workers from 0",
                code="VS-CFG-104",
            )


_PEOPLE, _DRAWS = People(), Draws()


class PhantomMaps(pl.LightningDataModule):
    """Loaders over the tissue maps of one folder.

    With several processes (DDP) they take turns: a step of all of them sees what one process would
    with as many times the batch.

    Args:
        maps: Folder of the maps; made and filled if need be.
        people: Who is in it.
        draws: How they are seen.

    Attributes:
        progress: Called with how many maps of a set are there and how many are wanted.
    """

    def __init__(self, maps: str, *, people: People = _PEOPLE, draws: Draws = _DRAWS) -> None:
        super().__init__()
        self.maps = Path(maps)
        self.people = people
        self.draws = draws
        self.progress: Progress | None = None
        self._maps: dict[str, MapStore] = {}

    def setup(self, stage: str | None = None) -> None:
        """Render the maps that are missing.

        Args:
            stage: `fit`, `validate` or `test`; those of all sets if omitted.

        Raises:
            OutputError: If a map cannot be written.
        """
        for name in sets_of(stage):
            specs = self.people.specs(name)
            if specs and name not in self._maps:
                self._maps[name] = write_maps(
                    specs, self.maps, workers=self.people.workers, progress=self.progress
                )

    def studies(self, name: str) -> list[str]:
        """Return the names of the people of the `train`, `val` or `test` set."""
        return [f"{spec.cohort.value}-{spec.seed}-{spec.index}" for spec in self.people.specs(name)]

    def recipe(self) -> dict[str, Any]:
        """Return, as plain data, what was trained on and on what grid."""
        return {
            "grid": {"spacing_mm": list(MAP_GRID.spacing_mm), "shape": list(MAP_GRID.shape)},
            "people": {name: getattr(self.people, name) for name in SETS},
            "seeds": {name: getattr(self.people, f"{name}_seed") for name in SETS},
            "batch_size": self.draws.batch_size,
            "draw_seed": self.draws.seed,
        }

    def train_dataloader(self) -> DataLoader[Item]:
        """Return training batches, which begin where the run stands."""
        order = training_order(self, len(self._maps["train"]), draws=self.draws)
        return self._loader("train", order)

    def val_dataloader(self) -> DataLoader[Item] | list[DataLoader[Item]]:
        """Return validation batches, always the same; none without a validation set."""
        return self._fixed("val") if self.people.val else []

    def test_dataloader(self) -> DataLoader[Item]:
        """Return test batches, always the same.

        Raises:
            ConfigurationError: If there are no people to test on.
        """
        if not self.people.test:
            raise ConfigurationError(
                "there is no one to test on",
                remedy="set data.people.test to a number of people",
                code="VS-CFG-105",
            )
        return self._fixed("test")

    def transfer_batch_to_device(
        self, batch: dict[str, Any], device: torch.device, dataloader_idx: int
    ) -> dict[str, Any]:
        """Draw the appearances there where the batch is still maps."""
        if "maps" not in batch:
            moved: dict[str, Any] = super().transfer_batch_to_device(batch, device, dataloader_idx)
            return moved
        drawn = [
            sample_map(made, sample_generator(*draw, device=device))
            for made, draw in zip(batch["maps"], batch["draws"], strict=True)
        ]
        return stacked(drawn, batch["study_id"])

    def _fixed(self, name: str) -> DataLoader[Item]:
        return self._loader(name, [(0, n) for n in range(len(self._maps[name]))])

    def _loader(self, name: str, order: Any) -> DataLoader[Item]:
        draws = self.draws
        # Sets differ in their seed, so that no two people of them are seen in one and the same way;
        # what runs are compared on does not depend on theirs.
        dataset = MapDataset(
            self._maps[name],
            self.studies(name),
            seed=len(SETS) * draws.seed if name == "train" else SETS.index(name),
            as_maps=draws.on_device,
        )
        return ResumableLoader(
            dataset,
            batch_size=draws.batch_size,
            sampler=order,
            num_workers=draws.num_workers,
            collate_fn=collate_samples,
            persistent_workers=draws.num_workers > 0 and name == "train",
        )
