"""Descriptions: the challenge's table of which series is which, where a study stands in its root.

<root>/train_series_descriptions.csv        study_id,series_id,series_description
<root>/train_images/<study_id>/<series_id>/<instance_number>.dcm
"""

import csv
from functools import lru_cache
from pathlib import Path

from volspine.anatomy import Protocol
from volspine.challenge import SERIES_COLUMNS, protocol_from_description
from volspine.errors import TableError

__all__ = ["IMAGE_FOLDERS", "described_protocols", "is_challenge_study", "table_of"]

IMAGE_FOLDERS = ("train_images", "test_images")
"""Folders of a challenge root that hold one folder a study."""


def is_challenge_study(study: Path) -> bool:
    """Return whether a folder is a study under a `*_images` folder."""
    return study.is_dir() and study.resolve().parent.name.endswith("_images")


def table_of(study: Path) -> Path:
    """Return where the table of a study's series would be."""
    folder = study.resolve().parent
    return folder.parent / f"{folder.name.removesuffix('_images')}_series_descriptions.csv"


def described_protocols(study: Path) -> dict[str, Protocol]:
    """Return the protocol of each series of a study that the table names; empty without a table.

    Args:
        study: Folder of the study.

    Raises:
        TableError: If there is a table without the three columns it must have.
    """
    if not is_challenge_study(study):
        return {}
    table = table_of(study)
    if not table.is_file():
        return {}
    stamp = table.stat()
    return _read(str(table), stamp.st_mtime_ns, stamp.st_size).get(study.resolve().name, {})


@lru_cache(maxsize=4)
def _read(path: str, _modified: int, _size: int) -> dict[str, dict[str, Protocol]]:
    """Return the whole table by study and series; read once a version of the file."""
    study, series, description = SERIES_COLUMNS
    found: dict[str, dict[str, Protocol]] = {}
    with Path(path).open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        reader = csv.DictReader(stream)
        if not set(SERIES_COLUMNS) <= set(reader.fieldnames or ()):
            raise TableError(
                f"columns {', '.join(SERIES_COLUMNS)} are expected",
                remedy="take the challenge's file, or remove this one",
                path=path,
                code="VS-TAB-010",
            )
        for row in reader:
            ids = (row[study] or "").strip(), (row[series] or "").strip()
            protocol = protocol_from_description(row[description] or "")
            found.setdefault(ids[0], {})[ids[1]] = protocol
    return found
