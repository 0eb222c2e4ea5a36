"""LevelCrops: loaders over the levels of studies, for a level-mode grader.

A folder keeps the crops of each study; those that are missing are rendered first. They are of
people who never were, given as counts of each cohort; or of a challenge root, whose studies are
split as `RsnaDataModule` splits them. Places, mirror, moves and colours are drawn anew whenever a
study is seen. Step s of a run always sees the same, whatever the number of workers and wherever it
was interrupted. Batches are those of `level_batches`.
"""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from volspine.data.crop_looks import AS_THEY_ARE, Looks
from volspine.data.crop_root import Locate, crop_root
from volspine.data.crop_store import VERSION, CropStore, person_name, render_crops
from volspine.data.datamodule import SplitPlan, spread
from volspine.data.level_batches import LevelDataset, LevelItem, Seen, collate_levels, cut_batch
from volspine.data.level_people import CropDraws, CropPeople
from volspine.data.lightning import pl
from volspine.data.resuming import SETS, ResumableLoader, sets_of, training_order
from volspine.data.roots import places_of
from volspine.data.rsna import LabelledStudy
from volspine.data.splits import read_split, split_studies
from volspine.errors import ConfigurationError
from volspine.types import IntArray
from volspine.views import CROPPED, VIEWS
from volspine.volume.jitter import measured_errors

if TYPE_CHECKING:
    from volspine.jobs import Progress

__all__ = ["CropDraws", "CropPeople", "LevelCrops"]

_PEOPLE, _DRAWS, _LOOKS, _SPLIT = CropPeople(), CropDraws(), Looks(), SplitPlan()


