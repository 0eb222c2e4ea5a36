"""The table that `volspine test` writes -> probabilities and labels.

One row a study and target, in any order: `row_id`, three calibrated probabilities, and the label as
`grade` (0, 1, 2 or empty).
"""

from pathlib import Path

import numpy as np

from volspine.anatomy import TARGETS, Grade
from volspine.challenge import MISSING, PROBABILITY_COLUMNS, parse_row_id
from volspine.data.tables import number_in, read_rows, whole_number_in
from volspine.errors import TableError
from volspine.types import FloatArray, IntArray

__all__ = ["read_predictions"]


def read_predictions(path: Path) -> tuple[FloatArray, IntArray]:
    """Return probabilities (N, 25, 3) and labels (N, 25) of a table; -1 where there is none.

    A target without a row has equal probabilities and no label.

    Raises:
        TableError: If the table is missing, empty, lacks a column or has a cell that is no number.
    """
    studies: dict[str, tuple[FloatArray, IntArray]] = {}
    for row in read_rows(path, ("row_id", *PROBABILITY_COLUMNS, "grade")):
        name, target = parse_row_id(row["row_id"])
        p, grade = studies.setdefault(name, _unknown())
        p[target.index] = [number_in(row, column, path) for column in PROBABILITY_COLUMNS]
        grade[target.index] = whole_number_in(row, "grade", path) if row["grade"] else MISSING
    if not studies:
        raise TableError(
            "the table has no row",
            path=path,
            remedy="give test_predictions.csv as volspine test wrote it",
            code="VS-TAB-069",
        )
    probabilities, grades = zip(*studies.values(), strict=True)
    return np.stack(probabilities), np.stack(grades)


def _unknown() -> tuple[FloatArray, IntArray]:
    count, grades = len(TARGETS), len(Grade)
    return np.full((count, grades), 1 / grades), np.full(count, MISSING, dtype=np.int64)
