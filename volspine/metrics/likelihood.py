"""Likelihood: probabilities and labels -> what a label costs on average.

A label y costs - ln p_y nats, not weighted by its grade: this is what calibration is fitted to, and
a report that is better by it is better whatever the weights of a metric are. How two reports of the
same studies compare, with intervals, is told by `headline.calibration_change`.

Shapes:
    N  studies    T  targets    K  grades
"""

import numpy as np

from volspine.errors import ConfigurationError
from volspine.types import FloatArray, IntArray

__all__ = ["likelihood_loss"]

_LEAST = 1e-15  # Of a probability, so that one label costs no infinite loss.


def likelihood_loss(report: FloatArray, grades: IntArray) -> float:
    """Return the mean of - ln p of the labels, in nats.

    Args:
        report: Probabilities, shape (N, T, K).
        grades: Labels, shape (N, T); -1 where missing.

    Raises:
        ConfigurationError: If shapes do not fit, or there is no label.

    Example:
        >>> round(likelihood_loss(np.array([[[0.5, 0.25, 0.25]]]), np.array([[0]])), 3)
        0.693
    """
    known = grades >= 0
    if report.shape[:-1] != grades.shape or not known.any():
        raise ConfigurationError(
            f"a report of shape {report.shape} cannot be judged by {int(known.sum())} labels of "
            f"shape {grades.shape}",
            remedy="give a label for each row of the report, some of them known",
            code="VS-CFG-304",
        )
    given = np.take_along_axis(report, np.maximum(grades, 0)[..., None], axis=-1)[..., 0]
    return float(-np.log(np.maximum(given[known], _LEAST)).mean())
