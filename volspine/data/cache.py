"""From a study's folder to its voxels on the grid, kept so that no DICOM is decoded twice.

Images are kept as float16 (they were normalised to 0 ... 1.5, so the error is below 0.0005), masks
as bytes, points as voxel indices: 9 bytes a voxel. They stay in memory, on disk, or both. The name
of a file on disk is a digest of everything that its content depends on: names, sizes and times of
the study's files (of a prepared study its digest), what the table says of its series, its marks,
the grid, how it was sampled, and the version of this preprocessing. A file that does not read back
is made again.
"""

import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from volspine.data.example import Example, within
from volspine.data.landmarks import points_lps_mm
from volspine.data.rsna import LabelledStudy, naming
from volspine.dicom.descriptions import described_protocols
from volspine.dicom.prepared import is_prepared, stored_digest
from volspine.dicom.reading import read_study
from volspine.dicom.study import Study
from volspine.jobs import atomic_path
from volspine.types import FloatArray
from volspine.volume.grid import Grid
from volspine.volume.sample import Sampling, check_sampling, sample_study

__all__ = ["PREPROCESSING_VERSION", "GriddedStudy", "StudyCache", "cache_key", "grid_study"]

PREPROCESSING_VERSION = 2
"""Raise when the same files give other voxels than before."""


@dataclass(frozen=True)
class GriddedStudy:
    """One study on the grid.

    Attributes:
        images: Float16, shape (3, I, J, K), normalised.
        masks: Uint8, shape (3, I, J, K); 1 where measured.
        points: Shape (T, 3), voxel indices of each target; NaN where not marked.
    """

    images: NDArray[np.float16]
    masks: NDArray[np.uint8]
    points: FloatArray

    def example(self, grades: tuple[int, ...]) -> Example:
        """Return the tensors for a network."""
        parts = torch.from_numpy(self.images), torch.from_numpy(self.masks)
        points = torch.tensor(np.nan_to_num(self.points, nan=-1.0), dtype=torch.float32)
        _, i, j, k = self.images.shape
        marked = torch.tensor(np.isfinite(self.points).all(axis=1))
        return Example(
            volume=torch.cat([part.float() for part in parts]),
            grades=torch.tensor(grades, dtype=torch.int64),
            points=points,
            has_point=marked & within(points, (i, j, k)),
        )


def grid_study(
    study: LabelledStudy, grid: Grid, *, sampling: Sampling = "resample"
) -> GriddedStudy:
    """Return a study read from its folder, sampled and normalised.

    Args:
        study: Where it lies, and its marks.
        grid: Placed on the study unless it has a centre.
        sampling: How voxels of series become those of the grid.

    Raises:
        VolspineError: If the study cannot be read; the message names it.
    """
    with naming(study):
        images = read_study(study.folder)
        # Before decoding, which may drop slices and with them the places of marks.
        points_mm = _marked_mm(images, study)
        sampled = sample_study(images, grid, normalize=True, sampling=sampling)
    return GriddedStudy(
        images=sampled.images.astype(np.float16),
        masks=sampled.masks.astype(np.uint8),
        points=sampled.grid.index_from_mm(points_mm),
    )


def _marked_mm(images: Study, study: LabelledStudy) -> FloatArray:
    if study.points_mm is None:
        return points_lps_mm(images, study.annotations)
    return np.array(study.points_mm, dtype=np.float64).reshape(-1, 3)


class StudyCache:
    """Studies on one grid; computed once, then remembered.

    Args:
        grid: Placed on each study anew unless it has a centre.
        in_memory: Keep what was used in this process.
        folder: Keep everything there too; None for no disk.
        sampling: How voxels of series become those of the grid.

    Raises:
        ConfigurationError: If there is no such sampling.
    """

    def __init__(
        self,
        grid: Grid,
        *,
        in_memory: bool = True,
        folder: Path | None = None,
        sampling: Sampling = "resample",
    ) -> None:
        self.grid = grid
        self.sampling = check_sampling(sampling)
        self._folder = folder
        self._kept: dict[str, GriddedStudy] | None = {} if in_memory else None

    def get(self, study: LabelledStudy) -> GriddedStudy:
        """Return a study on the grid, from wherever it is cheapest.

        Raises:
            VolspineError: If it has to be read and cannot be.
            OutputError: If it cannot be written to the folder.
        """
        if self._kept is not None and study.key in self._kept:
            return self._kept[study.key]
        gridded = self._from_disk(study) if self._folder else self._made(study)
        if self._kept is not None:
            self._kept[study.key] = gridded
        return gridded

    def _from_disk(self, study: LabelledStudy) -> GriddedStudy:
        name = cache_key(study, self.grid, sampling=self.sampling)
        path = (self._folder or Path()) / f"{name}.npz"
        kept = _load(path, self.grid.shape, len(study.grades))
        if kept is None:
            kept = self._made(study)
            _save(kept, path)
        return kept

    def _made(self, study: LabelledStudy) -> GriddedStudy:
        return grid_study(study, self.grid, sampling=self.sampling)


def cache_key(study: LabelledStudy, grid: Grid, *, sampling: Sampling = "resample") -> str:
    """Return a digest of everything that a study's voxels and points depend on."""
    digest = hashlib.sha256()
    for part in _inputs(study, grid, sampling):
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()[:32]


def _inputs(study: LabelledStudy, grid: Grid, sampling: Sampling) -> Iterator[str]:
    yield f"{PREPROCESSING_VERSION} {grid.spacing_mm} {grid.shape} {grid.center_mm}"
    if sampling != "resample":  # Whose keys are as they were before there was another.
        yield sampling
    if is_prepared(study.folder):
        yield f"prepared {stored_digest(study.folder)}"
    else:
        yield from _files(study.folder)
    for mark in study.annotations:
        yield repr((mark.target.name, mark.series_id, mark.instance_number, mark.x, mark.y))
    if study.points_mm is not None:
        yield repr(study.points_mm)


def _files(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            status = path.stat()
            name = path.relative_to(folder).as_posix()
            yield f"{name} {status.st_size} {status.st_mtime_ns}"
    for series, protocol in sorted(described_protocols(folder).items()):
        yield f"{series} {protocol.value}"


def _save(gridded: GriddedStudy, path: Path) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, images=gridded.images, masks=gridded.masks, points=gridded.points)


def _load(path: Path, shape: tuple[int, int, int], targets: int) -> GriddedStudy | None:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            kept = GriddedStudy(arrays["images"], arrays["masks"], arrays["points"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    fits = kept.images.shape == kept.masks.shape == (3, *shape)
    return kept if fits and kept.points.shape == (targets, 3) else None
