"""The report of a whole study, where one term of the metric reads the rows of another again.

The challenge's fourth term reads the canal's rows again: its "some level is severe" is their
m = max_l q_l[severe]. With a_l = w_2 p_l2 and b_l = w_0 p_l0 + w_1 p_l1 of level l, A and B the
same of the whole canal (expected largest weight with and without a severe level), and D1, D4 the
mean weight of a study in either term, the expected metric of the canal is, up to constants,

    sum_l C(a_l, b_l, q_l[severe]) / D1 + C(A, B, m) / D4,   C(a, b, s) = -a log s - b log(1 - s),

and the other two grades share 1 - s as in `decide`. C is least at s = a / (a + b), and a sum of C
is C of the summed a and b, so the least value has a closed form. If the fourth term wants less than
the greatest of the levels' own optima u_l = a_l / (a_l + b_l), the greatest are pooled with it, as
in isotonic regression, and cut to what they pool to. If it wants more, one level is raised to what
that level and the fourth term pool to: whichever level costs least. `decide_study` does that.

A and B need the levels' joint probability, which calibrated rows do not tell. It is taken as

    (1 - r) * independent + r * comonotone,

which keeps every row's probabilities whatever r is; `fit_dependence` finds r from held-out labels.
The metric is a ratio of sums over studies; D1 and D4 are the same whatever is reported, and stand
for those sums, which is exact for many studies.

Shapes:
    N  studies    T  targets, 25    K  grades, 3    L  levels, 5; ... stands for any leading axes
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import xlog1py, xlogy

from volspine.anatomy import TARGETS, Finding, Grade
from volspine.challenge import GRADE_WEIGHTS
from volspine.decide import decide
from volspine.errors import ConfigurationError
from volspine.types import ArrayLike, FloatArray

__all__ = [
    "DEPENDENCE",
    "MEAN_WEIGHTS",
    "MeanWeights",
    "decide_study",
    "expected_canal_loss",
    "fit_dependence",
    "mean_weights",
]


class MeanWeights(NamedTuple):
    """What the sums of weights are, a study, that the metric divides by.

    Attributes:
        rows: D1, of the five canal rows together.
        any_severe: D4, the largest of them.
    """

    rows: float
    any_severe: float


MEAN_WEIGHTS = MeanWeights(6.09, 1.73)
"""Of the published grade frequencies: the first is a sum of them; the second is of 200,000 draws of
phantom labels, which have those frequencies and the published correlation of levels."""

DEPENDENCE = 0.3
"""How much levels go together unless told: labels of a single reader of drawn phantoms gave 0.21 to
0.46, for graders from mediocre to perfect (`experiments/decision.py`)."""

_MOST_DEPENDENT = 0.99  # So that no event which was seen is impossible.
_CANAL = [t.index for t in TARGETS if t.finding is Finding.CANAL]


def decide_study(
    probabilities: ArrayLike, *, dependence: float = DEPENDENCE, weights: MeanWeights = MEAN_WEIGHTS
) -> FloatArray:
    """Return the report of whole studies that minimises the expected challenge metric.

    It is `decide`, but for the canal, whose rows count again in the fourth term: there p[severe] is
    cut at the greatest levels or raised at one. Foramina and recesses are as in `decide`.

    Args:
        probabilities: Calibrated, shape (..., T, K), in canonical order.
        dependence: How much the levels of a canal go together given their probabilities: 0 not, 1
            as far as they can. Fit it with `fit_dependence`.
        weights: Mean weights of the cohort that is scored; their ratio alone matters.

    Returns:
        An array of the same shape; the last axis sums to one.

    Raises:
        ConfigurationError: If a row is not a distribution, the shape does not fit or the dependence
            is not from 0 to 1.

    Example:
        >>> p = np.full((25, 3), [0.8, 0.1, 0.1])
        >>> decide_study(p, dependence=0)[:5, 2].round(2).tolist()
        [0.61, 0.29, 0.29, 0.29, 0.29]
        >>> decide(p)[:5, 2].round(2).tolist()
        [0.29, 0.29, 0.29, 0.29, 0.29]
    """
    p = np.asarray(probabilities, dtype=np.float64)
    _check_study(p, dependence)
    report = decide(p)
    rows = _row_masses(p[..., _CANAL, :]) / weights.rows
    whole = _any_masses(p[..., _CANAL, :], dependence) / weights.any_severe
    before = report[..., _CANAL, Grade.SEVERE]
    severe = _severe_report(rows, whole)
    # What is not severe keeps its shares; where nothing is left of it there is nothing to share.
    left = np.where(before < 1, (1 - severe) / np.where(before < 1, 1 - before, 1.0), 1.0)
    canal = report[..., _CANAL, :] * left[..., None]
    canal[..., Grade.SEVERE] = severe
    report[..., _CANAL, :] = canal
    return report


def expected_canal_loss(
    probabilities: ArrayLike,
    report: ArrayLike,
    *,
    dependence: float = DEPENDENCE,
    weights: MeanWeights = MEAN_WEIGHTS,
) -> FloatArray:
    """Return the expected first plus fourth term of the metric that a report gives, shape (...).

    Args:
        probabilities: Calibrated, shape (..., T, K): what the labels follow.
        report: What is submitted, of the same shape.
        dependence: As for `decide_study`.
        weights: As for `decide_study`.

    Raises:
        ConfigurationError: As `decide_study`.
    """
    p, q = (np.asarray(given, dtype=np.float64) for given in (probabilities, report))
    _check_study(p, dependence)
    _check_study(q, dependence)
    canal, said = p[..., _CANAL, :], q[..., _CANAL, :]
    rows = -xlogy(canal * np.array(GRADE_WEIGHTS), said).sum(axis=(-2, -1)) / weights.rows
    severe = said[..., Grade.SEVERE].max(axis=-1, keepdims=True)
    masses = _any_masses(canal, dependence) / weights.any_severe
    whole = _cost(masses[..., None, :], severe)[..., 0]
    return np.asarray(rows + whole, dtype=np.float64)


def fit_dependence(probabilities: ArrayLike, grades: ArrayLike) -> float:
    """Return how much the levels of a canal go together, given their probabilities.

    It makes held-out labels likeliest: of each study, whether its canal is normal throughout, at
    worst moderate, or somewhere severe. Levels without a label are left out.

    Args:
        probabilities: Calibrated, shape (N, T, K), of studies that the model was not trained on.
        grades: Labels, shape (N, T); -1 where missing.

    Returns:
        From 0 to 0.99; 0 without labels.

    Raises:
        ConfigurationError: If a row is not a distribution or the shapes do not fit.
    """
    p, labels = np.asarray(probabilities, dtype=np.float64), np.asarray(grades)
    _check_study(p, 0.0)
    canal, truth = p[:, _CANAL], labels[:, _CANAL]
    # A level that is surely normal changes neither event.
    canal = np.where((truth >= 0)[..., None], canal, np.eye(len(Grade))[Grade.NORMAL_MILD])
    worst = truth.max(axis=1, initial=0).clip(min=0)
    apart, together = (_worst_grade(canal, r)[np.arange(len(worst)), worst] for r in (0.0, 1.0))

    def slope(r: float) -> float:
        likelihood = (1 - r) * apart + r * together
        return float(((together - apart) / np.maximum(likelihood, 1e-12)).sum())

    # The log likelihood is concave, so its slope only falls.
    if slope(0.0) <= 0:
        return 0.0
    return (
        _MOST_DEPENDENT
        if slope(_MOST_DEPENDENT) >= 0
        else float(brentq(slope, 0.0, _MOST_DEPENDENT))
    )


def mean_weights(grades: ArrayLike) -> MeanWeights:
    """Return the mean weights of a cohort with these labels, for `decide_study`.

    Args:
        grades: Shape (N, T); -1 where missing. Studies without any canal label are left out.

    Example:
        >>> mean_weights(np.array([[2, 0, 0, 1, 0] + 20 * [0]]))
        MeanWeights(rows=9.0, any_severe=4.0)
    """
    labels = np.asarray(grades)[:, _CANAL]
    weight = np.where(labels >= 0, np.array(GRADE_WEIGHTS)[labels], 0.0)
    weight = weight[weight.any(axis=1)]
    if not len(weight):
        return MEAN_WEIGHTS
    return MeanWeights(float(weight.sum(axis=1).mean()), float(weight.max(axis=1).mean()))


def _row_masses(p: FloatArray) -> FloatArray:
    """Return the expected weight with and without "severe" of each row, (..., L, 2)."""
    weighted = p * np.array(GRADE_WEIGHTS)
    severe = weighted[..., Grade.SEVERE]
    return np.stack([severe, weighted.sum(axis=-1) - severe], axis=-1)


def _any_masses(p: FloatArray, dependence: float) -> FloatArray:
    """Return the same of a study's largest weight, (..., 2), of rows (..., L, K)."""
    return _row_masses(_worst_grade(p, dependence))


