"""Errors of landmarks: from found and true places to millimetres, rates and calibration.

    error       distance between the found and the true place, where both are there
    detection   share of the true places with a found one within 5 or 10 mm; a missing one counts
                as not detected
    wrong level share of the found places whose nearest true place of the same condition is of
                another level, or that lie more than 18 mm, half the distance of two levels, from
                their own
    within k    share of the errors that are at most k times the spread that was said; were errors
                Gaussian and alike in all directions, chi^2_3(3 k^2) of them would be, 61 % for 1

Rates are of places, not means of rates of studies, so they may be added up over batches.

Shapes:
    N  studies    T  25 targets, in the order of `TARGETS`
"""

from dataclasses import asdict, dataclass

import numpy as np
from scipy.special import gammainc

from volspine.anatomy import LEVELS, TARGETS, Condition, Finding
from volspine.errors import ConfigurationError
from volspine.types import BoolArray, FloatArray

__all__ = [
    "LandmarkScores",
    "expected_within",
    "landmark_scores",
    "landmark_scores_by_finding",
    "point_errors",
    "wrong_level",
]

NEAR_MM, FAR_MM = 5.0, 10.0
"""Distances at which a place counts as detected."""

HALF_STEP_MM = 18.0
"""Half the distance of two levels; a place this far from its own is another level's."""


@dataclass(frozen=True)
class LandmarkScores:
    """How right places are; NaN where there is nothing to judge.

    Attributes:
        num_true: True places that are known.
        num_found: Places that were found where the true one is known.
        median_mm: Median error.
        p95_mm: Error that 95 % stay below.
        worst_mm: Greatest error.
        detected_5mm: Share of the true places found to within 5 mm.
        detected_10mm: To within 10 mm.
        wrong_level: Share of the found places that are at another level.
        invented: Share of the targets without a true place for which one was found.
        within_1: Share of the errors within the spread that was said.
        within_2: Within twice that.
    """

    num_true: int
    num_found: int
    median_mm: float
    p95_mm: float
    worst_mm: float
    detected_5mm: float
    detected_10mm: float
    wrong_level: float
    invented: float
    within_1: float
    within_2: float

    def to_dict(self) -> dict[str, float]:
        """Return the numbers by name."""
        return asdict(self)


def point_errors(found_mm: FloatArray, true_mm: FloatArray) -> FloatArray:
    """Return the distance of each found place from the true one, shape (N, T); NaN without both.

    Args:
        found_mm: Shape (N, T, 3); NaN where nothing was found.
        true_mm: Shape (N, T, 3), in the same frame; NaN where there is none.

    Raises:
        ConfigurationError: If the shapes do not fit.

    Example:
        >>> point_errors(np.zeros((1, 25, 3)), np.full((1, 25, 3), 2.0))[0, 0].round(2)
        np.float64(3.46)
    """
    _check(found_mm, true_mm)
    return np.asarray(np.linalg.norm(found_mm - true_mm, axis=-1))


def wrong_level(found_mm: FloatArray, true_mm: FloatArray) -> BoolArray:
    """Return which found places belong to another level, shape (N, T); false where none is found.

    Args:
        found_mm: Shape (N, T, 3); NaN where nothing was found.
        true_mm: Shape (N, T, 3); NaN where there is none.

    Raises:
        ConfigurationError: If the shapes do not fit.
    """
    _check(found_mm, true_mm)
    shape = (len(found_mm), len(Condition), len(LEVELS), 3)
    found, true = found_mm.reshape(shape), true_mm.reshape(shape)
    gaps = np.linalg.norm(found[:, :, :, None] - true[:, :, None], axis=-1)
    gaps = np.where(np.isnan(gaps), np.inf, gaps)
    own = np.diagonal(gaps, axis1=2, axis2=3)
    is_other = np.isfinite(gaps.min(axis=-1)) & (gaps.argmin(axis=-1) != np.arange(len(LEVELS)))
    is_far = np.isfinite(own) & (own > HALF_STEP_MM)
    return np.asarray((is_other | is_far).reshape(len(found_mm), -1))


