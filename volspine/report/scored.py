"""What is scored: a solution and a table, or the predictions of a test run -> arrays side by side.

A table is a submission, which is weighted for the metric, or calibrated predictions
(`test_predictions.csv`, out-of-fold ones), which are weighted here. Either way both are kept: the
metric scores what is submitted; whether a model is right is judged by what it would report. Of a
submission the weights are undone, which is exact but for the level of a canal that the metric's
fourth term moved (`volspine.any_severe`).

Shapes:
    N  studies    T  targets, 25    K  grades, 3
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from volspine.anatomy import Grade
from volspine.challenge import GRADE_WEIGHTS
from volspine.decide import decide
from volspine.metrics.rsna import Terms, grade_weights, rsna_terms, score_terms
from volspine.metrics.tables import (
    CALIBRATED_COLUMNS,
    Frame,
    Solution,
    read_solution,
    read_submission,
)
from volspine.types import FloatArray, IntArray

__all__ = ["Scored", "is_phantom_root", "is_phantom_solution", "predicted", "read_scored"]


@dataclass(frozen=True, eq=False)
class Scored:
    """Predictions beside labels.

    Attributes:
        studies: N ids.
        grades: Labels, shape (N, T); -1 where missing.
        weights: Shape (N, T); 0 where there is no label.
        submitted: What the metric scores, shape (N, T, K); 0 in rows that are not asked for.
        calibrated: What the model would report, shape (N, T, K); 0 there, too.
        name: Of the predictions, as shown.
    """

    studies: tuple[str, ...]
    grades: IntArray
    weights: FloatArray
    submitted: FloatArray
    calibrated: FloatArray
    name: str = ""

    @property
    def terms(self) -> Terms:
        """What each study contributes to the challenge's score."""
        return rsna_terms(self.grades, self.submitted, weights=self.weights)

    @property
    def num_rows(self) -> int:
        """Rows with a label."""
        return int((self.grades >= 0).sum())


def read_scored(
    solution: str | Path | Frame,
    *tables: str | Path | Frame,
    studies: set[str] | None = None,
    is_calibrated: bool = False,
) -> tuple[Scored, ...]:
    """Return what each of some tables says of one solution.

    Args:
        solution: A wide `train.csv` or the long form with `sample_weight`.
        tables: With `row_id` and three probabilities.
        studies: Those of the solution to score; all if omitted.
        is_calibrated: They are calibrated probabilities, not weighted for the metric yet.

    Raises:
        TableError: If a table does not parse, the two do not fit, or a term of the metric has no
            graded row.
    """
    truth = read_solution(solution, studies=studies)
    others = CALIBRATED_COLUMNS if is_calibrated else ()
    found = []
    for table in tables:
        p = read_submission(table, truth, ignore_others=studies is not None, also=others)
        of_table = _calibrated(truth, p) if is_calibrated else _submitted(truth, p)
        score_terms(of_table.terms)  # Refuses what has no score.
        found.append(replace(of_table, name=_name(table)))
    return tuple(found)


def predicted(
    probabilities: FloatArray, grades: IntArray, keys: Sequence[str], *, name: str = ""
) -> Scored:
    """Return calibrated predictions as they are scored: after the decision layer.

    Args:
        probabilities: Shape (N, T, K).
        grades: Labels, shape (N, T); -1 where missing.
        keys: N names of studies.
        name: Of the predictions, as shown.
    """
    weights = grade_weights(grades)
    return Scored(tuple(keys), grades, weights, decide(probabilities), probabilities, name)


def is_phantom_solution(solution: str | Path | Frame) -> bool:
    """Return whether a solution lies in a phantom root: their truth is beside it."""
    return isinstance(solution, str | Path) and is_phantom_root(Path(solution).parent)


def is_phantom_root(root: Path) -> bool:
    """Return whether a challenge root, or what was prepared of one, is of synthetic studies."""
    return any((root / "truth").glob("*.json"))


def _submitted(truth: Solution, p: FloatArray) -> Scored:
    rows = p / np.array(GRADE_WEIGHTS)
    return Scored(truth.studies, truth.grades, truth.weights, p, _shares(rows, 0.0))


def _calibrated(truth: Solution, p: FloatArray) -> Scored:
    asked = _shares(p, 1 / len(Grade))
    return Scored(truth.studies, truth.grades, truth.weights, decide(asked), asked)


def _shares(rows: FloatArray, empty: float) -> FloatArray:
    """Return rows divided by their sums; `empty` in rows of zeros."""
    total = rows.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(rows, total, out=np.full_like(rows, empty), where=total > 0))


def _name(table: str | Path | Frame) -> str:
    """Return the last two parts of a path: files of runs share their names."""
    return "/".join(Path(table).parts[-2:]) if isinstance(table, str | Path) else "data frame"
