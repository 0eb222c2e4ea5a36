"""From a solution and a submission to arrays in the order of `TARGETS`, or one clear error.

Tables come as CSV files (either line end, with or without a byte-order mark) or as pandas data
frames; columns and rows in any order. Cells of a file stay text, so that no study id turns into a
number.

Shapes:
    N  studies    T  targets, 25    K  grades, 3
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from volspine.anatomy import TARGETS, Grade
from volspine.challenge import (
    GRADE_WEIGHTS,
    LABEL_COLUMNS,
    MISSING,
    PROBABILITY_COLUMNS,
    grade_from_text,
)
from volspine.metrics.table_columns import Frame, Table
from volspine.types import ArrayLike, BoolArray, FloatArray, IntArray

__all__ = [
    "CALIBRATED_COLUMNS",
    "Frame",
    "Solution",
    "grade_weights",
    "read_solution",
    "read_studies",
    "read_submission",
]

CALIBRATED_COLUMNS = ("grade", "fold")
"""Columns that tables of held-out predictions have beside the probabilities; not read here."""

_SUBMISSION_COLUMNS = ("row_id", *PROBABILITY_COLUMNS)
_LONG_COLUMNS = (*_SUBMISSION_COLUMNS, "sample_weight")
_WIDE_COLUMNS = ("study_id", *LABEL_COLUMNS)
_ONE_HOT_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Solution:
    """The truth that a submission is scored against.

    Attributes:
        studies: Study ids, in the order of the rows of the arrays.
        grades: Shape (N, T); -1 where there is no grade.
        weights: Shape (N, T); 0 where there is no grade.
        wanted: Shape (N, T); True where a submission must have a row, graded or not.
    """

    studies: tuple[str, ...]
    grades: IntArray
    weights: FloatArray
    wanted: BoolArray


def grade_weights(grades: ArrayLike) -> FloatArray:
    """Return the challenge's weight of each grade; 0 where there is none.

    Example:
        >>> grade_weights([0, 1, 2, -1]).tolist()
        [1.0, 2.0, 4.0, 0.0]
    """
    labels = np.asarray(grades)
    return np.where(labels >= 0, np.array(GRADE_WEIGHTS)[np.maximum(labels, 0)], 0.0)


def read_solution(source: str | Path | Frame, *, studies: Iterable[str] | None = None) -> Solution:
    """Return the truth of a wide `train.csv` or of the long form with `sample_weight`.

    Args:
        source: Path or data frame.
        studies: Keep these studies only; all if omitted.

    Raises:
        TableError: If the table does not parse, or does not hold a study that is asked for.
    """
    table = Table(source, "solution")
    whole = _from_long(table) if "row_id" in table.columns else _from_wide(table)
    if studies is None and whole.studies:
        return whole
    wanted = set() if studies is None else set(studies)
    if not wanted or (unknown := wanted - set(whole.studies)):
        raise table.error(
            f"does not hold {len(unknown)} of the {len(wanted)} studies" if wanted else "is empty",
            remedy="give studies that the solution holds",
            code="VS-TAB-055",
        )
    rows = [n for n, study in enumerate(whole.studies) if study in wanted]
    kept = tuple(whole.studies[n] for n in rows)
    return Solution(kept, whole.grades[rows], whole.weights[rows], whole.wanted[rows])


def read_submission(
    source: str | Path | Frame,
    solution: Solution,
    *,
    ignore_others: bool = False,
    also: Sequence[str] = (),
) -> FloatArray:
    """Return the probabilities of a submission in the order of a solution, shape (N, T, K).

    Rows that the solution does not ask for are 0.

    Args:
        source: Path or data frame with `row_id` and three probabilities.
        solution: What it is scored against.
        ignore_others: Pass over studies that the solution does not hold.
        also: Columns that it may have besides; they are not read.

    Raises:
        TableError: If the table does not parse, a row is missing or twice, or a study unknown.
    """
    table = Table(source, "submission")
    table.require(_SUBMISSION_COLUMNS, may_have=also)
    values = np.stack([table.numbers(name) for name in PROBABILITY_COLUMNS], axis=1)
    places = table.places()
    _check_rows(table, places, solution, ignore_others=ignore_others)
    probabilities = np.zeros((*solution.grades.shape, len(Grade)))
    for n, study in enumerate(solution.studies):
        for t in range(len(TARGETS)):
            if (row := places.get((study, t))) is not None:
                probabilities[n, t] = values[row]
    return probabilities


def read_studies(path: Path) -> set[str]:
    """Return the study ids of a file: one on each line, or a table with a column `study_id`.

    Raises:
        TableError: If the file cannot be read or names no study.
    """
    table = Table(path, "list of studies")
    name, *others = table.columns or [""]
    if "study_id" in table.columns:
        found = set(table.columns["study_id"])
    else:
        found = set() if others else {name, *table.columns.get(name, ())}
    if not found - {""}:
        raise table.error(
            "names no study",
            remedy="write one study id on each line, or a table with a column study_id",
            code="VS-TAB-055",
        )
    return found - {""}


def _check_rows(
    table: Table,
    places: Mapping[tuple[str, int], int],
    solution: Solution,
    *,
    ignore_others: bool,
) -> None:
    known = set(solution.studies)
    missing = sum(
        (study, int(t)) not in places
        for study, row in zip(solution.studies, solution.wanted, strict=True)
        for t in np.flatnonzero(row)
    )
    if missing:
        raise table.error(
            f"lacks {missing} rows that the solution asks for",
            remedy="predict all 25 targets of every study, or choose studies with --studies",
            code="VS-TAB-056",
        )
    others = {study for study, _ in places} - known
    if others and not ignore_others:
        raise table.error(
            f"holds {len(others)} studies that the solution does not",
            remedy="leave them out, or choose studies with --studies",
            code="VS-TAB-057",
        )


def _from_wide(table: Table) -> Solution:
    table.require(_WIDE_COLUMNS)
    studies = tuple(table.columns["study_id"])
    if len(set(studies)) < len(studies):
        raise table.error(
            "has a study_id twice", remedy="give each study one row", code="VS-TAB-112"
        )
    cells = [[_grade(text) for text in table.columns[name]] for name in LABEL_COLUMNS]
    grades = np.array(cells, dtype=np.int64).reshape(len(TARGETS), len(studies)).T
    return Solution(studies, grades, grade_weights(grades), np.ones_like(grades, dtype=np.bool_))


def _from_long(table: Table) -> Solution:
    table.require(_LONG_COLUMNS)
    one_hot = np.stack([table.numbers(name) for name in PROBABILITY_COLUMNS], axis=1)
    row_weights = table.numbers("sample_weight")
    _check_one_hot(table, one_hot)
    labels = np.where(one_hot.sum(axis=1) > 0, one_hot.argmax(axis=1), MISSING)
    places = table.places()
    studies = tuple(dict.fromkeys(study for study, _ in places))
    index = {study: n for n, study in enumerate(studies)}
    grades = np.full((len(studies), len(TARGETS)), MISSING, dtype=np.int64)
    weights, wanted = np.zeros(grades.shape), np.zeros(grades.shape, dtype=np.bool_)
    for (study, t), row in places.items():
        at = index[study], t
        grades[at], wanted[at] = labels[row], True
        weights[at] = row_weights[row] if labels[row] >= 0 else 0.0
    return Solution(studies, grades, weights, wanted)


def _check_one_hot(table: Table, one_hot: FloatArray) -> None:
    sums, largest = one_hot.sum(axis=1), one_hot.max(axis=1, initial=0.0)
    graded = np.abs(sums - 1) + np.abs(largest - 1) < _ONE_HOT_TOLERANCE
    if not np.all(graded | (sums == 0)):
        raise table.error(
            "has a row whose grade is not one of three",
            remedy="give a 1 for the true grade and 0 for the others",
            code="VS-TAB-058",
        )


def _grade(text: str) -> int:
    grade = grade_from_text(text)
    return MISSING if grade is None else int(grade)
