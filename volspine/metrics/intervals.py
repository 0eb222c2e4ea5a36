"""Estimates: from graded studies to losses, kappa and accuracy, each with its 90 % interval.

    three terms   mean of the weighted log losses of canal, foramina and recesses: the challenge's
                  score without "any severe", which follows from the canal
    kappa         quadratic weighted kappa of the most probable grade, targets pooled
    accuracy      share of the known grades that were given exactly

Intervals hold the middle 90 % of a patient bootstrap (`metrics.bootstrap`): studies are drawn
whole. Everything that is computed of the same studies with the same seed shares the draws, so
columns may be subtracted, and the difference has a paired interval.

Shapes:
    N  studies    T  the 25 targets    R  resamples    C  columns: `LOSSES`
"""

from typing import NamedTuple

import numpy as np

from volspine.anatomy import TARGETS, Finding, Grade
from volspine.errors import ConfigurationError
from volspine.metrics.bootstrap import resample
from volspine.metrics.rsna import TERMS, Terms, mean_of_terms, ratio
from volspine.types import FloatArray, IntArray

__all__ = [
    "GROUPS",
    "LEVEL",
    "LOSSES",
    "RESAMPLES",
    "Agreement",
    "Estimate",
    "agreement",
    "drawn_confusions",
    "drawn_kappas",
    "estimates",
    "loss_columns",
    "study_draws",
]

LEVEL = 0.90
"""Share of the bootstrap that an interval holds."""

RESAMPLES = 2000
"""How often studies are drawn."""

LOSSES = ("three_terms", "total", *TERMS)
"""Columns of losses: the mean of the three findings, the challenge's score, and its four terms."""

GROUPS = {
    "all": [t.index for t in TARGETS],
    **{
        finding.name.lower(): [t.index for t in TARGETS if t.finding is finding]
        for finding in Finding
    },
}
"""Targets that are pooled, by name: all, and those of each finding."""


class Estimate(NamedTuple):
    """A number and the ends of its 90 % interval; all NaN where there is nothing to judge."""

    value: float
    low: float
    high: float


class Agreement(NamedTuple):
    """How well given grades agree with true ones."""

    kappa: Estimate
    accuracy: Estimate


def loss_columns(terms: Terms, *, resamples: int = RESAMPLES, seed: int = 0) -> FloatArray:
    """Return `LOSSES` of the studies, then of every resample of them, shape (1 + R, C).

    Args:
        terms: What each study contributes.
        resamples: How often studies are drawn.
        seed: Of the draws.

    Raises:
        ConfigurationError: If there is no study or no resample.
    """
    plain = np.array([list(terms.score().to_dict().values())])
    drawn = np.concatenate([plain, resample(terms, resamples=resamples, seed=seed)])
    return np.concatenate([mean_of_terms(drawn[:, 1:4]), drawn], axis=1)


def estimates(columns: FloatArray, *, level: float = LEVEL) -> list[Estimate]:
    """Return each column's first row, with the middle of the other rows as its interval.

    Args:
        columns: Shape (1 + R, C); NaN in a resample without anything to judge, which is left out.
            Without any other row the ends are NaN.
        level: Share of the other rows that the interval holds.

    Example:
        >>> [one.value for one in estimates(np.array([[5.0], *([n] for n in range(11))]))]
        [5.0]
    """
    return [_estimate(column, level) for column in np.asarray(columns, dtype=np.float64).T]


def agreement(
    truth: IntArray, given: IntArray, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Agreement]:
    """Return kappa and accuracy of each of `GROUPS`.

    Args:
        truth: Shape (N, T); -1 where there is no grade, and nothing is counted.
        given: Shape (N, T).
        resamples: How often studies are drawn.
        seed: Of the draws.

    Raises:
        ConfigurationError: If the shapes do not fit, or a given grade does not exist.
    """
    if truth.shape != given.shape or truth.shape[1:] != (len(TARGETS),):
        raise ConfigurationError(
            f"grades of shapes {truth.shape} and {given.shape} cannot be compared",
            remedy=f"give two of (N, {len(TARGETS)})",
            code="VS-CFG-219",
        )
    draws = study_draws(len(truth), resamples=resamples, seed=seed)
    return {name: _agreement(truth[:, t], given[:, t], draws) for name, t in GROUPS.items()}


def study_draws(studies: int, *, resamples: int = RESAMPLES, seed: int = 0) -> FloatArray:
    """Return how often each study counts: once, then as drawn; shape (1 + R, N).

    Args:
        studies: How many there are.
        resamples: How often they are drawn; 0 for none.
        seed: Of the draws; with the same seed those of `metrics.bootstrap` are the same.
    """
    rng = np.random.default_rng(seed)
    even = np.full(studies, 1 / max(studies, 1))
    drawn = rng.multinomial(studies, even, size=resamples)
    return np.concatenate([np.ones((1, studies)), drawn])


def _agreement(truth: IntArray, given: IntArray, draws: FloatArray) -> Agreement:
    counts = drawn_confusions(truth, given, draws)
    right = ratio(np.trace(counts, axis1=1, axis2=2), counts.sum(axis=(1, 2)))
    return Agreement(*estimates(np.stack([drawn_kappas(counts), right], axis=1)))


def drawn_confusions(truth: IntArray, given: IntArray, draws: FloatArray) -> FloatArray:
    """Return counts by true and given grade of each draw, shape (1 + R, K, K).

    Args:
        truth: Shape (N, targets); -1 where there is no grade.
        given: Shape (N, targets).
        draws: As of `study_draws`.
    """
    size = len(Grade)
    known = (truth >= 0)[..., None]
    cells = np.eye(size**2)[size * np.maximum(truth, 0) + given] * known
    return np.asarray((draws @ cells.sum(axis=1)).reshape(-1, size, size))


def drawn_kappas(counts: FloatArray) -> FloatArray:
    """Return what `metrics.ordinal.quadratic_weighted_kappa` says of each of (R, K, K) counts."""
    grades = np.arange(counts.shape[1])
    distance = (grades[:, None] - grades) ** 2
    chance = counts.sum(axis=2)[:, :, None] * counts.sum(axis=1)[:, None, :]
    expected = (distance * chance).sum(axis=(1, 2)) / np.maximum(counts.sum(axis=(1, 2)), 1)
    return np.asarray(1 - ratio((distance * counts).sum(axis=(1, 2)), expected))


def _estimate(column: FloatArray, level: float) -> Estimate:
    drawn = column[1:][~np.isnan(column[1:])]
    if not len(drawn) or np.isnan(column[0]):
        return Estimate(float(column[0]), float("nan"), float("nan"))
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(column[0]), float(low), float(high))
