"""RsnaDataModule: one or several challenge roots as loaders for fit, validate, test and predict.

What belongs together is set together: `split` says which studies are trained on, `loader` how they
are fetched and kept, `grid` on what they are sampled and `sampling` how, `augment` how they vary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader

from volspine.data.cache import PREPROCESSING_VERSION, StudyCache
from volspine.data.dataset import Batch, EpochSampler, Item, StudyDataset, collate
from volspine.data.device_transforms import see
from volspine.data.lightning import pl
from volspine.data.resuming import EpochTurns, ResumableLoader
from volspine.data.roots import Places, places_of, read_roots
from volspine.data.rsna import LabelledStudy, grade_table
from volspine.data.splits import Split, read_split, split_studies
from volspine.data.transforms import Augment
from volspine.errors import ConfigurationError
from volspine.types import IntArray
from volspine.volume.grid import Grid
from volspine.volume.sample import Sampling

__all__ = ["LoaderPlan", "RsnaDataModule", "SplitPlan", "read_roots", "spread"]

_GRID = Grid()
_SETS = ("train", "val", "test")

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class SplitPlan:
    """Which studies are trained on.

    Attributes:
        val: Fraction below 1, or number of studies, that choose the best checkpoint.
        test: Fraction below 1, or number of studies, that are only ever tested on.
        seed: Another seed gives another split.
        file: JSON file that fixes the split instead; see `volspine.data.splits`.
        groups: CSV file with `study_id,group` where patients have several studies.
    """

    val: float = 0.1
    test: float = 0.3
    seed: int = 0
    file: Path | None = None
    groups: Path | None = None


@dataclass(frozen=True, kw_only=True)
class LoaderPlan:
    """How studies are fetched and kept.

    Attributes:
        batch_size: Studies a step.
        num_workers: Processes that load; 0 loads in the main process.
        in_memory: Keep sampled studies in memory (9 bytes a voxel, in every worker).
        cache_dir: Folder that keeps sampled studies between runs; None for none.
        seed: Of order and augmentation.
        recheck: Training studies, at most, that a test grades too, so that accuracy on studies
            that were trained on stands beside that on studies that were not; 0 for none.
    """

    batch_size: int = 4
    num_workers: int = 0
    in_memory: bool = True
    cache_dir: Path | None = None
    seed: int = 0
    recheck: int = 80

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.num_workers < 0:
            raise ConfigurationError(
                f"batch_size {self.batch_size} with {self.num_workers} workers is impossible",
                remedy="use a batch size from 1 and a number of workers from 0",
                code="VS-CFG-074",
            )


class RsnaDataModule(pl.LightningDataModule):
    """Loaders over one or several challenge roots.

    Args:
        root: Folder of a challenge root, or several that are pooled.
        store: What `volspine prepare` made of it; no DICOM is decoded then. Its own tables are
            read where there is no root.
        grid: On which every study is sampled.
        split: Which studies are trained on.
        loader: How studies are fetched and kept.
        augment: Applied to training studies; None for none.
        shuffle_labels: Give every training and validation study the labels of another one; a
            model trained so must not beat the prior on the test set, which keeps its own.
        sampling: How voxels become those of the grid: `resample` interpolates in the middle of
            each, `cloud` averages the points that land in it.

    Raises:
        ConfigurationError: If there is no such sampling, or neither a root nor a store.
    """

    def __init__(  # noqa: PLR0913  data have these seven properties
        self,
        root: str | list[str] | None = None,
        *,
        store: str | list[str] | None = None,
        grid: Grid = _GRID,
        split: SplitPlan = SplitPlan(),
        loader: LoaderPlan = LoaderPlan(),
        augment: Augment | None = None,
        shuffle_labels: bool = False,
        sampling: Sampling = "resample",
    ) -> None:
        super().__init__()
        self.places = _somewhere(root, store)
        self.grid = grid
        self.plan = split
        self.loader = loader
        self.augment = augment
        self.shuffle_labels = shuffle_labels
        self._cache = StudyCache(
            grid, in_memory=loader.in_memory, folder=loader.cache_dir, sampling=sampling
        )
        self._sets: dict[str, list[LabelledStudy]] = {}
        self.split = Split((), (), ())

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002  # Lightning's signature
        """Read the tables and split the studies; once, whatever the stage.

        Raises:
            TableError: If a table is missing or malformed.
            ConfigurationError: If the split leaves nothing to train on.
        """
        if self._sets:
            return
        studies = self.labelled()
        self.split = self._split(studies)
        by_key = {study.key: study for study in studies}
        sets = {name: [by_key[key] for key in getattr(self.split, name)] for name in _SETS}
        if self.shuffle_labels:
            sets["train"] = with_shuffled_labels(sets["train"], self.loader.seed)
            sets["val"] = with_shuffled_labels(sets["val"], self.loader.seed)
        self._sets = sets

    def labelled(self) -> list[LabelledStudy]:
        """Return every study that has labels and images."""
        return self.places.studies(self.plan.groups)

    def _split(self, studies: Sequence[LabelledStudy]) -> Split:
        plan = self.plan
        if plan.file is not None:
            return read_split(plan.file, studies)
        return split_studies(studies, val=plan.val, test=plan.test, seed=plan.seed)

    def studies(self, name: str) -> list[LabelledStudy]:
        """Return the studies of the `train`, `val` or `test` set, after `setup`."""
        return self._sets[name]

    def known_grades(self) -> IntArray:
        """Return the grades that training may use, shape (N, 25): train and validation sets.

        The prior is taken from these, so that it knows as much as the model.
        """
        return grade_table([*self._sets["train"], *self._sets["val"]])

    def recipe(self) -> dict[str, Any]:
        """Return, as plain data, what prediction must repeat and what was trained on."""
        return {
            "grid": {
                "spacing_mm": [float(step) for step in self.grid.spacing_mm],
                "shape": [int(size) for size in self.grid.shape],
            },
            "sampling": self._cache.sampling,
            "preprocessing_version": PREPROCESSING_VERSION,
            "roots": [root.name for root in self.places.roots],
            "num_studies": {name: len(studies) for name, studies in self._sets.items()},
            "split_seed": self.plan.seed,
            "shuffled_labels": self.shuffle_labels,
        }

    def train_dataloader(self) -> DataLoader[Item]:
        """Return shuffled, augmented training batches."""
        return self._loader("train", augment=self.augment, shuffle=True)

    def val_dataloader(self) -> DataLoader[Item] | list[DataLoader[Item]]:
        """Return validation batches; none where the split has no validation set."""
        return self._loader("val") if self._sets["val"] else []

    def test_dataloader(self) -> DataLoader[Item]:
        """Return test batches.

        Raises:
            ConfigurationError: If the split has no test set.
        """
        if not self._sets["test"]:
            raise ConfigurationError(
                "the split has no test set",
                remedy="set data.split.test to a fraction or a number of studies",
                code="VS-CFG-075",
            )
        return self._loader("test")

    def training_sample(self) -> DataLoader[Item] | list[DataLoader[Item]]:
        """Return batches of `loader.recheck` training studies as they are; none for 0."""
        most = self.loader.recheck
        return self._loader("train", most=most) if most > 0 else []

    def predict_dataloader(self) -> DataLoader[Item]:
        """Return the test batches, for `Trainer.predict`."""
        return self.test_dataloader()

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """Move a batch, and augment it there where that was left for then."""
        look = batch.pop("look", None)  # Small numbers, that are moved where they are used.
        moved: Batch = super().transfer_batch_to_device(batch, device, dataloader_idx)
        return moved if look is None else see(moved, look, self.grid.spacing_mm)

    def _loader(
        self,
        name: str,
        *,
        augment: Augment | None = None,
        shuffle: bool = False,
        most: int | None = None,
    ) -> DataLoader[Item]:
        plan, studies = self.loader, spread(self._sets[name], most)
        dataset = StudyDataset(studies, self._cache, augment=augment, seed=plan.seed)
        size = len(dataset)
        order: EpochSampler | EpochTurns = EpochSampler(size, shuffle=False, seed=plan.seed)
        if shuffle:
            order = EpochTurns(size, batch_size=plan.batch_size, seed=plan.seed, data=self)
        # A last batch of one study breaks batch statistics, so it is left out of that epoch.
        drop_last = shuffle and size > plan.batch_size and len(order) % plan.batch_size == 1
        return ResumableLoader(
            dataset,
            batch_size=plan.batch_size,
            sampler=order,
            num_workers=plan.num_workers,
            collate_fn=collate,
            persistent_workers=plan.num_workers > 0,
            drop_last=drop_last,
        )


def _somewhere(root: str | list[str] | None, store: str | list[str] | None) -> Places:
    places = places_of(root, store)
    if not places.roots:
        raise ConfigurationError(
            "there is neither a root nor a store to learn from",
            remedy="set data.root to a challenge root, or data.store to what was prepared of one",
            code="VS-CFG-323",
        )
    return places


def spread(things: Sequence[T], most: int | None) -> list[T]:
    """Return at most so many things, evenly spread; all if there is no limit.

    Example:
        >>> spread("abcdef", 3)
        ['a', 'c', 'e']
    """
    count = len(things) if most is None else min(most, len(things))
    return [things[n * len(things) // count] for n in range(count)]


def with_shuffled_labels(studies: Sequence[LabelledStudy], seed: int) -> list[LabelledStudy]:
    """Return the studies, each with another's grades; marks, which only say where, stay."""
    order = np.random.default_rng([seed, len(studies)]).permutation(len(studies))
    return [
        replace(study, grades=studies[int(other)].grades)
        for study, other in zip(studies, order, strict=True)
    ]
