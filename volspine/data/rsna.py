"""From a challenge root (three tables and a folder of images) to labelled studies.

A root holds `train.csv` (25 grades a study), `train_series_descriptions.csv` (what each series
is), `train_label_coordinates.csv` (where a grade was read) and `train_images/<study>/<series>/`.
The quirks of the real files are dealt with here: empty cells are missing, not normal; a few
coordinates are placeholders near (5, 5); some studies have no images. Each is counted in the
summary, so that nothing disappears in silence.
"""

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from volspine.anatomy import TARGETS, Protocol, Target
from volspine.challenge import (
    COORDINATE_COLUMNS,
    LABEL_COLUMNS,
    MISSING,
    SERIES_COLUMNS,
    condition_from_title,
    grade_from_text,
    level_from_title,
    protocol_from_description,
)
from volspine.data.tables import Row, number_in, read_rows, whole_number_in
from volspine.errors import TableError, VolspineError
from volspine.types import IntArray

__all__ = [
    "PLACEHOLDER_PIXELS",
    "Annotation",
    "ChallengeRoot",
    "LabelledStudy",
    "RootSummary",
    "grade_table",
    "naming",
    "read_root",
]

PLACEHOLDER_PIXELS = 10.0
"""Coordinates with x and y both below this are placeholders: the real ones stand near (5, 5)."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """Where a target was marked.

    Attributes:
        series_id: Folder name of the series.
        instance_number: Instance number of the slice within that series.
        target: What was marked.
        x: Column, in pixels of the instance as stored.
        y: Row, in pixels of the instance as stored.
    """

    series_id: str
    instance_number: int
    target: Target
    x: float
    y: float


@dataclass(frozen=True, kw_only=True)
class LabelledStudy:
    """One study with images and labels.

    Attributes:
        study_id: As in `train.csv`.
        folder: Its images.
        grades: 25 grades in the order of `TARGETS`; -1 where missing.
        annotations: Marks that are not placeholders.
        group: Studies with the same group are never on two sides of a split: the patient.
        key: Unique over all roots in use; equal to `study_id` for a single root.
        points_mm: Of own targets: where each was marked, LPS millimetres, NaN where it was not;
            None takes the annotations.
        partner: Of own targets: which becomes which when the patient is mirrored.
    """

    study_id: str
    folder: Path
    grades: tuple[int, ...]
    annotations: tuple[Annotation, ...] = ()
    group: str = ""
    key: str = ""
    points_mm: tuple[tuple[float, float, float], ...] | None = None
    partner: tuple[int, ...] | None = None


@contextlib.contextmanager
def naming(study: LabelledStudy) -> Iterator[None]:
    """Name the study in whatever error is raised in the block, and say what to do about it."""
    try:
        yield
    except VolspineError as error:
        raise type(error)(
            f"study {study.key} cannot be used for training: {error.message}",
            remedy=error.remedy or "take its row out of the table of labels",
            path=error.path,
            code=error.code,
        ) from error


@dataclass(frozen=True, kw_only=True)
class RootSummary:
    """What was found in a root, and what was set aside.

    Attributes:
        studies: Studies with labels and images.
        without_images: Rows of `train.csv` whose image folder is missing or empty.
        without_labels: Image folders that have no row in `train.csv`.
        missing_grades: Empty cells among the studies kept.
        placeholders: Coordinates dropped because they are placeholders.
        orphan_coordinates: Coordinates of a study that is not in `train.csv`.
        series: Number of series by protocol, from the series table.
    """

    studies: int
    without_images: int
    without_labels: int
    missing_grades: int
    placeholders: int
    orphan_coordinates: int
    series: Mapping[Protocol, int] = field(default_factory=dict)

    def __str__(self) -> str:
        series = ", ".join(f"{count} {protocol.value}" for protocol, count in self.series.items())
        return (
            f"{self.studies} labelled studies ({series or 'no series table'}); set aside: "
            f"{self.without_images} without images, {self.without_labels} without labels, "
            f"{self.placeholders} placeholder and {self.orphan_coordinates} orphan coordinates; "
            f"{self.missing_grades} grades missing"
        )


@dataclass(frozen=True, kw_only=True)
class ChallengeRoot:
    """A challenge root as studies and labels.

    Attributes:
        root: The folder.
        studies: Studies with labels and images, sorted by id.
        protocols: For each study, for each series folder, the protocol its table names.
        summary: What was found and what was set aside.
    """

    root: Path
    studies: tuple[LabelledStudy, ...]
    protocols: Mapping[str, Mapping[str, Protocol]]
    summary: RootSummary


def read_root(
    root: Path, *, subset: str = "train", groups: Path | None = None, images: Path | None = None
) -> ChallengeRoot:
    """Return the labelled studies of a challenge root.

    Args:
        root: Folder with the tables and the images.
        subset: Prefix of every file name; `train` in the challenge.
        groups: CSV file with `study_id,group` naming each study's patient; without it every
            study is a patient of its own.
        images: Root or store whose images stand for those of the root.

    Raises:
        TableError: If a table is missing or malformed, or no study has both labels and images.
    """
    labels = _read_labels(root / f"{subset}.csv")
    marks, placeholders = _read_coordinates(root / f"{subset}_label_coordinates.csv")
    protocols = _read_protocols(root / f"{subset}_series_descriptions.csv")
    patients = _read_groups(groups) if groups else {}
    folders = _folders((images or root) / f"{subset}_images")
    present = [i for i in sorted(labels) if i in folders and any(folders[i].iterdir())]
    if not present:
        raise TableError(
            f"none of the {len(labels)} studies in {subset}.csv has a folder in {subset}_images",
            path=root,
            remedy="give the folder that holds both, as unpacked from the challenge",
            code="VS-TAB-035",
        )
    studies = tuple(
        LabelledStudy(
            study_id=i,
            folder=folders[i],
            grades=labels[i],
            annotations=tuple(marks.get(i, ())),
            group=patients.get(i, i),
            key=i,
        )
        for i in present
    )
    summary = RootSummary(
        studies=len(studies),
        without_images=len(labels) - len(present),
        without_labels=len(folders.keys() - labels.keys()),
        missing_grades=sum(study.grades.count(MISSING) for study in studies),
        placeholders=placeholders,
        orphan_coordinates=sum(len(found) for i, found in marks.items() if i not in labels),
        series=Counter(p for series in protocols.values() for p in series.values()),
    )
    return ChallengeRoot(root=root, studies=studies, protocols=protocols, summary=summary)


def _folders(images: Path) -> dict[str, Path]:
    if not images.is_dir():
        return {}
    return {path.name: path for path in images.iterdir() if path.is_dir()}


def grade_table(studies: Sequence[LabelledStudy]) -> IntArray:
    """Return the grades of several studies, shape (N, 25); -1 where missing."""
    rows = [study.grades for study in studies]
    return np.asarray(rows, dtype=np.int64).reshape(len(rows), len(TARGETS))


def _read_labels(path: Path) -> dict[str, tuple[int, ...]]:
    labels: dict[str, tuple[int, ...]] = {}
    for row in read_rows(path, ("study_id", *LABEL_COLUMNS)):
        if not row["study_id"] or row["study_id"] in labels:
            raise TableError(
                f"study_id {row['study_id'][:40]!r} is empty or stands twice",
                path=path,
                remedy="keep one row for each study",
                code="VS-TAB-036",
            )
        labels[row["study_id"]] = tuple(_grade(row[column], path) for column in LABEL_COLUMNS)
    return labels


def _grade(text: str, path: Path) -> int:
    try:
        grade = grade_from_text(text)
    except TableError as error:
        raise _in_file(error, path) from error
    return MISSING if grade is None else int(grade)


def _read_protocols(path: Path) -> dict[str, dict[str, Protocol]]:
    protocols: dict[str, dict[str, Protocol]] = {}
    if path.is_file():
        for row in read_rows(path, SERIES_COLUMNS):
            series = protocols.setdefault(row["study_id"], {})
            series[row["series_id"]] = protocol_from_description(row["series_description"])
    return protocols


def _read_coordinates(path: Path) -> tuple[dict[str, list[Annotation]], int]:
    marks: dict[str, list[Annotation]] = {}
    placeholders = 0
    for row in read_rows(path, COORDINATE_COLUMNS) if path.is_file() else ():
        mark = _annotation(row, path)
        if mark.x < PLACEHOLDER_PIXELS and mark.y < PLACEHOLDER_PIXELS:
            placeholders += 1
        else:
            marks.setdefault(row["study_id"], []).append(mark)
    return marks, placeholders


def _annotation(row: Row, path: Path) -> Annotation:
    try:
        target = Target(condition_from_title(row["condition"]), level_from_title(row["level"]))
    except TableError as error:
        raise _in_file(error, path) from error
    return Annotation(
        series_id=row["series_id"],
        instance_number=whole_number_in(row, "instance_number", path),
        target=target,
        x=number_in(row, "x", path),
        y=number_in(row, "y", path),
    )


def _read_groups(path: Path) -> dict[str, str]:
    return {row["study_id"]: row["group"] for row in read_rows(path, ("study_id", "group"))}


def _in_file(error: TableError, path: Path) -> TableError:
    return TableError(error.message, remedy=error.remedy, path=path, code=error.code)