def _worst_grade(p: FloatArray, dependence: float) -> FloatArray:
    """Return the probability of each worst grade of L levels, shape (..., K)."""
    at_most = p.cumsum(axis=-1).clip(max=1.0)
    apart, together = at_most.prod(axis=-2), at_most.min(axis=-2)
    below = (1 - dependence) * apart + dependence * together
    below[..., -1] = 1.0
    return np.diff(below, axis=-1, prepend=0.0)


def _severe_report(rows: FloatArray, whole: FloatArray) -> FloatArray:
    """Return p[severe] to report of each level, (..., L), from masses (..., L, 2) and (..., 2)."""
    best = rows[..., 0] / rows.sum(axis=-1)
    pooled = rows + whole[..., None, :]
    raised = np.maximum(pooled[..., 0] / pooled.sum(axis=-1), best.max(axis=-1, keepdims=True))
    # Both terms of the raised level and, as it was, of the level itself.
    price = _cost(pooled, raised) - _cost(rows, best)
    one = np.arange(best.shape[-1]) == price.argmin(axis=-1)[..., None]
    wants_more = whole[..., :1] > best.max(axis=-1, keepdims=True) * whole.sum(-1, keepdims=True)
    more = np.where(one, raised, best)
    return np.asarray(np.where(wants_more, more, np.minimum(best, _cut(rows, whole))))