def expected_within(spreads: float) -> float:
    """Return the share of Gaussian errors within some spreads.

    Args:
        spreads: How many times the root mean square error.

    Example:
        >>> round(expected_within(1.0), 3), round(expected_within(2.0), 3)
        (0.608, 0.993)
    """
    return float(gammainc(1.5, 1.5 * spreads**2))


def landmark_scores(
    found_mm: FloatArray, true_mm: FloatArray, spread_mm: FloatArray | None = None
) -> LandmarkScores:
    """Return how right places are, all targets together.

    Args:
        found_mm: Shape (N, T, 3); NaN where nothing was found.
        true_mm: Shape (N, T, 3); NaN where there is none.
        spread_mm: Shape (N, T); root mean square error that was said; NaN where it was not.

    Raises:
        ConfigurationError: If the shapes do not fit.
    """
    return _scores(_judged(found_mm, true_mm, spread_mm), slice(None))


def landmark_scores_by_finding(
    found_mm: FloatArray, true_mm: FloatArray, spread_mm: FloatArray | None = None
) -> dict[str, LandmarkScores]:
    """Return how right places are, of all targets and of canal, foramina and recesses.

    Args:
        found_mm: Shape (N, T, 3); NaN where nothing was found.
        true_mm: Shape (N, T, 3); NaN where there is none.
        spread_mm: Shape (N, T); root mean square error that was said; NaN where it was not.

    Raises:
        ConfigurationError: If the shapes do not fit.
    """
    judged = _judged(found_mm, true_mm, spread_mm)
    groups = {f.term: [t.index for t in TARGETS if t.finding is f] for f in Finding}
    return {
        "all": _scores(judged, slice(None)),
        **{name: _scores(judged, columns) for name, columns in groups.items()},
    }


def _judged(found_mm: FloatArray, true_mm: FloatArray, spread_mm: FloatArray | None) -> "_Judged":
    errors, wrong = point_errors(found_mm, true_mm), wrong_level(found_mm, true_mm)
    spread = np.full(errors.shape, np.nan) if spread_mm is None else spread_mm
    _check(found_mm, true_mm, spread)
    return _Judged(errors, _there(found_mm), _there(true_mm), wrong, spread)


@dataclass(frozen=True, eq=False)
class _Judged:
    """What is known of each place, all (N, T)."""

    errors: FloatArray
    found: BoolArray
    true: BoolArray
    wrong: BoolArray
    spread: FloatArray


def _scores(judged: _Judged, columns: slice | list[int]) -> LandmarkScores:
    errors = judged.errors[:, columns]
    found, true = judged.found[:, columns], judged.true[:, columns]
    both = found & true
    away, spread = errors[both], judged.spread[:, columns][both]
    said = np.isfinite(spread)
    ratio = away[said] / spread[said]
    return LandmarkScores(
        num_true=int(true.sum()),
        num_found=int(both.sum()),
        median_mm=float(np.median(away)) if away.size else float("nan"),
        p95_mm=float(np.quantile(away, 0.95)) if away.size else float("nan"),
        worst_mm=float(away.max()) if away.size else float("nan"),
        detected_5mm=_share(both[true] & (errors[true] <= NEAR_MM)),
        detected_10mm=_share(both[true] & (errors[true] <= FAR_MM)),
        wrong_level=_share(judged.wrong[:, columns][found]),
        invented=_share(found[~true]),
        within_1=_share(ratio <= 1.0),
        within_2=_share(ratio <= 2.0),
    )


def _there(points_mm: FloatArray) -> BoolArray:
    return np.asarray(np.isfinite(points_mm).all(axis=-1))


def _share(flags: BoolArray) -> float:
    return float(flags.mean()) if flags.size else float("nan")


def _check(found_mm: FloatArray, true_mm: FloatArray, spread_mm: FloatArray | None = None) -> None:
    shape = (len(found_mm), len(TARGETS), 3)
    fits = found_mm.shape == true_mm.shape == shape
    if not fits or (spread_mm is not None and spread_mm.shape != shape[:2]):
        raise ConfigurationError(
            f"places of shapes {found_mm.shape} and {true_mm.shape} cannot be compared",
            remedy=f"give two of (N, {len(TARGETS)}, 3), and spreads of (N, {len(TARGETS)})",
            code="VS-CFG-110",
        )
