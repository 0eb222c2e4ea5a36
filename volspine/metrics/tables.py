"""From a solution and a submission to arrays in the order of `TARGETS`, or one clear error.

Tables come as CSV files (either line end, with or without a byte-order mark) or as pandas data
frames; columns and rows in any order. Cells of a file stay text, so that no study id turns into a
number.

Shapes:
    N  studies    T  targets, 25    K  grades, 3
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from volspine.anatomy import TARGETS, Grade
from volspine.challenge import (
    GRADE_WEIGHTS,
    LABEL_COLUMNS,
    MISSING,
    PROBABILITY_COLUMNS,
    grade_from_text,
    parse_row_id,
)
from volspine.errors import TableError
from volspine.types import ArrayLike, BoolArray, FloatArray, IntArray

__all__ = [
    "Frame",
    "Solution",
    "grade_weights",
    "read_solution",
    "read_studies",
    "read_submission",
]

_SUBMISSION_COLUMNS = ("row_id", *PROBABILITY_COLUMNS)
_LONG_COLUMNS = (*_SUBMISSION_COLUMNS, "sample_weight")
_WIDE_COLUMNS = ("study_id", *LABEL_COLUMNS)
_ONE_HOT_TOLERANCE = 1e-9


@runtime_checkable
class Frame(Protocol):
    """A pandas data frame, as far as it matters here."""

    @property
    def columns(self) -> Any:
        """Names of the columns."""

    def __getitem__(self, key: Any, /) -> Any:
        """Return a column."""


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


class _Table:
    """Columns by name, and how to complain about them."""

    def __init__(self, source: str | Path | Frame, what: str) -> None:
        self.what = what
        self.path = Path(source) if isinstance(source, str | Path) else None
        if isinstance(source, str | Path):
            self.columns = self._read(Path(source))
        else:
            self.columns = {str(name): [_text(v) for v in source[name]] for name in source.columns}

    def _read(self, path: Path) -> dict[str, list[str]]:
        try:
            with path.open(encoding="utf-8-sig", newline="") as stream:
                header, *rows = [row for row in csv.reader(stream, strict=True) if row] or [[]]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise self.error(
                f"cannot be read ({type(error).__name__})",
                remedy="give a comma-separated UTF-8 file",
                code="VS-TAB-051",
            ) from error
        names = [name.strip() for name in header]
        ragged = any(len(row) != len(names) for row in rows)
        if ragged or len(set(names)) < len(names):
            raise self.error(
                "has a row of another length" if ragged else "has a column twice",
                remedy="give every row one cell for each column",
                code="VS-TAB-051",
            )
        return {name: [row[c].strip() for row in rows] for c, name in enumerate(names)}

    def error(self, message: str, *, remedy: str, code: str) -> TableError:
        return TableError(f"the {self.what} {message}", path=self.path, remedy=remedy, code=code)

    def require(self, names: Sequence[str], *, no_others: bool = False) -> None:
        missing = [name for name in names if name not in self.columns]
        others = [name for name in self.columns if name not in names] if no_others else []
        if missing or others:
            found = (
                f"lacks column {missing[0]!r}" if missing else f"has a column {others[0][:40]!r}"
            )
            raise self.error(
                found, remedy=f"its columns must be {', '.join(names)}", code="VS-TAB-052"
            )

    def numbers(self, name: str) -> FloatArray:
        """Return a column of finite numbers of zero or more."""
        try:
            values = np.array([float(v) for v in self.columns[name]], dtype=np.float64)
        except ValueError as error:
            raise self._not_numbers(name, "a value that is not a number") from error
        if not np.isfinite(values).all():
            raise self._not_numbers(name, "a value that is empty, NaN or infinite")
        if (values < 0).any():
            raise self._not_numbers(name, "a negative value")
        return values

    def _not_numbers(self, name: str, what: str) -> TableError:
        return self.error(
            f"has {what} in column {name!r}",
            remedy="give finite numbers of zero or more",
            code="VS-TAB-053",
        )

    def places(self) -> dict[tuple[str, int], int]:
        """Return, for each (study, target index) of `row_id`, the row it stands in."""
        places: dict[tuple[str, int], int] = {}
        for row, text in enumerate(self.columns["row_id"]):
            study, target = parse_row_id(text)
            places[study, target.index] = row
        if len(places) < len(self.columns["row_id"]):
            raise self.error(
                "has a row_id twice",
                remedy="give each study, condition and level one row",
                code="VS-TAB-054",
            )
        return places


def read_solution(source: str | Path | Frame, *, studies: Iterable[str] | None = None) -> Solution:
    """Return the truth of a wide `train.csv` or of the long form with `sample_weight`.

    Args:
        source: Path or data frame.
        studies: Keep these studies only; all if omitted.

    Raises:
        TableError: If the table does not parse, or does not hold a study that is asked for.
    """
    table = _Table(source, "solution")
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
    source: str | Path | Frame, solution: Solution, *, ignore_others: bool = False
) -> FloatArray:
    """Return the probabilities of a submission in the order of a solution, shape (N, T, K).

    Rows that the solution does not ask for are 0.

    Args:
        source: Path or data frame with `row_id` and three probabilities.
        solution: What it is scored against.
        ignore_others: Pass over studies that the solution does not hold.

    Raises:
        TableError: If the table does not parse, a row is missing or twice, or a study unknown.
    """
    table = _Table(source, "submission")
    table.require(_SUBMISSION_COLUMNS, no_others=True)
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
    table = _Table(path, "list of studies")
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
    table: _Table,
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


def _from_wide(table: _Table) -> Solution:
    table.require(_WIDE_COLUMNS)
    studies = tuple(table.columns["study_id"])
    if len(set(studies)) < len(studies):
        raise table.error(
            "has a study_id twice", remedy="give each study one row", code="VS-TAB-054"
        )
    cells = [[_grade(text) for text in table.columns[name]] for name in LABEL_COLUMNS]
    grades = np.array(cells, dtype=np.int64).reshape(len(TARGETS), len(studies)).T
    return Solution(studies, grades, grade_weights(grades), np.ones_like(grades, dtype=np.bool_))


def _from_long(table: _Table) -> Solution:
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


def _check_one_hot(table: _Table, one_hot: FloatArray) -> None:
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


def _text(value: object) -> str:
    if value is None or value != value:  # noqa: PLR0124  NaN, the empty cell of a data frame
        return ""
    return str(value).strip()
