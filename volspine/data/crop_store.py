"""Crops of studies on disk: one file a study, written whole or not at all, read one at a time.

    FOLDER/<cohort>_<seed>_<index>.npz     a person who never was      2.3 MB, not compressed
    FOLDER/<study>.npz                     a study of a challenge root

A file holds a `StudyCrops` as it is (masks as bits), the grades and the labels; reading it gives
the very tensors that were written. It depends on its study alone, whatever the number of workers.
An interrupted store goes on where it stopped, as a file that is there is finished.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch

from volspine.errors import ConfigurationError, InputError
from volspine.jobs import Progress, atomic_path, make_missing
from volspine.phantom.levels import phantom_levels
from volspine.phantom.spec import Cohort, Noise, Size, Spec
from volspine.types import IntArray
from volspine.views import StudyCrops

__all__ = [
    "AS_FILED",
    "CropStore",
    "StoredCrops",
    "crop_specs",
    "person_name",
    "read_crops",
    "render_crops",
    "render_person",
    "write_crops",
]

VERSION = 1
"""Counts changes of what a file holds; files of another version are refused."""

AS_FILED = "as filed"
"""Reader of the labels that stand in a challenge root's table."""

_FLOATS = ("sagittal", "axial", "affine_lps", "points_mm")
_MASKS = ("sagittal_mask", "axial_mask")


@dataclass(frozen=True, eq=False)
class StoredCrops:
    """The levels of one study with what is known of them.

    Attributes:
        name: Of the study.
        crops: Not batched.
        grades: (25,) int64, of the measured geometry where that is known, else the labels; -1
            where missing.
        labels: (25,) int64 by reader: each of `Noise` for a phantom, `AS_FILED` for a challenge
            root; -1 where missing.
        facts: Plain data: where the study comes from.
    """

    name: str
    crops: StudyCrops
    grades: torch.Tensor
    labels: Mapping[str, torch.Tensor]
    facts: Mapping[str, object]

    def read_by(self, reader: Noise) -> torch.Tensor:
        """Return the labels of a phantom's reader; of a real study those that it has."""
        return self.labels.get(AS_FILED, self.labels.get(reader.value, self.grades))


def crop_specs(people: Mapping[Cohort, int], *, seed: int, size: Size = Size.FULL) -> list[Spec]:
    """Return specs of as many people of each cohort, cohort by cohort."""
    return [
        Spec(seed=seed, index=n, cohort=cohort, size=size)
        for cohort, count in people.items()
        for n in range(count)
    ]


def person_name(spec: Spec) -> str:
    """Return the name of a person who never was: as in `probe_900_00012`."""
    size = "" if spec.size is Size.FULL else f"_{spec.size.value}"
    return f"{spec.cohort.value}{size}_{spec.seed}_{spec.index:05d}"


def render_crops(
    specs: Sequence[Spec], folder: Path, *, workers: int = 1, progress: Progress | None = None
) -> "CropStore":
    """Render every person who has no file yet, and return the store of them.

    Args:
        specs: Whose crops.
        folder: Made if need be; other files in it are left alone.
        workers: Processes.
        progress: Called with how many are there and how many are wanted.

    Raises:
        OutputError: If a file cannot be written.
        ConfigurationError: If no spec is given.
    """
    return CropStore(
        make_missing(
            partial(render_person, folder),
            specs,
            file_of=partial(_person_file, folder),
            workers=workers,
            progress=progress,
        )
    )


def render_person(folder: Path, spec: Spec) -> Path:
    """Render one person and return the file.

    Raises:
        OutputError: If it cannot be written.
    """
    made = phantom_levels(spec)
    readers = {noise.value: row for noise, row in zip(Noise, made.labels, strict=True)}
    facts = {"spec": asdict(spec)}
    stored = StoredCrops(person_name(spec), made.crops, made.grades, readers, facts)
    return write_crops(_person_file(folder, spec), stored)


