"""From calibrated probabilities to what a weighted metric wants to hear.

A weighted log loss with weight w_k on true grade k has expectation, for a report q of a calibrated
probability p,

    - sum_k  p_k w_k log q_k,

which is smallest over the simplex at

    q_k = w_k p_k / sum_j w_j p_j.

So a model is trained and reported calibrated, and converted only when a submission is written.
`prior` is the report of one who has learned nothing: the weighted frequency of each grade.
"""

import numpy as np

from volspine.challenge import GRADE_WEIGHTS, MISSING
from volspine.errors import ConfigurationError
from volspine.types import ArrayLike, FloatArray

__all__ = ["decide", "frequencies", "prior"]


def decide(probabilities: ArrayLike, weights: ArrayLike = GRADE_WEIGHTS) -> FloatArray:
    """Return the report that minimises the expected weighted log loss.

    Args:
        probabilities: Calibrated probability of every grade along the last axis.
        weights: Positive sample weight of each grade.

    Returns:
        An array of the same shape; the last axis sums to one.

    Raises:
        ConfigurationError: If a weight is not positive, or a row is not a distribution.

    Example:
        >>> decide([0.5, 0.25, 0.25]).round(3).tolist()
        [0.25, 0.25, 0.5]
    """
    p = np.asarray(probabilities, dtype=np.float64)
    w = np.asarray(weights, dtype=np.float64)
    if w.shape != p.shape[-1:] or not np.all(w > 0):
        raise ConfigurationError(
            f"decision weights {np.round(w, 4).tolist()} do not fit {p.shape[-1]} grades",
            remedy="give one positive weight for each grade",
            code="VS-CFG-010",
        )
    if not np.all(p >= 0) or not np.allclose(p.sum(axis=-1), 1.0, atol=1e-4):
        raise ConfigurationError(
            "probabilities must be non-negative and sum to one over the last axis",
            remedy="pass the output of a model's link, not raw scores",
            code="VS-CFG-011",
        )
    weighted = p * w
    return np.asarray(weighted / weighted.sum(axis=-1, keepdims=True), dtype=np.float64)


def frequencies(grades: ArrayLike, num_grades: int = 3) -> FloatArray:
    """Return the observed frequency of every grade for each target, ignoring missing labels.

    Args:
        grades: Integer grades, shape (N, T); -1 where missing.
        num_grades: Number of grades K.

    Returns:
        Shape (T, K), rows summing to one. Half an observation is added to every grade (Jeffreys'
        prior), so a grade that was never seen keeps a probability above zero.
    """
    labels = np.asarray(grades)
    counts = np.stack([(labels == k).sum(axis=0) for k in range(num_grades)], axis=-1) + 0.5
    return np.asarray(counts / counts.sum(axis=-1, keepdims=True), dtype=np.float64)


def prior(grades: ArrayLike, weights: ArrayLike = GRADE_WEIGHTS) -> FloatArray:
    """Return the best constant report for each target: its frequencies after `decide`.

    Args:
        grades: Training labels, shape (N, T); `challenge.MISSING` where there is none.
        weights: Sample weight of each grade.

    Returns:
        Shape (T, K).

    Example:
        >>> prior(np.array([[0], [0], [1], [2]])).round(2).tolist()
        [[0.22, 0.26, 0.52]]
    """
    labels = np.asarray(grades)
    if labels.size and labels.min() < MISSING:
        raise ConfigurationError(
            f"grade {int(labels.min())} is below {MISSING}",
            remedy=f"mark missing grades with {MISSING}",
            code="VS-CFG-012",
        )
    return decide(frequencies(labels, len(np.asarray(weights))), weights)
