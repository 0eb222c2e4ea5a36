"""Grades as rows: one plain record per target, for tables, CSV and JSON.

Spellings are those of the challenge's `train.csv`: `spinal_canal_stenosis`, `l4_l5`, `Normal/Mild`.
`grade_rows` and `grades_from_rows` are inverse, so a written result can be read back.
"""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from volspine.anatomy import TARGETS
from volspine.any_severe import decide_study
from volspine.challenge import PROBABILITY_COLUMNS, row_id, submission_targets
from volspine.decide import decide
from volspine.errors import TableError
from volspine.grades import Status, StudyGrades
from volspine.types import FloatArray

__all__ = [
    "GRADE_COLUMNS",
    "SUBMISSION_COLUMNS",
    "csv_text",
    "grade_rows",
    "grades_from_rows",
    "submission_rows",
]

_POINT_COLUMNS = ("x_mm", "y_mm", "z_mm")

GRADE_COLUMNS = (
    "condition",
    "level",
    *PROBABILITY_COLUMNS,
    "grade",
    "confidence",
    "imputed",
    "reason",
    *_POINT_COLUMNS,
)
"""Columns of `grades.csv`, one row per target; points are LPS millimetres."""

SUBMISSION_COLUMNS = ("row_id", *PROBABILITY_COLUMNS)

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def grade_rows(grades: StudyGrades) -> list[dict[str, Any]]:
    """Return one record per target, in canonical order, with the keys `GRADE_COLUMNS`.

    Numbers are Python floats; NaN where there is none. `grade` is empty when refused.
    """
    found = zip(TARGETS, grades.grades, strict=True)
    return [
        {
            "condition": target.condition.term,
            "level": target.level.value,
            **_named(PROBABILITY_COLUMNS, grades.probabilities[t]),
            "grade": "" if grade is None else grade.label,
            "confidence": float(grades.confidence[t]),
            "imputed": bool(grades.imputed[t]),
            "reason": grades.reasons[t],
            **_named(_POINT_COLUMNS, grades.points_mm[t]),
        }
        for t, (target, grade) in enumerate(found)
    ]


def grades_from_rows(
    rows: Iterable[Mapping[str, Any]],
    *,
    name: str,
    status: Status,
    reason: str = "",
    provenance: Mapping[str, Any] | None = None,
) -> StudyGrades:
    """Return the grades that `grade_rows` wrote, whatever the order of the rows.

    Args:
        rows: Records with the keys `GRADE_COLUMNS`; None stands for NaN, as in JSON.
        name: Name of the study in outputs.
        status: `graded`, `partial` or `refused`.
        reason: Why it is not `graded`.
        provenance: Plain data about model, inputs and settings.

    Raises:
        TableError: If a target is missing, given twice or unknown, or a key is missing.
    """
    by_name = _by_target(rows)
    ordered = [by_name[target.name] for target in TARGETS]
    return StudyGrades(
        name=name,
        probabilities=_numbers(ordered, PROBABILITY_COLUMNS),
        imputed=np.array([bool(row["imputed"]) for row in ordered]),
        reasons=tuple(str(row["reason"]) for row in ordered),
        points_mm=_numbers(ordered, _POINT_COLUMNS),
        status=status,
        reason=reason,
        provenance=dict(provenance or {}),
    )


def submission_rows(
    name: str, probabilities: FloatArray, *, is_prior: bool = False
) -> list[dict[str, Any]]:
    """Return the 25 rows of a submission, after the decision layer.

    Args:
        name: Study id.
        probabilities: Calibrated, shape (25, 3), in canonical order.
        is_prior: They are frequencies, reported target by target: the prior. Otherwise the canal is
            decided as a whole, since the metric reads its rows twice.
    """
    decided = decide(probabilities) if is_prior else decide_study(probabilities)
    return [
        {"row_id": row_id(name, target), **_named(PROBABILITY_COLUMNS, decided[target.index])}
        for target in submission_targets()
    ]


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return a CSV table with Unix line ends, whatever the locale.

    Empty cells stand for NaN and None. A text that a spreadsheet would run as a formula gets a
    leading apostrophe.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    return stream.getvalue()


def _named(columns: Sequence[str], values: FloatArray) -> dict[str, float]:
    return {column: float(value) for column, value in zip(columns, values, strict=True)}


def _numbers(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> FloatArray:
    def number(value: Any) -> float:
        return math.nan if value is None else float(value)

    return np.array([[number(row[column]) for column in columns] for row in rows])


def _by_target(rows: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    by_name: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        missing = [column for column in GRADE_COLUMNS if column not in row]
        if missing:
            raise _bad_rows(f"a row of grades has no {missing[0]!r}")
        name = f"{row['condition']}_{row['level']}"
        if name in by_name:
            raise _bad_rows(f"target {name[:60]!r} is graded twice")
        by_name[name] = row
    expected = {target.name for target in TARGETS}
    if set(by_name) != expected:
        odd = min(expected.symmetric_difference(by_name))
        raise _bad_rows(f"target {odd[:60]!r} is missing or unknown")
    return by_name


def _bad_rows(message: str) -> TableError:
    return TableError(message, remedy="grade the study again", code="VS-TAB-040")


def _cell(value: Any) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        text = " ".join(value.split())
        return f"'{text}" if value.startswith(_FORMULA_STARTS) else text
    return value
