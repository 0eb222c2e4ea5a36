"""Patient bootstrap: from what each study contributes to how far a score can be trusted.

Studies are drawn with replacement, many times, and the score is computed anew each time; an
interval holds the middle of what came out (Efron, 1979; percentile method). A study is drawn whole,
since its 25 grades are not independent; the challenge has one study a patient.

Two predictions on the same studies share the draws, so that what is easy or hard in a study cancels
in their difference.

Shapes:
    N  studies    M  terms    R  resamples
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from volspine.errors import ConfigurationError
from volspine.metrics.rsna import TERMS, Terms, mean_of_terms, ratio
from volspine.types import FloatArray

__all__ = ["Interval", "bootstrap_difference", "bootstrap_scores", "resample"]

NAMES = ("total", *TERMS)
"""The five numbers that get an interval."""

_BLOCK = 256  # Resamples drawn at once; bounds memory whatever their number.


class Interval(NamedTuple):
    """The middle of a bootstrap distribution.

    Attributes:
        low: Lower end.
        high: Upper end.
        level: Share of the distribution between them.
    """

    low: float
    high: float
    level: float


def bootstrap_scores(
    terms: Terms, *, resamples: int = 1000, levels: Sequence[float] = (0.90, 0.95), seed: int = 0
) -> dict[str, tuple[Interval, ...]]:
    """Return intervals of the total and of each term, one for each level.

    Args:
        terms: What each study contributes.
        resamples: How often studies are drawn.
        levels: Shares of the distribution, such as 0.90.
        seed: Of the draws.

    Raises:
        ConfigurationError: If there is no study, no resample, or a level is not a share.
    """
    return _intervals(resample(terms, resamples=resamples, seed=seed), levels)


def bootstrap_difference(
    first: Terms,
    second: Terms,
    *,
    resamples: int = 1000,
    levels: Sequence[float] = (0.90, 0.95),
    seed: int = 0,
) -> dict[str, tuple[Interval, ...]]:
    """Return intervals of (first - second), paired: both are scored on the same draws.

    Where the score is a loss, an interval above 0 says that the second is better.

    Raises:
        ConfigurationError: If the two are not of the same studies and weights.
    """
    if first.denominators.shape != second.denominators.shape or not np.allclose(
        first.denominators, second.denominators
    ):
        raise ConfigurationError(
            "the two predictions are not scored on the same studies and labels",
            remedy="score both against one solution",
            code="VS-CFG-051",
        )
    draws = [resample(terms, resamples=resamples, seed=seed) for terms in (first, second)]
    return _intervals(draws[0] - draws[1], levels)


def resample(terms: Terms, *, resamples: int, seed: int = 0) -> FloatArray:
    """Return the total and the terms of each resample, shape (R, 1 + M).

    A term that no study of a resample has a row for is NaN there.
    """
    num_studies = len(terms.numerators)
    if num_studies == 0 or resamples < 1:
        raise ConfigurationError(
            f"{resamples} bootstrap samples of {num_studies} studies are not possible",
            remedy="give at least one study and one sample",
            code="VS-CFG-052",
        )
    rng = np.random.default_rng(seed)
    even = np.full(num_studies, 1 / num_studies)
    blocks = []
    for start in range(0, resamples, _BLOCK):
        counts = rng.multinomial(num_studies, even, size=min(_BLOCK, resamples - start))
        blocks.append(ratio(counts @ terms.numerators, counts @ terms.denominators))
    values = np.concatenate(blocks)
    return np.concatenate([mean_of_terms(values), values], axis=1)


def _intervals(draws: FloatArray, levels: Sequence[float]) -> dict[str, tuple[Interval, ...]]:
    if not all(0 < level < 1 for level in levels):
        raise ConfigurationError(
            f"interval levels {list(levels)} are not shares",
            remedy="give numbers between 0 and 1, such as 0.90",
            code="VS-CFG-053",
        )
    return {
        name: tuple(_interval(column, level) for level in levels)
        for name, column in zip(NAMES, draws.T, strict=True)
    }


def _interval(values: FloatArray, level: float) -> Interval:
    known = values[~np.isnan(values)]
    if not len(known):
        return Interval(float("nan"), float("nan"), level)
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level)
