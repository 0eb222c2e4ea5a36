"""Grade weights: a name or numbers in a recipe -> the weight of a row by its true grade.

none        w_k = 1                    probabilities stay calibrated
challenge   w_k = 1, 2, 4              as the challenge's metric weighs
frequency   w_k = N / (K n_k)          n_k of N known labels are of grade k
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from volspine.anatomy import Grade
from volspine.types import IntArray

__all__ = ["CHALLENGE_WEIGHTS", "GradeWeights", "frequency_weights", "weights_of"]

CHALLENGE_WEIGHTS = (1.0, 2.0, 4.0)
"""Of normal or mild, moderate and severe, in the challenge's metric."""

GradeWeights = Sequence[float] | Literal["none", "frequency", "challenge"] | None
"""Weight of a row by its true grade: numbers, or a name.

`none` weighs all alike; `challenge` as the challenge's metric does; `frequency` in inverse
proportion to how frequent a grade is among the labels that training may use.
"""


def frequency_weights(grades: IntArray, num_grades: int = len(Grade)) -> tuple[float, ...]:
    """Return weights in inverse proportion to how frequent grades are; 1 on average over rows.

    A grade that was never seen weighs as one that was seen once.

    Args:
        grades: -1 where missing.
        num_grades: How many there are.

    Example:
        >>> frequency_weights(np.array([[0, 0, 0, 0, 1, 1, 2, -1]]))
        (0.5833333333333334, 1.1666666666666667, 2.3333333333333335)
    """
    known = grades[grades >= 0]
    counts = np.maximum(np.bincount(known, minlength=num_grades), 1)
    return tuple((len(known) / (num_grades * counts)).tolist())


def weights_of(told: GradeWeights) -> Sequence[float] | None:
    """Return weights as numbers; None for all alike."""
    if isinstance(told, str):
        return CHALLENGE_WEIGHTS if told == "challenge" else None
    return told
