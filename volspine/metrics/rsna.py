"""The challenge's metric: from grades and probabilities to one score and its four parts.

Every row (study x condition x level) with a grade has a weight, 1, 2 or 4 for normal/mild,
moderate or severe. Three terms, over canal, foramina and recesses with left and right pooled, are

    sum(w * -ln p[true grade]) / sum(w).

The fourth asks of each study whether some graded level of its canal is severe. Its prediction is
the largest p[severe] over those levels, its weight the largest weight among them, and the term is
the weighted binary log loss. The score is the mean of the four; lower is better.

Probabilities are clipped to [eps, 1 - eps] with eps of their own dtype, then rows are divided by
their sums: so did scikit-learn until 1.4, while 1.9 divides no more (`normalize_rows=False`). The
fourth term never divides.

Terms are ratios, so each study contributes to four numerators and four denominators, and only
their sums are divided: over batches, folds or bootstrap samples alike.

Shapes:
    N  studies    T  targets, 25    K  grades, 3    M  terms, 4: canal, foramina, recesses, any
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from volspine.anatomy import TARGETS, Grade
from volspine.challenge import FINDING_GROUPS
from volspine.errors import ConfigurationError, TableError
from volspine.metrics.tables import Frame, grade_weights, read_solution, read_submission
from volspine.types import ArrayLike, FloatArray

__all__ = [
    "TERMS",
    "RsnaScore",
    "Terms",
    "grade_weights",
    "mean_of_terms",
    "ratio",
    "rsna_score",
    "rsna_terms",
    "score_terms",
]

Grades = NDArray[np.integer[Any]]
Probabilities = NDArray[np.floating[Any]]

TERMS = (*FINDING_GROUPS, "any_severe")
"""Names of the four terms, in the order of every array of terms."""

_GROUPS = tuple(
    np.array([t.index for t in TARGETS if t.finding is finding])
    for finding in FINDING_GROUPS.values()
)
_CANAL = _GROUPS[list(FINDING_GROUPS).index("spinal")]


class Terms(NamedTuple):
    """What each study contributes to each term.

    Attributes:
        numerators: Weighted losses, shape (N, M).
        denominators: Weights, shape (N, M).
    """

    numerators: FloatArray
    denominators: FloatArray

    def score(self) -> "RsnaScore":
        """Return the score over all studies; a term without any row is NaN and leaves the mean."""
        terms = ratio(self.numerators.sum(axis=0), self.denominators.sum(axis=0))
        return RsnaScore(*map(float, [*mean_of_terms(terms), *terms]))


@dataclass(frozen=True)
class RsnaScore:
    """The challenge's score and its four terms; lower is better.

    Attributes:
        total: Mean of the four terms.
        spinal: Weighted log loss over the canal.
        foraminal: Weighted log loss over the foramina.
        subarticular: Weighted log loss over the recesses.
        any_severe: Weighted log loss of "some level of the canal is severe".
    """

    total: float
    spinal: float
    foraminal: float
    subarticular: float
    any_severe: float

    def to_dict(self) -> dict[str, float]:
        """Return the five numbers by name."""
        return asdict(self)


def rsna_score(
    solution: str | Path | Frame,
    submission: str | Path | Frame,
    *,
    normalize_rows: bool = True,
    studies: set[str] | None = None,
) -> RsnaScore:
    """Return the challenge's score of a submission.

    Args:
        solution: A wide `train.csv`, or the long form with `row_id`, three one-hot columns and
            `sample_weight`; a path or a data frame.
        submission: `row_id` and three probabilities; a path or a data frame.
        normalize_rows: Divide each row by its sum, as scikit-learn did until 1.4.
        studies: Score these studies only; all of the solution's if omitted.

    Raises:
        TableError: If a table does not parse, the two do not fit, or a term has no graded row.
    """
    truth = read_solution(solution, studies=studies)
    probabilities = read_submission(submission, truth, ignore_others=studies is not None)
    terms = rsna_terms(
        truth.grades, probabilities, weights=truth.weights, normalize_rows=normalize_rows
    )
    return score_terms(terms)


def score_terms(terms: Terms) -> RsnaScore:
    """Return the score over all studies, none of whose terms may lack a row.

    Raises:
        TableError: If a term has no graded row.
    """
    score = terms.score()
    if np.isnan(list(score.to_dict().values())).any():
        raise TableError(
            "canal, foramina or recesses have no graded row in the solution",
            remedy="score more studies, or check the labels",
            code="VS-TAB-050",
        )
    return score


def rsna_terms(
    grades: ArrayLike,
    probabilities: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    normalize_rows: bool = True,
) -> Terms:
    """Return what each study contributes to each of the four terms.

    Args:
        grades: True grades, shape (N, T); -1 where there is none, and nothing is scored.
        probabilities: Shape (N, T, K); their dtype decides where they are clipped.
        weights: Weight of each row, shape (N, T); by its grade if omitted.
        normalize_rows: Divide each clipped row by its sum.

    Raises:
        ConfigurationError: If the shapes do not fit.

    Example:
        >>> grades = np.zeros((1, 25), dtype=int)
        >>> rsna_terms(grades, np.full((1, 25, 3), 1 / 3)).score().spinal.__round__(4)
        1.0986
    """
    labels, p = np.asarray(grades), np.asarray(probabilities)
    _check_shapes(labels, p)
    w = grade_weights(labels) if weights is None else np.where(labels >= 0, weights, 0.0)
    loss = _row_losses(labels, p, normalize_rows=normalize_rows) * w
    any_loss, any_weight = _any_severe(labels, p, w)
    return Terms(
        np.stack([*(loss[:, t].sum(axis=1) for t in _GROUPS), any_loss], axis=1),
        np.stack([*(w[:, t].sum(axis=1) for t in _GROUPS), any_weight], axis=1),
    )


def mean_of_terms(terms: FloatArray) -> FloatArray:
    """Return the mean of the terms that have rows, shape (..., M) to (..., 1); NaN if none has."""
    there = ~np.isnan(terms)
    summed = np.where(there, terms, 0.0).sum(axis=-1, keepdims=True)
    return ratio(summed, there.sum(axis=-1, keepdims=True).astype(np.float64))


def ratio(numerators: FloatArray, denominators: FloatArray) -> FloatArray:
    """Return numerators over denominators; NaN where a denominator is 0."""
    some = denominators > 0
    return np.where(some, numerators / np.where(some, denominators, 1.0), np.nan)


def _check_shapes(labels: Grades, p: Probabilities) -> None:
    if labels.shape[1:] != (len(TARGETS),) or p.shape != (*labels.shape, len(Grade)):
        raise ConfigurationError(
            f"grades of shape {labels.shape} and probabilities of shape {p.shape} do not fit",
            remedy=f"give shapes (N, {len(TARGETS)}) and (N, {len(TARGETS)}, {len(Grade)})",
            code="VS-CFG-050",
        )


def _clip(p: Probabilities) -> FloatArray:
    eps = np.finfo(p.dtype).eps
    return np.asarray(np.clip(p, eps, 1 - eps), dtype=np.float64)


def _row_losses(labels: Grades, p: Probabilities, *, normalize_rows: bool) -> FloatArray:
    clipped = _clip(p)
    said = np.take_along_axis(clipped, np.maximum(labels, 0)[..., None], axis=-1)[..., 0]
    return np.asarray(-np.log(said / clipped.sum(axis=-1) if normalize_rows else said))


def _any_severe(labels: Grades, p: Probabilities, w: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return loss times weight, and weight, of each study."""
    truth = labels[:, _CANAL]
    raw = np.where(truth >= 0, p[:, _CANAL, Grade.SEVERE], 0.0).max(axis=1).astype(p.dtype)
    said = _clip(raw)
    loss = -np.where((truth == Grade.SEVERE).any(axis=1), np.log(said), np.log1p(-said))
    weight = w[:, _CANAL].max(axis=1)
    return loss * weight, weight
