"""Agreement of ordered grades: from true and given grades to kappa, accuracy and confusion.

Quadratic weighted kappa (Cohen, 1968) compares squared distances between grades with those that
chance would give from the same totals:

    kappa = 1 - sum(d * observed) / sum(d * expected),    d[a, b] = (a - b)^2

1 is perfect agreement, 0 is what chance gives. Accuracy is shown beside the share of the commonest
grade, since three rows in four are normal.

Shapes:
    K  grades; arrays of grades have any shape, -1 where there is none
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volspine.anatomy import TARGETS, Finding, Grade
from volspine.errors import ConfigurationError
from volspine.types import ArrayLike, IntArray

__all__ = [
    "OrdinalScores",
    "confusion",
    "ordinal_scores",
    "ordinal_scores_by_finding",
    "quadratic_weighted_kappa",
]


@dataclass(frozen=True)
class OrdinalScores:
    """How well given grades agree with true ones.

    Attributes:
        num_rows: Rows with a true grade.
        kappa: Quadratic weighted kappa; NaN where all rows have one and the same grade.
        accuracy: Share of rows graded exactly right.
        majority: Share of the commonest true grade: the accuracy of always saying it.
        balanced_accuracy: Mean over the true grades of the share graded right.
        mean_error: Mean distance in grades.
    """

    num_rows: int
    kappa: float
    accuracy: float
    majority: float
    balanced_accuracy: float
    mean_error: float

    def to_dict(self) -> dict[str, float]:
        """Return the numbers by name."""
        return asdict(self)


def confusion(truth: ArrayLike, given: ArrayLike) -> IntArray:
    """Return counts by true grade (row) and given grade (column), shape (K, K).

    Args:
        truth: True grades; rows at -1 are left out.
        given: Given grades, of the same shape.

    Raises:
        ConfigurationError: If the shapes differ or a grade does not exist.

    Example:
        >>> confusion([0, 2, 2, -1], [0, 2, 1, 0]).tolist()
        [[1, 0, 0], [0, 0, 0], [0, 1, 1]]
    """
    a, b = np.asarray(truth), np.asarray(given)
    k = len(Grade)
    if a.shape != b.shape or not (_all_grades(a, lowest=-1) and _all_grades(b[a >= 0], lowest=0)):
        raise ConfigurationError(
            f"grades of shapes {a.shape} and {b.shape} cannot be compared",
            remedy=f"give the same shape, and grades from 0 to {k - 1}",
            code="VS-CFG-054",
        )
    known = a >= 0
    pairs = a[known].astype(np.int64) * k + b[known].astype(np.int64)
    return np.bincount(pairs, minlength=k * k).reshape(k, k).astype(np.int64)


def quadratic_weighted_kappa(counts: IntArray) -> float:
    """Return Cohen's kappa with squared distances; NaN where chance leaves nothing to explain.

    Args:
        counts: Confusion of true and given grades, shape (K, K).

    Example:
        >>> quadratic_weighted_kappa(np.diag([3, 2, 1]))
        1.0
    """
    grades = np.arange(len(counts))
    distance = (grades[:, None] - grades) ** 2
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / max(counts.sum(), 1)
    by_chance = float((distance * expected).sum())
    return 1 - float((distance * counts).sum()) / by_chance if by_chance else float("nan")


def ordinal_scores(truth: ArrayLike, given: ArrayLike) -> OrdinalScores:
    """Return how well given grades agree with true ones; all NaN where no grade is known.

    Args:
        truth: True grades; rows at -1 are left out.
        given: Given grades, of the same shape.
    """
    counts = confusion(truth, given)
    rows, right = counts.sum(axis=1), counts.diagonal()
    grades = np.arange(len(counts))
    distance = np.abs(grades[:, None] - grades)
    seen, n = rows > 0, int(counts.sum())
    return OrdinalScores(
        num_rows=n,
        kappa=quadratic_weighted_kappa(counts),
        accuracy=_share(float(right.sum()), n),
        majority=_share(float(rows.max()), n),
        balanced_accuracy=_share(float((right[seen] / rows[seen]).sum()), int(seen.sum())),
        mean_error=_share(float((distance * counts).sum()), n),
    )


def ordinal_scores_by_finding(truth: ArrayLike, given: ArrayLike) -> dict[str, OrdinalScores]:
    """Return the agreement over all targets and for each finding, sides and levels pooled.

    Args:
        truth: True grades, shape (N, 25); -1 where there is none.
        given: Given grades, shape (N, 25).
    """
    a, b = np.asarray(truth), np.asarray(given)
    groups = {
        finding.term: [t.index for t in TARGETS if t.finding is finding] for finding in Finding
    }
    return {
        "all": ordinal_scores(a, b),
        **{name: ordinal_scores(a[:, t], b[:, t]) for name, t in groups.items()},
    }


def _all_grades(values: NDArray[Any], *, lowest: int) -> bool:
    return bool(np.all((values >= lowest) & (values < len(Grade))))


def _share(part: float, whole: int) -> float:
    return part / whole if whole else float("nan")
