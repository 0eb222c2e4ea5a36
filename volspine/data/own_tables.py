"""From a table of own labels to labelled studies: own targets, own grades, marks where there are.

    targets.yaml    what is graded, and with which grades; see `volspine.vocabulary`
    labels.csv      study_id, then a column for each target, which holds the name of a grade
    marks.csv       study_id, target, x_mm, y_mm, z_mm: where it was seen; optional
    ROOT/<study_id>/  the images of a study: DICOM, in any folders

Millimetres are those of DICOM's patient frame (LPS): x grows to the patient's left, y to the back,
z to the head. An empty cell is a missing grade, not a normal one.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from volspine.challenge import MISSING
from volspine.data.rsna import LabelledStudy
from volspine.data.tables import Row, number_in, read_rows
from volspine.errors import ConfigurationError, TableError
from volspine.vocabulary import Vocabulary, vocabulary_from_dict

__all__ = ["OwnTables", "read_own_studies", "read_targets", "targets_of_file"]

_MARKS = ("study_id", "target", "x_mm", "y_mm", "z_mm")
_NOWHERE = (math.nan, math.nan, math.nan)

Place = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class OwnTables:
    """Where own labels are.

    Attributes:
        targets: YAML file of what is graded.
        table: CSV file of labels.
        marks: CSV file of where targets were seen; None for none.
    """

    targets: Path
    table: Path
    marks: Path | None = None


def read_targets(path: Path) -> Vocabulary:
    """Return what a YAML file says is graded.

    Raises:
        ConfigurationError: If the file is missing, is not plain YAML, or contradicts itself.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(
            f"the file of targets cannot be read ({type(error).__name__})",
            path=path,
            remedy="write grades and targets as YAML; see the page on own targets",
            code="VS-CFG-161",
        ) from error
    try:
        return vocabulary_from_dict(data if isinstance(data, Mapping) else {})
    except ConfigurationError as error:
        raise ConfigurationError(
            error.message, remedy=error.remedy, path=path, code=error.code
        ) from error


def targets_of_file(path: Any) -> dict[str, Any]:
    """Return what a file says is graded as plain data, for the recipe of a grader."""
    return read_targets(Path(str(path))).to_dict()


def read_own_studies(
    root: Path,
    tables: OwnTables,
    *,
    groups: Path | None = None,
    folders: Mapping[str, Path] | None = None,
) -> list[LabelledStudy]:
    """Return the studies that stand in the table of labels and have images.

    Args:
        root: Folder with a folder of images for each study.
        tables: Targets, labels and marks.
        groups: CSV file with `study_id,group` where patients have several studies.
        folders: Where the images of a study are that are not in the root, but in a store.

    Raises:
        TableError: If a table is missing or malformed, or no study has images.
        ConfigurationError: If the file of targets is of no use.
    """
    known = read_targets(tables.targets)
    labels = _labels(tables.table, known)
    marks = {} if tables.marks is None else _marks(tables.marks, known)
    patients = {} if groups is None else _patients(groups)
    images = {name: root / name for name in labels} if folders is None else folders
    found = [
        LabelledStudy(
            study_id=name,
            folder=images[name],
            grades=grades,
            group=patients.get(name, name),
            key=name,
            points_mm=tuple(marks.get((name, target), _NOWHERE) for target in known.names),
            partner=known.mirrored_index,
        )
        for name, grades in sorted(labels.items())
        if name in images and _has_files(images[name])
    ]
    if not found:
        raise TableError(
            f"none of the {len(labels)} studies in the table has a folder of images",
            path=root,
            remedy="give the folder whose folders are named as the studies are",
            code="VS-TAB-061",
        )
    return found


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _labels(path: Path, known: Vocabulary) -> dict[str, tuple[int, ...]]:
    grade_of = {name.casefold(): grade for grade, name in enumerate(known.grades)}
    labels: dict[str, tuple[int, ...]] = {}
    for row in read_rows(path, ("study_id", *known.names)):
        name = row["study_id"]
        if name in ("", "..") or name in labels or Path(name).name != name:
            raise TableError(
                f"study_id {name[:40]!r} is empty, stands twice or is no name of a folder",
                path=path,
                remedy="keep one row for each study",
                code="VS-TAB-067",
            )
        labels[name] = tuple(_grade(row[column], grade_of, path) for column in known.names)
    return labels


def _grade(cell: str, grade_of: Mapping[str, int], path: Path) -> int:
    text = cell.casefold()
    if text in ("", "nan"):
        return MISSING
    # What was a column of whole numbers comes out of a spreadsheet with a fraction.
    text = text if text in grade_of else text.removesuffix(".0")
    if text not in grade_of:
        raise TableError(
            f"{cell[:40]!r} is not a grade",
            path=path,
            remedy=f"use {', '.join(grade_of)} or an empty cell",
            code="VS-TAB-062",
        )
    return grade_of[text]


def _marks(path: Path, known: Vocabulary) -> dict[tuple[str, str], Place]:
    marks: dict[tuple[str, str], Place] = {}
    for row in read_rows(path, _MARKS):
        if row["target"] not in known.names:
            raise TableError(
                f"{row['target'][:60]!r} is marked, but is no target",
                path=path,
                remedy="use the names in the file of targets",
                code="VS-TAB-063",
            )
        seen = (row["study_id"], row["target"])
        if seen in marks:
            raise TableError(
                f"{row['target'][:60]!r} is marked twice in study {row['study_id'][:40]!r}",
                path=path,
                remedy="keep one mark of each target in a study",
                code="VS-TAB-068",
            )
        marks[seen] = _place(row, path)
    return marks


def _place(row: Row, path: Path) -> Place:
    x, y, z = (number_in(row, column, path) for column in _MARKS[2:])
    return x, y, z


def _patients(path: Path) -> dict[str, str]:
    return {row["study_id"]: row["group"] for row in read_rows(path, ("study_id", "group"))}