def write_crops(path: Path, stored: StoredCrops) -> Path:
    """Write one study and return its file.

    Raises:
        OutputError: If it cannot be written.
    """
    facts = {"version": VERSION, "name": stored.name, "facts": dict(stored.facts)}
    facts |= {"readers": list(stored.labels), "shapes": {n: _shape(stored, n) for n in _MASKS}}
    crops = stored.crops
    arrays = {name: getattr(crops, name).cpu().numpy() for name in _FLOATS}
    arrays |= {name: np.packbits(getattr(crops, name).cpu().numpy()) for name in _MASKS}
    arrays["grades"] = stored.grades.numpy().astype(np.int8)
    arrays["labels"] = np.stack([row.numpy() for row in stored.labels.values()]).astype(np.int8)
    arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8)
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **arrays)
    return path


def read_crops(path: Path) -> StoredCrops:
    """Read one study.

    Raises:
        InputError: If the file is not there, holds no crops, or is one of another version.
    """
    with _opened(path) as (file, facts):
        labels = torch.from_numpy(file["labels"].astype(np.int64))
        floats = {name: torch.from_numpy(file[name]) for name in _FLOATS}
        masks = {name: _mask(file[name], facts["shapes"][name]) for name in _MASKS}
        return StoredCrops(
            name=facts["name"],
            crops=StudyCrops(**floats, **masks),
            grades=torch.from_numpy(file["grades"].astype(np.int64)),
            labels=dict(zip(facts["readers"], labels, strict=True)),
            facts=facts["facts"],
        )


class CropStore:
    """Studies in the order of their files; each is read when it is asked for.

    Args:
        files: One file a study; see `open`.

    Raises:
        ConfigurationError: If there is none.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        if not files:
            raise ConfigurationError(
                "no crops are there",
                remedy="render some with volspine.data.crop_store.render_crops",
                code="VS-CFG-140",
            )
        self.files = tuple(files)

    @classmethod
    def open(cls, folder: Path, pattern: str = "*.npz") -> "CropStore":
        """Return the store of all files of a folder that a pattern names, in order.

        Raises:
            ConfigurationError: If there is none.
        """
        return cls(sorted(folder.glob(pattern)))

    def __len__(self) -> int:
        """Return the number of studies."""
        return len(self.files)

    def __getitem__(self, index: int) -> StoredCrops:
        """Read a study.

        Raises:
            InputError: If its file is damaged.
        """
        return read_crops(self.files[index])

    def labels(self, reader: Noise) -> IntArray:
        """Return the labels of all studies, (N, 25); -1 where missing. Crops are not read.

        Raises:
            InputError: If a file is damaged.
        """
        return np.stack([_labels(path, reader) for path in self.files])

    def __iter__(self) -> Iterator[StoredCrops]:
        """Read all studies, one after another."""
        return (self[n] for n in range(len(self)))


def _person_file(folder: Path, spec: Spec) -> Path:
    return folder / f"{person_name(spec)}.npz"


def _labels(path: Path, reader: Noise) -> IntArray:
    with _opened(path) as (file, facts):
        rows = dict(zip(facts["readers"], file["labels"], strict=True))
        found = rows[AS_FILED] if AS_FILED in rows else rows[reader.value]
        return np.asarray(found, dtype=np.int64)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Open a file for as long as the block lasts, with its facts; whatever fails is one error."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            facts = json.loads(file["facts"].tobytes())
            if facts["version"] != VERSION:
                raise _not_crops(path)
            yield file, facts
    except (OSError, ValueError, KeyError, EOFError, TypeError, BadZipFile) as error:
        raise _not_crops(path) from error


def _shape(stored: StoredCrops, name: str) -> list[int]:
    return list(getattr(stored.crops, name).shape)


def _mask(bits: np.ndarray, shape: list[int]) -> torch.Tensor:
    flat = np.unpackbits(bits, count=int(np.prod(shape)))
    return torch.from_numpy(flat.view(np.bool_).reshape(shape))


def _not_crops(path: Path) -> InputError:
    return InputError(
        "no crops of this version",
        path=path.name,
        remedy="remove it and write it again",
        code="VS-INP-066",
    )