def _cut(rows: FloatArray, whole: FloatArray) -> FloatArray:
    """Return where the greatest levels are cut, (..., 1), if the whole wants no more than they."""
    order = (rows[..., 0] / rows.sum(axis=-1)).argsort(axis=-1)[..., ::-1]
    sums = np.take_along_axis(rows, order[..., None], axis=-2).cumsum(axis=-2)
    pooled = sums + whole[..., None, :]
    # Adding a level lifts the pool while that level lies above it, and lowers it from then on.
    return np.asarray((pooled[..., 0] / pooled.sum(axis=-1)).max(axis=-1, keepdims=True))


def _cost(masses: FloatArray, said: FloatArray) -> FloatArray:
    """Return C(a, b, s) of masses (..., 2)."""
    return np.asarray(-xlogy(masses[..., 0], said) - xlog1py(masses[..., 1], -said))


def _check_study(p: FloatArray, dependence: float) -> None:
    if p.shape[-2:] != (len(TARGETS), len(Grade)) or not 0 <= dependence <= 1:
        raise ConfigurationError(
            f"probabilities of shape {p.shape} at dependence {dependence:.3g} cannot be decided",
            remedy=f"give (..., {len(TARGETS)}, {len(Grade)}) and a dependence from 0 to 1",
            code="VS-CFG-122",
        )
