"""A challenge root's studies -> crops on disk, located by their marks or by a localizer.

Marks of `train_label_coordinates.csv` say where each target is; what nobody marked is not located,
and a level without a mark of its canal has no crops. Whoever has a localizer passes it instead.

A file is named after its study and a digest of all that it depends on: the study's files, its
tables, its marks. It is made anew when any of them changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from volspine.anatomy import LEVELS, TARGETS
from volspine.data.cache import cache_key
from volspine.data.crop_store import AS_FILED, CropStore, StoredCrops, write_crops
from volspine.data.landmarks import points_lps_mm
from volspine.data.rsna import LabelledStudy, naming
from volspine.dicom.reading import read_study
from volspine.dicom.study import Study
from volspine.jobs import Progress, make_missing
from volspine.landmarks import CHAIN, Landmarks
from volspine.types import BoolArray, FloatArray
from volspine.volume.grid import Grid
from volspine.volume.level_study import study_crops_of

__all__ = ["Locate", "crop_root", "marked_landmarks"]


@runtime_checkable
class Locate(Protocol):
    """From a study to where its targets are; picklable, for several workers."""

    @property
    def digest(self) -> str:
        """What tells this one from others."""

    def __call__(self, study: Study, /) -> Landmarks:
        """Return where the targets of a study are."""


_UNMARKED = "nobody marked it"


def marked_landmarks(points_mm: FloatArray) -> Landmarks:
    """Return marks as landmarks.

    Args:
        points_mm: (25, 3), LPS; NaN where there is no mark.
    """
    is_there: BoolArray = np.asarray(np.isfinite(points_mm).all(axis=1))
    chain = np.full((len(CHAIN), 3), np.nan)
    chain[1 : 1 + len(LEVELS)] = points_mm[: len(LEVELS)]
    return Landmarks(
        points_mm=points_mm,
        spread_mm=np.where(is_there, 0.0, np.nan),
        confidence=np.where(is_there, 1.0, 0.0),
        reasons=tuple("" if there else _UNMARKED for there in is_there),
        chain_mm=chain,
        level_confidence=np.where(is_there[: len(LEVELS)], 1.0, 0.0),
    )


def crop_root(
    studies: Sequence[LabelledStudy],
    folder: Path,
    *,
    locate: Locate | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> CropStore:
    """Write the crops of every study that has none yet, and return the store of them.

    Args:
        studies: With their marks.
        folder: Made if need be; other files in it are left alone.
        locate: A localizer; the marks are used if omitted.
        workers: Processes.
        progress: Called with how many are there and how many are wanted.

    Raises:
        VolspineError: If a study cannot be read; the message names it.
        OutputError: If a file cannot be written.
        ConfigurationError: If there is no study.
    """
    method = "marks" if locate is None else f"located-{locate.digest[:12]}"
    jobs = [_Job(study, folder / f"{_name(study)}-{method}.npz") for study in studies]
    return CropStore(
        make_missing(
            partial(_crop, locate),
            jobs,
            file_of=lambda job: job.path,
            workers=workers,
            progress=progress,
        )
    )


@dataclass(frozen=True)
class _Job:
    study: LabelledStudy
    path: Path


def _name(study: LabelledStudy) -> str:
    return f"{study.key}-{cache_key(study, Grid())[:12]}"


def _crop(locate: Locate | None, job: _Job) -> Path:
    study = job.study
    with naming(study):
        images = read_study(study.folder)
        # Before decoding, which may drop slices and with them the places of marks.
        points = points_lps_mm(images, study.annotations)
        landmarks = marked_landmarks(points) if locate is None else locate(images)
        crops, sources = study_crops_of(images, landmarks)
    labels = torch.tensor(study.grades, dtype=torch.int64)
    found = [source.reason for level in sources for source in level]
    facts = {"located": int(landmarks.found.sum()), "of": len(TARGETS), "absent": found}
    stored = StoredCrops(study.key, crops, labels, {AS_FILED: labels}, facts)
    return write_crops(job.path, stored)