class LevelCrops(pl.LightningDataModule):
    """Loaders over the crops of one folder.

    With several processes (DDP) they take turns: a step of all of them sees what one process would
    with as many times the batch.

    Args:
        crops: Folder of the crops; made and filled if need be.
        people: Who is in it, unless there is a root or a store.
        draws: How studies are fetched.
        looks: How much they vary in training.
        root: Folder of a challenge root, or several that are pooled, instead of people.
        split: Which studies of a root are trained on.
        store: What `volspine prepare` made of the root; no DICOM is decoded then. Its own tables
            are read where there is no root.
        localizer: Checkpoint of a localizer, or a model folder that has one, or `demo` for that of
            the package: it finds the targets of a root's studies, instead of their marks.

    Attributes:
        locate: The localizer at work; whoever makes a module with `localizer` sets it.
        progress: Called with how many studies of a set are there and how many are wanted.
    """

    def __init__(  # noqa: PLR0913  crops come from these
        self,
        crops: str,
        *,
        people: CropPeople = _PEOPLE,
        draws: CropDraws = _DRAWS,
        looks: Looks = _LOOKS,
        root: str | list[str] | None = None,
        split: SplitPlan = _SPLIT,
        store: str | list[str] | None = None,
        localizer: str | None = None,
    ) -> None:
        super().__init__()
        self.crops, self.localizer = Path(crops), localizer
        self.people, self.draws, self.looks = people, draws, looks
        self.places = places_of(root, store)
        self.plan = split
        self.locate: Locate | None = None
        self.progress: Progress | None = None
        self._errors = measured_errors()
        self._stores: dict[str, CropStore] = {}
        self._real: dict[str, list[LabelledStudy]] = {}

    def setup(self, stage: str | None = None) -> None:
        """Render, or cut out of a root, what is missing.

        Args:
            stage: `fit`, `validate` or `test`; all sets if omitted.

        Raises:
            OutputError: If a file cannot be written.
            TableError: If a table of a root is missing or malformed.
            VolspineError: If a study of a root, or a store, cannot be read.
        """
        if self.places.roots and not self._real:
            self._real = self._split()
        for name in sets_of(stage):
            if name not in self._stores and self.studies(name):
                self._stores[name] = self._filled(name)

    def _filled(self, name: str, *, most: int | None = None) -> CropStore:
        how: dict[str, Any] = {"workers": self.people.workers, "progress": self.progress}
        if self.places.roots:
            self._check_located()
            studies = spread(self._real[name], most)
            return crop_root(studies, self.crops, locate=self.locate, **how)
        return render_crops(spread(self.people.specs(name), most), self.crops, **how)

    def _check_located(self) -> None:
        if self.localizer and self.locate is None:
            raise ConfigurationError(
                f"the localizer {self.localizer} was named and not loaded",
                remedy="set .locate to volspine.inference.located_by.LocatedBy(localizer)",
                code="VS-CFG-431",
            )

    def _split(self) -> dict[str, list[LabelledStudy]]:
        studies, plan = self.labelled(), self.plan
        if plan.file is not None:
            split = read_split(plan.file, studies)
        else:
            split = split_studies(studies, val=plan.val, test=plan.test, seed=plan.seed)
        by_key = {study.key: study for study in studies}
        return {name: [by_key[key] for key in getattr(split, name)] for name in SETS}

    def labelled(self) -> list[LabelledStudy]:
        """Return every study of the roots or stores that has labels and images; of people none."""
        return self.places.studies(self.plan.groups) if self.places.roots else []

    def studies(self, name: str) -> list[str]:
        """Return the names of the studies of the `train`, `val` or `test` set, after `setup`."""
        if self.places.roots:
            return [study.key for study in self._real[name]]
        return [person_name(spec) for spec in self.people.specs(name)]

    def known_grades(self) -> IntArray:
        """Return the labels that training may use, (N, 25): of the train and validation sets.

        The prior is taken from these, so that it knows as much as the model.
        """
        sets = [name for name in ("train", "val") if name in self._stores]
        return np.concatenate([self.labels(name) for name in sets])

    def labels(self, name: str) -> IntArray:
        """Return the labels of a set in the order of `studies`, (N, 25); -1 where missing."""
        return self._stores[name].labels(self.people.reader(name))

    def recipe(self) -> dict[str, Any]:
        """Return, as plain data, what was trained on, how it varied and what is looked at."""
        people = {
            "people": {name: dict(getattr(self.people, name)) for name in SETS},
            "seeds": {name: getattr(self.people, f"{name}_seed") for name in SETS},
            "noise": {name: self.people.reader(name).value for name in SETS},
        }
        roots = {
            "roots": [root.name for root in self.places.roots],
            "located_by": "marks" if self.locate is None else self.locate.digest,
            "num_studies": {name: len(found) for name, found in self._real.items()},
            "split_seed": self.plan.seed,
        }
        return {
            **(roots if self.places.roots else people),
            "crops": _plain_crops(),
            "crops_version": VERSION,
            "views": {v.name: [v.slices, v.pixels, v.pixel_mm] for v in VIEWS},
            "looks": asdict(self.looks),
            "jitter_source": self._errors.source,
            "batch_size": self.draws.batch_size,
            "draw_seed": self.draws.seed,
        }

    def train_dataloader(self) -> DataLoader[LevelItem]:
        """Return training batches, which begin where the run stands."""
        store = self._stores["train"]
        seen = self._seen("train", self.looks, len(SETS) * (self.draws.seed + 1))
        order = training_order(self, len(store), draws=self.draws)
        return self._loader(LevelDataset(store, seen), order, persistent=True)

    def val_dataloader(self) -> DataLoader[LevelItem] | list[DataLoader[LevelItem]]:
        """Return validation batches, always the same; none without a validation set."""
        return self._fixed("val") if "val" in self._stores else []

    def test_dataloader(self) -> DataLoader[LevelItem]:
        """Return test batches, always the same.

        Raises:
            ConfigurationError: If there is no study to test on.
        """
        if "test" not in self._stores:
            raise ConfigurationError(
                "there is no study to test on",
                remedy="set data.people.test or data.split.test to some",
                code="VS-CFG-145",
            )
        return self._fixed("test")

    def training_sample(self) -> DataLoader[LevelItem] | list[DataLoader[LevelItem]]:
        """Return batches of `draws.recheck` training studies as tests see theirs; none for 0."""
        most = self.draws.recheck
        return self._as_tested(self._filled("train", most=most), "train") if most > 0 else []

    def predict_dataloader(self) -> DataLoader[LevelItem]:
        """Return the test batches, for `Trainer.predict`."""
        return self.test_dataloader()

    def transfer_batch_to_device(
        self, batch: dict[str, Any], device: torch.device, dataloader_idx: int
    ) -> dict[str, Any]:
        """Move a batch, and cut its patches there where it is still crops."""
        look = batch.pop("look", None)  # Small numbers, that are moved where they are used.
        moved: dict[str, Any] = super().transfer_batch_to_device(batch, device, dataloader_idx)
        return moved if look is None else cut_batch({**moved, "look": look})

    def _fixed(self, name: str) -> DataLoader[LevelItem]:
        return self._as_tested(self._stores[name], name)

    def _as_tested(self, store: CropStore, name: str) -> DataLoader[LevelItem]:
        # Sets differ in their seed; what runs are compared on does not depend on theirs.
        # What a localizer found is as far off as it is.
        errs = self.draws.located and not self.localizer
        looks = replace(AS_THEY_ARE, jitter=self.looks.jitter * errs)
        seen = self._seen(name, looks, SETS.index(name))
        return self._loader(LevelDataset(store, seen), [(0, n) for n in range(len(store))])

    def _seen(self, name: str, looks: Looks, seed: int) -> Seen:
        reader = self.people.reader(name)
        return Seen(looks, self._errors, reader, seed, as_crops=self.draws.on_device)

    def _loader(
        self, dataset: LevelDataset, order: Any, *, persistent: bool = False
    ) -> DataLoader[LevelItem]:
        draws = self.draws
        return ResumableLoader(
            dataset,
            batch_size=draws.batch_size,
            sampler=order,
            num_workers=draws.num_workers,
            collate_fn=collate_levels,
            persistent_workers=draws.num_workers > 0 and persistent,
        )


def _plain_crops() -> dict[str, list[Any]]:
    return {
        plane: [slices, list(pixels), pixel_mm]
        for plane, (slices, pixels, pixel_mm) in CROPPED.items()
    }
