"""A folder of tissue maps: written whole or not at all, and read one at a time.

    FOLDER/<cohort>_<seed>_<index>.npz     one person each, not compressed: 1.4 MB

A file depends on its spec alone and is the same, bit for bit, whatever the number of workers. An
interrupted store goes on where it stopped, as a file that is there is finished.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from volspine.errors import ConfigurationError, InputError
from volspine.jobs import Progress, atomic_path, make_missing
from volspine.phantom.spec import Cohort, Header, Noise, Size, Spec
from volspine.phantom.tissue_map import TissueMap, tissue_map

__all__ = ["MapStore", "map_specs", "read_map", "write_map", "write_maps"]

VERSION = 4
"""Counts changes of what a map holds; maps of another version are refused."""

COHORTS = (Cohort.RSNA_LIKE, Cohort.PROBE, Cohort.SHIFT)
"""Cohorts that `map_specs` takes in turn."""


def map_specs(count: int, *, seed: int) -> list[Spec]:
    """Return specs of as many people, in turn of each cohort."""
    kinds = len(COHORTS)
    return [Spec(seed=seed, index=n // kinds, cohort=COHORTS[n % kinds]) for n in range(count)]


def write_maps(
    specs: Sequence[Spec],
    folder: Path,
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> "MapStore":
    """Write the map of every spec that has none yet, and return the store of them.

    Args:
        specs: Whose maps.
        folder: Made if need be; other maps in it are left alone.
        workers: Processes.
        progress: Called with how many are there and how many are wanted.

    Raises:
        OutputError: If a file cannot be written.
        ConfigurationError: If no spec is given.
    """
    return MapStore(
        make_missing(
            partial(write_map, folder),
            specs,
            file_of=partial(_path, folder),
            workers=workers,
            progress=progress,
        )
    )


def write_map(folder: Path, spec: Spec) -> Path:
    """Write the map of one spec and return its file.

    Raises:
        OutputError: If it cannot be written.
    """
    made, path = tissue_map(spec), _path(folder, spec)
    facts = json.dumps({"version": VERSION, "varied": made.varied, "spec": asdict(spec)})
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez(
            stream,
            facts=np.frombuffer(facts.encode(), dtype=np.uint8),
            tissues=made.tissues,
            affine_lps=made.affine_lps,
            points_mm=made.points_mm,
        )
    return path


def read_map(path: Path) -> TissueMap:
    """Read one map.

    Raises:
        InputError: If the file is not there, is no map, or is one of another version.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            facts = json.loads(file["facts"].tobytes())
            if facts["version"] != VERSION:
                raise _not_a_map(path)
            return TissueMap(
                tissues=file["tissues"],
                affine_lps=file["affine_lps"],
                points_mm=file["points_mm"],
                spec=_spec(facts["spec"]),
                varied=facts["varied"],
            )
    except (OSError, ValueError, KeyError, EOFError, TypeError, BadZipFile) as error:
        raise _not_a_map(path) from error


class MapStore:
    """Maps in the order of their files; each is read when it is asked for.

    Args:
        files: One file a map; see `open`.

    Raises:
        ConfigurationError: If there is none.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        if not files:
            raise ConfigurationError(
                "no tissue map is there",
                remedy="write some with volspine.phantom.tissue_map_store.write_maps",
                code="VS-CFG-091",
            )
        self.files = tuple(files)

    @classmethod
    def open(cls, folder: Path) -> "MapStore":
        """Return the store of all maps of a folder, by name.

        Raises:
            ConfigurationError: If there is none.
        """
        return cls(sorted(folder.glob("*.npz")))

    def __len__(self) -> int:
        """Return the number of maps."""
        return len(self.files)

    def __getitem__(self, index: int) -> TissueMap:
        """Read a map.

        Raises:
            InputError: If its file is damaged.
        """
        return read_map(self.files[index])

    def __iter__(self) -> Iterator[TissueMap]:
        """Read all maps, one after another."""
        return (self[n] for n in range(len(self)))


def _path(folder: Path, spec: Spec) -> Path:
    return folder / f"{spec.cohort.value}_{spec.seed}_{spec.index:05d}.npz"


def _spec(facts: dict[str, Any]) -> Spec:
    kinds: dict[str, Callable[[str], object]] = {
        "cohort": Cohort, "header": Header, "size": Size, "noise": Noise,
    }  # fmt: skip
    chosen: dict[str, Any] = {
        key: kinds[key](value) if key in kinds and value is not None else value
        for key, value in facts.items()
    }
    return Spec(**chosen)


def _not_a_map(path: Path) -> InputError:
    return InputError(
        "not a tissue map of this version",
        path=path.name,
        remedy="remove it and write it again",
        code="VS-INP-060",
    )
