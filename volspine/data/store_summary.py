"""Summary: what the tables of a challenge root hold, oddities and all, in numbers.

The real tables have empty grades, coordinates that are placeholders or lie on a series of another
protocol, marks without a grade and grades without a mark, copies with other line ends, and rows of
studies whose images were not downloaded. They are used as they are; here they are counted, so that
nothing is taken for granted that is not there.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from volspine.anatomy import Grade, Protocol, Target
from volspine.challenge import (
    COORDINATE_COLUMNS,
    LABEL_COLUMNS,
    SERIES_COLUMNS,
    condition_from_title,
    grade_from_text,
    level_from_title,
    protocol_from_description,
)
from volspine.data.rsna import PLACEHOLDER_PIXELS
from volspine.data.tables import Row, number_in, read_rows, whole_number_in
from volspine.errors import TableError

__all__ = ["TABLES", "summary_lines", "summary_of_tables"]

TABLES = (
    "train.csv",
    "train_series_descriptions.csv",
    "train_label_coordinates.csv",
    "test_series_descriptions.csv",
    "sample_submission.csv",
)
"""Tables of a challenge root that a store keeps a copy of."""

_LABELS, _SERIES, _MARKS = TABLES[:3]


def summary_of_tables(root: Path, folders: Iterable[str]) -> dict[str, Any]:
    """Return what the tables of a root hold, as plain data; empty where there is no table.

    Args:
        root: Folder of the tables.
        folders: Names of the folders of images under `train_images`.

    Raises:
        TableError: If a table does not parse.
    """
    found: dict[str, Any] = {}
    there = [name for name in TABLES if (root / name).is_file()]
    if there:
        found["tables"] = {name: _form(root / name) for name in there}
    labels = _labels(root / _LABELS) if _LABELS in there else {}
    protocols = _protocols(root / _SERIES) if _SERIES in there else {}
    if _LABELS in there:
        found["labels"] = _label_counts(labels)
        found["images"] = _image_counts(set(labels), set(folders))
    if _SERIES in there:
        found["series"] = _counted(protocol.value for protocol in protocols.values())
    if _MARKS in there:
        found["coordinates"] = _mark_counts(_marks(root / _MARKS), labels, protocols)
    return found


def _form(path: Path) -> dict[str, Any]:
    """Return how a table is written; it is read the same either way."""
    content = path.read_bytes()
    returns, ends = content.count(b"\r\n"), content.count(b"\n")
    kind = "crlf" if ends and returns == ends else "mixed" if returns else "lf"
    return {
        "rows": len(read_rows(path, ())),
        "line_ends": kind,
        "byte_order_mark": content.startswith(b"\xef\xbb\xbf"),
    }


def _labels(path: Path) -> dict[str, list[Grade | None]]:
    rows = read_rows(path, ("study_id", *LABEL_COLUMNS))
    return {
        row["study_id"]: [_in_file(path, grade_from_text, row[name]) for name in LABEL_COLUMNS]
        for row in rows
    }


def _label_counts(labels: Mapping[str, Sequence[Grade | None]]) -> dict[str, Any]:
    grades = [grade for row in labels.values() for grade in row]
    known = Counter(grade for grade in grades if grade is not None)
    return {
        "studies": len(labels),
        "grades": len(grades),
        "missing": grades.count(None),
        "complete_studies": sum(None not in row for row in labels.values()),
        **{grade.name.lower(): known[grade] for grade in Grade},
    }


def _image_counts(labelled: set[str], folders: set[str]) -> dict[str, int]:
    return {
        "studies_without_images": len(labelled - folders),
        "images_without_labels": len(folders - labelled),
    }


def _protocols(path: Path) -> dict[tuple[str, str], Protocol]:
    return {
        (row["study_id"], row["series_id"]): protocol_from_description(row["series_description"])
        for row in read_rows(path, SERIES_COLUMNS)
    }


@dataclass(frozen=True)
class _Mark:
    study: str
    series: str
    target: Target
    is_placeholder: bool


def _marks(path: Path) -> list[_Mark]:
    return [_mark(row, path) for row in read_rows(path, COORDINATE_COLUMNS)]


def _mark(row: Row, path: Path) -> _Mark:
    condition = _in_file(path, condition_from_title, row["condition"])
    whole_number_in(row, "instance_number", path)
    x, y = number_in(row, "x", path), number_in(row, "y", path)
    return _Mark(
        row["study_id"],
        row["series_id"],
        Target(condition, _in_file(path, level_from_title, row["level"])),
        is_placeholder=max(x, y) < PLACEHOLDER_PIXELS,
    )


def _mark_counts(
    marks: Sequence[_Mark],
    labels: Mapping[str, Sequence[Grade | None]],
    protocols: Mapping[tuple[str, str], Protocol],
) -> dict[str, int]:
    graded = {
        (study, n) for study, row in labels.items() for n, g in enumerate(row) if g is not None
    }
    marked = {(mark.study, mark.target.index) for mark in marks}
    shown = [(mark, protocols.get((mark.study, mark.series))) for mark in marks]
    return {
        "marks": len(marks),
        "placeholders": sum(mark.is_placeholder for mark in marks),
        "on_other_series": sum(
            protocol is not None and protocol not in mark.target.finding.primary_views
            for mark, protocol in shown
        ),
        "on_unknown_series": sum(protocol is None for _, protocol in shown),
        "of_unknown_studies": sum(mark.study not in labels for mark in marks),
        "graded_without_mark": len(graded - marked),
        "marked_without_grade": len({m for m in marked if m[0] in labels} - graded),
    }


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _in_file(path: Path, read: Any, text: str) -> Any:
    try:
        return read(text)
    except TableError as error:
        raise TableError(error.message, remedy=error.remedy, path=path, code=error.code) from error


def summary_lines(found: Mapping[str, Any]) -> list[str]:
    """Return the summary in words, a line for each table that there is."""
    lines = []
    if labels := found.get("labels"):
        lines.append(
            "{studies} studies in train.csv: {missing} of {grades} grades missing, "
            "{complete_studies} studies complete".format(**labels)
        )
    if images := found.get("images"):
        lines.append(
            "{studies_without_images} studies without images, {images_without_labels} folders of "
            "images without labels".format(**images)
        )
    if marks := found.get("coordinates"):
        lines.append(
            "{marks} coordinates: {placeholders} placeholders, {on_other_series} on a series of "
            "another protocol, {on_unknown_series} on a series that no table names, "
            "{of_unknown_studies} of studies that train.csv does not name; "
            "{graded_without_mark} grades without one, {marked_without_grade} without a "
            "grade".format(**marks)
        )
    crlf = [name for name, form in found.get("tables", {}).items() if form["line_ends"] != "lf"]
    if crlf:
        lines.append(f"with Windows line ends, read the same: {', '.join(crlf)}")
    return lines
