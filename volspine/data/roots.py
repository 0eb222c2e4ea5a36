"""Roots and stores: where labels come from, where images come from, and which belong together.

    root            tables and DICOM of the root
    store           tables and native stacks of the store
    root and store  tables of the root, native stacks of the store

Several are pooled; then the first store is that of the first root, and so on.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from volspine.data.rsna import LabelledStudy, read_root
from volspine.data.store import Store
from volspine.errors import ConfigurationError

__all__ = ["Folders", "Places", "places_of", "read_roots"]

Folders: TypeAlias = str | Sequence[str] | None
"""One folder, several, or none."""

log = logging.getLogger("volspine.data")


@dataclass(frozen=True)
class Places:
    """Roots, and the stores that stand for their images.

    Attributes:
        roots: Folders of tables; the stores themselves where only those were given.
        stores: As many stores, or none.
    """

    roots: tuple[Path, ...] = ()
    stores: tuple[Path, ...] = ()

    def studies(self, groups: Path | None) -> list[LabelledStudy]:
        """Return the labelled studies of all of them; see `read_roots`."""
        return read_roots(self.roots, groups=groups, stores=self.stores)

    def folders(self) -> Mapping[str, Path] | None:
        """Return where the images of each folder of studies are, by its name; None for the root.

        Raises:
            InputError: If a store is not finished.
        """
        if not self.stores:
            return None
        return {
            PurePosixPath(source).name: folder
            for store in self.stores
            for source, folder in Store.open(store).by_source.items()
        }


def places_of(root: Folders, store: Folders) -> Places:
    """Return roots and stores as they were given.

    Raises:
        ConfigurationError: If there is not a store for every root.
    """
    roots, stores = _listed(root), _listed(store)
    if roots and stores and len(roots) != len(stores):
        raise ConfigurationError(
            f"{len(stores)} stores cannot stand for the images of {len(roots)} roots",
            remedy="give a store for each root, in their order, or the stores alone",
            code="VS-CFG-324",
        )
    return Places(roots or stores, stores)


def _listed(folders: Folders) -> tuple[Path, ...]:
    several = [folders] if isinstance(folders, str) else folders or []
    return tuple(Path(each) for each in several)


def read_roots(
    roots: Sequence[Path], *, groups: Path | None = None, stores: Sequence[Path] = ()
) -> list[LabelledStudy]:
    """Return the studies of several roots; keys are unique over all of them.

    An id that stands in several roots gets its root's position and name in front of its key. Its
    group stays: copies of one study must not end up on both sides of a split.

    Args:
        roots: Folders with tables.
        groups: CSV file with `study_id,group` where patients have several studies.
        stores: For each root the store of its images; none where they lie in the root.

    Raises:
        TableError: If a table is missing or malformed.
        InputError: If a store is not finished.
    """
    found: list[tuple[str, LabelledStudy]] = []
    for position, (root, images) in enumerate(_paired(roots, stores)):
        challenge = read_root(root, groups=groups, images=images)
        log.info("%s: %s", root.name, challenge.summary)
        found += [(f"{position}-{root.name}", study) for study in challenge.studies]
    times = Counter(study.study_id for _, study in found)
    return [
        study if times[study.study_id] == 1 else replace(study, key=f"{place}-{study.key}")
        for place, study in found
    ]


def _paired(roots: Sequence[Path], stores: Sequence[Path]) -> Iterator[tuple[Path, Path | None]]:
    if not stores:
        yield from ((root, None) for root in roots)
        return
    for root, folder in zip(roots, stores, strict=True):
        store = Store.open(folder)
        if lost := store.num_failed:
            log.warning("%s: %d studies could not be prepared: failures.csv", folder.name, lost)
        yield root, store.folder
