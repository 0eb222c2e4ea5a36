"""Store: prepared studies in one folder, laid out as the root that they were made of.

    STORE/store.json                        index: what is in it, with the digest of each study
    STORE/train.csv ...                     the root's tables, byte for byte
    STORE/train_images/<study_id>/          a prepared study each; see `volspine.dicom.prepared`
    STORE/studies/<name>-<digest>/          the same, of studies that are in no challenge root
    STORE/failures.csv, summary.json        what could not be prepared, and what was found

So a store is read wherever a root is: `volspine predict STORE`, `volspine view STORE/<entry>`. The
index is written last, so that a folder without one is not finished. Nothing in a store depends on
when or where it was made.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from volspine.data.tables import read_rows
from volspine.dicom.prepared import LAYOUT, read_prepared
from volspine.dicom.study import Study
from volspine.errors import InputError

__all__ = ["INDEX", "Entry", "Store", "index_bytes", "is_store"]

INDEX = "store.json"
"""Name of the index of a store."""

_FORMAT = f"volspine store {LAYOUT}"


@dataclass(frozen=True)
class Entry:
    """What the index says of one prepared study.

    Attributes:
        place: Its folder, below the store.
        key: Digest of what it was made of.
        name: Of the study in outputs.
        source: Where it was, below the root; a study is found by it where tables name folders.
        num_bytes: Of its voxels.
        series: Number of series by protocol.
        findings: Number of `repairs` and `faults`.
    """

    place: str
    key: str
    name: str
    source: str
    num_bytes: int
    series: Mapping[str, int] = field(default_factory=dict)
    findings: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, without its place."""
        return {
            "key": self.key,
            "name": self.name,
            "source": self.source,
            "bytes": self.num_bytes,
            "series": dict(self.series),
            **self.findings,
        }

    @classmethod
    def from_dict(cls, place: str, told: Mapping[str, Any]) -> "Entry":
        """Return the entry that plain data tells of."""
        findings = {name: told[name] for name in ("repairs", "faults")}
        return cls(
            place,
            told["key"],
            told["name"],
            told["source"],
            told["bytes"],
            told["series"],
            findings,
        )


@dataclass(frozen=True)
class Store:
    """A finished store.

    Attributes:
        folder: Where it is.
        entries: By key: the study's name, or its place where two studies have one name.

    Example:
        >>> Store.open("no_such_folder")
        Traceback (most recent call last):
            ...
        volspine.errors.InputError: VS-INP-092: there is no finished store here ...
    """

    folder: Path
    entries: Mapping[str, Entry]

    @classmethod
    def open(cls, folder: str | Path) -> "Store":
        """Return the store in a folder; only its index is read.

        Raises:
            InputError: If there is none, it is not finished, or of another version.
        """
        root = Path(folder)
        try:
            told = json.loads((root / INDEX).read_text(encoding="utf-8"))
            entries = {told["format"]: told["entries"]}[_FORMAT]
            found = [Entry.from_dict(place, each) for place, each in entries.items()]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                "there is no finished store here that this version can read",
                path=root,
                remedy="make or finish it with volspine prepare ROOT --out STORE",
                code="VS-INP-092",
            ) from error
        return cls(root, _by_key(found))

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of all studies, in the order of their places."""
        return tuple(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def study(self, key: str) -> Study:
        """Return a study; its voxels stay on disk until they are used.

        Raises:
            InputError: If there is no such study, or it is damaged.
        """
        return read_prepared(self.path(key))

    def path(self, key: str) -> Path:
        """Return the folder of a study.

        Raises:
            InputError: If there is no such study.
        """
        if key not in self.entries:
            raise InputError(
                f"study {key[:60]!r} is not in the store",
                path=self.folder,
                remedy="prepare it, or see failures.csv for why it is not there",
                code="VS-INP-093",
            )
        return self.folder / self.entries[key].place

    @cached_property
    def by_source(self) -> Mapping[str, Path]:
        """The folder of each study, by where it was below the root."""
        return {entry.source: self.folder / entry.place for entry in self.entries.values()}

    @property
    def num_failed(self) -> int:
        """Number of studies of the root that could not be prepared."""
        table = self.folder / "failures.csv"
        return len(read_rows(table, ())) if table.is_file() else 0

    @property
    def tables(self) -> dict[str, Path]:
        """The tables of the root that lie beside its studies, by name."""
        found = sorted(self.folder.glob("*.csv"))
        return {path.name: path for path in found if path.name != "failures.csv"}


def index_bytes(entries: Mapping[str, Entry]) -> bytes:
    """Return the content of the index.

    Args:
        entries: By place.
    """
    told = {
        "format": _FORMAT,
        "entries": {place: entries[place].to_dict() for place in sorted(entries)},
    }
    return (json.dumps(told, indent=1) + "\n").encode()


def is_store(path: str | Path) -> bool:
    """Return whether a folder is a finished store."""
    return (Path(path) / INDEX).is_file()


def _by_key(found: list[Entry]) -> dict[str, Entry]:
    times = Counter(entry.name for entry in found)
    return {entry.name if times[entry.name] == 1 else entry.place: entry for entry in found}
