"""Doubt: how unsure a report is, how well doubt tells strange studies, and what refusing buys.

    entropy             H(p) / ln K, 0 for certainty, 1 for an even p
    mutual information  (H(mean_s p_s) - mean_s H(p_s)) / ln K over samples s: members of an
                        ensemble, mirror images, places moved as a localizer errs. It is the part of
                        the entropy on which samples disagree; what they agree to be unsure of, as
                        of a grade near a cut, is not in it.
    AUROC               chance that a strange study is doubted more than a usual one; ties are half
    risk and coverage   the share that is wrong among the share that is least doubted
    threshold           the k-th smallest doubt of n usual studies, k = ceil((n + 1) share): another
                        usual study is above it with chance (n + 1 - k) / (n + 1) whatever the
                        distribution (split conformal prediction). Of fewer than share / (1 - share)
                        studies there is none: the largest is taken, and its own share said.

Shapes:
    K  grades    S  samples    n  studies; ... stands for any axes
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import entr

from volspine.errors import ConfigurationError
from volspine.metrics.bootstrap import Interval
from volspine.types import ArrayLike, FloatArray

__all__ = [
    "Auroc",
    "RiskCoverage",
    "Threshold",
    "doubt_auroc",
    "entropy",
    "mutual_information",
    "refusal_threshold",
    "risk_coverage",
]

_LEVEL = 0.95


class Auroc(NamedTuple):
    """How well doubt tells strange from usual.

    Attributes:
        value: 0.5 is chance, 1 never errs.
        interval: 95 %, both kinds of studies drawn anew.
    """

    value: float
    interval: Interval


class RiskCoverage(NamedTuple):
    """What is wrong among those that are kept, from the least doubted on.

    Attributes:
        coverage: Share that is kept, (n,), increasing to 1.
        risk: Share of them that is wrong, (n,).
        area: Mean of the risk over all coverages; smaller is better.
    """

    coverage: FloatArray
    risk: FloatArray
    area: float

    def risk_at(self, coverage: float) -> float:
        """Return the risk where at least this share is kept."""
        place = int(np.searchsorted(self.coverage, coverage - 1e-9))
        return float(self.risk[min(place, len(self.risk) - 1)])


class Threshold(NamedTuple):
    """Above which a study is refused.

    Attributes:
        value: Of the doubt.
        refused: Chance that another usual study lies above it, at most.
        studies: Usual studies behind it.
    """

    value: float
    refused: float
    studies: int


def entropy(probabilities: ArrayLike) -> FloatArray:
    """Return how unsure each distribution over the last axis is, from 0 to 1, shape (...).

    Example:
        >>> entropy([[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]]).round(3).tolist()
        [0.0, 1.0]
    """
    p = _distributions(probabilities)
    return np.asarray(entr(p).sum(axis=-1) / np.log(p.shape[-1]))


def mutual_information(samples: ArrayLike) -> FloatArray:
    """Return how far samples of a distribution disagree, from 0 to 1, shape (...).

    Args:
        samples: Shape (S, ..., K).

    Example:
        >>> mutual_information([[1.0, 0.0], [0.0, 1.0]]).round(3).tolist()
        1.0
    """
    p = _distributions(samples)
    return np.asarray(np.maximum(entropy(p.mean(axis=0)) - entropy(p).mean(axis=0), 0.0))


def doubt_auroc(
    inside: ArrayLike, outside: ArrayLike, *, resamples: int = 1000, seed: int = 0
) -> Auroc:
    """Return the chance that a strange study is doubted more than a usual one.

    Args:
        inside: Doubts of usual studies, shape (n,).
        outside: Doubts of strange ones, shape (m,).
        resamples: Draws for the interval.
        seed: Of the draws.

    Raises:
        ConfigurationError: If either has none, or a doubt is not a number.

    Example:
        >>> doubt_auroc([0, 1], [1, 2], resamples=10).value
        0.875
    """
    a, b = _doubts(inside), _doubts(outside)
    wins = (b > a[:, None]) + 0.5 * (b == a[:, None])
    rng = np.random.default_rng(seed)
    rows, columns = (
        rng.multinomial(len(x), np.full(len(x), 1 / len(x)), size=resamples) for x in (a, b)
    )
    drawn = ((rows @ wins) * columns).sum(axis=1) / wins.size
    low, high = np.quantile(drawn, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Auroc(float(wins.mean()), Interval(float(low), float(high), _LEVEL))


def risk_coverage(doubt: ArrayLike, wrong: ArrayLike) -> RiskCoverage:
    """Return what is wrong among the least doubted.

    Those of equal doubt are kept or left out together; between, the risk is what a draw among them
    would give on average.

    Args:
        doubt: Shape (n,).
        wrong: Whether, or how far, each is wrong, shape (n,).

    Raises:
        ConfigurationError: If the two differ in length, there is none, or a doubt is not a number.

    Example:
        >>> risk_coverage([0.1, 0.9, 0.2, 0.8], [False, True, False, False]).risk.tolist()
        [0.0, 0.0, 0.0, 0.25]
    """
    a, errors = _doubts(doubt), np.asarray(wrong, dtype=np.float64)
    if errors.shape != a.shape:
        raise _bad(f"{len(a)} doubts and errors of shape {errors.shape} do not fit")
    which = np.unique(a, return_inverse=True)[1]
    mean = np.bincount(which, errors) / np.bincount(which)
    expected = mean[which[np.argsort(a, kind="stable")]]
    count = np.arange(1, len(a) + 1)
    risk = expected.cumsum() / count
    return RiskCoverage(count / len(a), risk, float(risk.mean()))


def refusal_threshold(inside: ArrayLike, share: float = 0.99) -> Threshold:
    """Return the doubt that a share of usual studies stays below.

    Args:
        inside: Doubts of usual studies that nothing else was fitted on, shape (n,).
        share: Below 1.

    Raises:
        ConfigurationError: If there is none, a doubt is not a number, or the share not below 1.

    Example:
        >>> refusal_threshold(np.arange(199.0), 0.99)
        Threshold(value=197.0, refused=0.01, studies=199)
        >>> refusal_threshold([1.0, 2.0, 4.0], 0.99)
        Threshold(value=4.0, refused=0.25, studies=3)
    """
    a = np.sort(_doubts(inside))
    if not 0 < share < 1:
        raise _bad(f"a share of {share} is not between 0 and 1")
    n = len(a)
    # Rounding must not ask for one study more: 0.99 * 200 is not above 198.
    k = min(math.ceil((n + 1) * share - 1e-9), n)
    return Threshold(float(a[k - 1]), (n + 1 - k) / (n + 1), n)


def _distributions(values: ArrayLike) -> FloatArray:
    p = np.asarray(values, dtype=np.float64)
    if p.ndim < 1 or not np.all(p >= 0) or not np.allclose(p.sum(axis=-1), 1.0, atol=1e-4):
        raise _bad("probabilities must be non-negative and sum to one over the last axis")
    return p


def _doubts(values: ArrayLike) -> FloatArray:
    a = np.asarray(values, dtype=np.float64)
    if a.ndim != 1 or not len(a) or np.isnan(a).any():
        raise _bad(f"doubts of shape {a.shape} must be one number a study, and numbers")
    return a


def _bad(message: str) -> ConfigurationError:
    return ConfigurationError(
        f"doubt cannot be judged: {message}",
        remedy="pass one doubt for each study that was graded",
        code="VS-CFG-124",
    )
