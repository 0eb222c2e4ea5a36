"""From a table of grades, labelled or predicted, to one number a target of each study.

    wide   study_id and 25 columns of grades, as `train.csv`
    long   row_id and three probabilities, as submissions and out-of-fold tables, or with a `grade`
           (0, 1, 2 or empty) beside them, as `test_predictions.csv`

A long table gives its grades if it has them, else expected grades, sum_k k p_k / sum_k p_k.
"""

from pathlib import Path

import numpy as np

from volspine.anatomy import TARGETS, Grade
from volspine.challenge import LABEL_COLUMNS, PROBABILITY_COLUMNS, grade_from_text, parse_row_id
from volspine.data.tables import Row, number_in, read_rows
from volspine.errors import TableError
from volspine.types import FloatArray

__all__ = ["read_grade_values"]

_GRADE = "grade"
_NAMES = {str(grade.value): float(grade.value) for grade in Grade}


def read_grade_values(path: Path) -> FloatArray:
    """Return grades or expected grades of a table, shape (N, 25); NaN where missing.

    Args:
        path: A wide or long table, studies and rows in any order.

    Raises:
        TableError: If the table is neither, is empty, or a row stands twice or cannot be read.
    """
    rows = read_rows(path, ())
    if not rows:
        raise _wrong("holds no row", path, code="VS-TAB-064")
    return _from_long(rows, path) if "row_id" in rows[0] else _from_wide(path)


def _from_wide(path: Path) -> FloatArray:
    rows = read_rows(path, ("study_id", *LABEL_COLUMNS))
    if len({row["study_id"] for row in rows}) < len(rows):
        raise _wrong("has a study_id twice", path, code="VS-TAB-065")
    return np.array([[_label(row[name]) for name in LABEL_COLUMNS] for row in rows])


def _label(text: str) -> float:
    grade = grade_from_text(text)
    return float("nan") if grade is None else float(grade)


def _from_long(rows: list[Row], path: Path) -> FloatArray:
    studies: dict[str, FloatArray] = {}
    seen: set[tuple[str, int]] = set()
    for row in rows:
        study, target = parse_row_id(row["row_id"])
        if (study, target.index) in seen:
            raise _wrong("has a row_id twice", path, code="VS-TAB-065")
        seen.add((study, target.index))
        values = studies.setdefault(study, np.full(len(TARGETS), np.nan))
        values[target.index] = _value(row, path)
    return np.stack(list(studies.values()))


def _value(row: Row, path: Path) -> float:
    """Return the grade of a row if the table has grades, else the expected one."""
    if _GRADE in row:
        if row[_GRADE] and row[_GRADE] not in _NAMES:
            raise _wrong(f"has a grade {row[_GRADE][:20]!r}", path, code="VS-TAB-066")
        return _NAMES.get(row[_GRADE], float("nan"))
    if missing := [name for name in PROBABILITY_COLUMNS if name not in row]:
        raise _wrong(f"has neither grades nor a column {missing[0]!r}", path, code="VS-TAB-066")
    p = np.array([number_in(row, name, path) for name in PROBABILITY_COLUMNS])
    if p.min() < 0 or p.sum() <= 0:
        raise _wrong("has probabilities below zero or all zero", path, code="VS-TAB-066")
    return float(p @ np.arange(len(p)) / p.sum())


def _wrong(message: str, path: Path, *, code: str) -> TableError:
    return TableError(
        f"the table {message}",
        path=path,
        remedy="give a train.csv, or a table of row_id, normal_mild, moderate, severe with a grade "
        "(0, 1, 2 or empty) or without, each row once",
        code=code,
    )
