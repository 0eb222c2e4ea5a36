"""Correlation of grades: which of the 25 targets are bad together.

Spearman's coefficient, which is Pearson's of the ranks, equal grades sharing their mean rank:

    rho[a, b] = cov(rank x[a], rank x[b]) / sqrt(var(rank x[a]) var(rank x[b]))

Grades are ordered, but nothing says that from moderate to severe is as far as from normal to
moderate. Ranks ask for no such distance: naming the grades 0, 1, 10 changes nothing, and expected
grades, which are no whole numbers, are read by the same rule. Ranks are taken anew for every pair,
over the studies in which both are known (pairwise complete cases).

Shapes:
    N  studies    T  targets, 25
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from volspine.anatomy import LEVELS, TARGETS, Target
from volspine.errors import ConfigurationError
from volspine.types import ArrayLike, BoolArray, FloatArray, IntArray

__all__ = ["KINSHIPS", "Kinship", "grade_correlation", "kinships", "paired_studies"]

LEAST_STUDIES = 3
"""Fewer that know both grades of a pair give no coefficient."""


@dataclass(frozen=True)
class Kinship:
    """Pairs of targets that are related in one way.

    Attributes:
        name: In words.
        pairs: How many have a coefficient.
        mean: Of their coefficients; NaN without any.
        least: The smallest.
        most: The largest.
    """

    name: str
    pairs: int
    mean: float
    least: float
    most: float


def _is_other_side(a: Target, b: Target) -> bool:
    return a.finding is b.finding and a.level is b.level


def _is_next_level(a: Target, b: Target) -> bool:
    steps = abs(LEVELS.index(a.level) - LEVELS.index(b.level))
    return a.condition is b.condition and steps == 1


def _is_other_finding(a: Target, b: Target) -> bool:
    return a.finding is not b.finding and a.level is b.level


KINSHIPS: dict[str, Callable[[Target, Target], bool]] = {
    "left with right, same finding and level": _is_other_side,
    "next level, same condition": _is_next_level,
    "another finding, same level": _is_other_finding,
}
"""Ways in which two targets are related; all other pairs are none of these."""

_REST = "all other pairs"


def grade_correlation(grades: ArrayLike) -> FloatArray:
    """Return Spearman's correlation of each two targets, shape (T, T).

    NaN where fewer than `LEAST_STUDIES` know both, or one is the same in all that do.

    Args:
        grades: Grades or expected grades, shape (N, T); NaN or negative where missing.

    Raises:
        ConfigurationError: If the shape does not fit or a number is infinite.

    Example:
        >>> some = np.tile(np.array([[0.0], [1.0], [2.0]]), 25)
        >>> some[:, 1] = [2, 1, 0]
        >>> grade_correlation(some)[0, :3].round(6).tolist()
        [1.0, -1.0, 1.0]
    """
    values = _checked(grades)
    known = np.isfinite(values)
    result = np.full((len(TARGETS), len(TARGETS)), np.nan)
    for a in range(len(TARGETS)):
        for b in range(a, len(TARGETS)):
            both = known[:, a] & known[:, b]
            result[a, b] = result[b, a] = _spearman(values[both, a], values[both, b])
    return result


def paired_studies(grades: ArrayLike) -> IntArray:
    """Return how many studies know both grades of each two targets, shape (T, T).

    Args:
        grades: As in `grade_correlation`.
    """
    known = np.isfinite(_checked(grades)).astype(np.int64)
    return np.asarray(known.T @ known, dtype=np.int64)


def kinships(correlation: ArrayLike) -> tuple[Kinship, ...]:
    """Return the mean correlation of each kind of pair in `KINSHIPS`, and of all others.

    Args:
        correlation: Of each two targets, shape (T, T); NaN where unknown.

    Raises:
        ConfigurationError: If the shape does not fit.
    """
    rho = np.asarray(correlation, dtype=np.float64)
    if rho.shape != (len(TARGETS), len(TARGETS)):
        raise _bad(f"a matrix of shape {rho.shape}")
    above = np.triu(np.ones_like(rho, dtype=bool), k=1)
    found: list[Kinship] = []
    for name, related in KINSHIPS.items():
        members = above & _members(related)
        found.append(_kinship(name, rho[members]))
        above &= ~members
    return (*found, _kinship(_REST, rho[above]))


def _members(related: Callable[[Target, Target], bool]) -> BoolArray:
    return np.array([[a is not b and related(a, b) for b in TARGETS] for a in TARGETS])


def _kinship(name: str, values: FloatArray) -> Kinship:
    known = values[np.isfinite(values)]
    if not len(known):
        return Kinship(name, 0, float("nan"), float("nan"), float("nan"))
    return Kinship(name, len(known), float(known.mean()), float(known.min()), float(known.max()))


def _spearman(x: FloatArray, y: FloatArray) -> float:
    if len(x) < LEAST_STUDIES or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    a, b = rankdata(x), rankdata(y)
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def _checked(grades: ArrayLike) -> FloatArray:
    values = np.array(grades, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != len(TARGETS):
        raise _bad(f"grades of shape {values.shape}")
    if np.isinf(values).any():
        raise _bad("infinite grades")
    values[values < 0] = np.nan
    return values


def _bad(message: str) -> ConfigurationError:
    return ConfigurationError(
        f"grades cannot be correlated: {message}",
        remedy=f"give finite grades of shape (N, {len(TARGETS)}), NaN or -1 where missing",
        code="VS-CFG-197",
    )
