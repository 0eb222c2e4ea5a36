"""Reliability: from probabilities and labels to whether what is said comes true that often.

An *event* is a grade of a finding, or that its likeliest grade is right (`confidence`). Rows are
sorted by the probability that they give an event and cut into bins of equal numbers, equal
probabilities staying together. Of each bin there is what was said on average and the share seen.

    ECE    sum_b n_b / n |seen_b - said_b|, expected calibration error; of finite rows it is above
           0 even of a perfect report: `chance` is what that would show, sum_b of
           sqrt(2 / pi sum p (1 - p)) / n by the normal approximation
    Brier  mean (said - seen)^2 of single rows
    slope  of a logistic regression of the event on logit(said) (Cox, 1958): 1 is calibrated, less
           is too bold, more is too careful

Rows of one study are not independent. The interval of the ECE draws whole studies; that of the
slope is from the covariance of what studies add to its gradient; that of a bin is Wilson's, with
its rows divided by Kish's design effect where that is above 1.

Shapes:
    N  studies    T  targets, 25    K  grades, 3    B  bins    n  rows with a label
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from volspine.anatomy import TARGETS, Finding, Grade
from volspine.errors import ConfigurationError
from volspine.metrics.bootstrap import Interval
from volspine.types import ArrayLike, BoolArray, FloatArray, IntArray

__all__ = [
    "CONFIDENCE",
    "EVENTS",
    "Bin",
    "Reliability",
    "brier_score",
    "equal_bins",
    "reliability",
]

CONFIDENCE = "confidence"
"""The event that the likeliest grade is right."""

EVENTS = (*(grade.name.lower() for grade in Grade), CONFIDENCE)
"""What is judged of each finding."""

LEAST_ROWS = 20
"""Rows of a bin; fewer bins are made of few rows."""

_LEVEL, _Z = 0.95, 1.959964
_EPS = 1e-6


@dataclass(frozen=True)
class Bin:
    """Rows that say about the same.

    Attributes:
        rows: How many.
        said: Mean probability.
        seen: Share in which the event came true.
        interval: Of that share, 95 %.
    """

    rows: int
    said: float
    seen: float
    interval: Interval


@dataclass(frozen=True)
class Reliability:
    """How one event was foretold; NaN where there is nothing to judge.

    Attributes:
        rows: Rows with a label.
        events: Rows in which it came true.
        bins: From the least to the greatest probability.
        ece: Expected calibration error.
        ece_interval: 95 %, studies drawn anew.
        chance: The ECE that rows as many as these would show if all that is said were right.
        brier: Mean squared error of the probability.
        slope: Calibration slope.
        slope_interval: 95 %.
    """

    rows: int
    events: int
    bins: tuple[Bin, ...]
    ece: float
    ece_interval: Interval
    chance: float
    brier: float
    slope: float
    slope_interval: Interval

    def to_dict(self) -> dict[str, float]:
        """Return the numbers by name, without the bins."""
        return {
            "rows": self.rows,
            "events": self.events,
            "ece": self.ece,
            "ece_low": self.ece_interval.low,
            "ece_high": self.ece_interval.high,
            "ece_by_chance": self.chance,
            "brier": self.brier,
            "slope": self.slope,
            "slope_low": self.slope_interval.low,
            "slope_high": self.slope_interval.high,
        }


def reliability(
    probabilities: ArrayLike,
    grades: ArrayLike,
    *,
    bins: int = 10,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, dict[str, Reliability]]:
    """Return how each event of each finding was foretold, by `Finding.term` and name of `EVENTS`.

    Sides and levels are pooled.

    Args:
        probabilities: Calibrated (not decided), shape (N, T, K).
        grades: Labels, shape (N, T); -1 where missing.
        bins: At most; each holds `LEAST_ROWS` rows or more.
        resamples: Draws of studies for the interval of the ECE; 0 for none.
        seed: Of the draws.

    Raises:
        ConfigurationError: If shapes or numbers do not fit.
    """
    p, labels = _checked(probabilities, grades)
    if bins < 1 or resamples < 0:
        raise _bad("bins must be at least one and resamples not negative")
    n = len(labels)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(n, np.full(n, 1 / n), size=resamples) if n else np.zeros((0, 0), int)
    return {
        finding.term: {
            event: _Rows.of(p, labels, finding=finding, event=event).judge(bins, counts)
            for event in EVENTS
        }
        for finding in Finding
    }


def brier_score(probabilities: ArrayLike, grades: ArrayLike) -> float:
    """Return the mean over rows of sum_k (p_k - [k is the grade])^2, from 0 to 2; NaN without rows.

    Args:
        probabilities: Calibrated, shape (N, T, K).
        grades: Labels, shape (N, T); -1 where missing.

    Raises:
        ConfigurationError: If shapes or numbers do not fit.
    """
    p, labels = _checked(probabilities, grades)
    known = labels >= 0
    truth = np.eye(len(Grade))[labels[known]]
    return _mean(((p[known] - truth) ** 2).sum(axis=-1))


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows of an event: probability, whether it came true, and the study of each; all (n,)."""

    said: FloatArray
    seen: BoolArray
    study: IntArray

    @classmethod
    def of(cls, p: FloatArray, labels: IntArray, *, finding: Finding, event: str) -> "_Rows":
        ours = [t.index for t in TARGETS if t.finding is finding]
        known = labels[:, ours] >= 0
        rows, truth = p[:, ours][known], labels[:, ours][known]
        grade = rows.argmax(-1) if event == CONFIDENCE else np.full(len(rows), EVENTS.index(event))
        said = np.take_along_axis(rows, grade[:, None], axis=-1)[:, 0]
        return cls(said, truth == grade, np.nonzero(known)[0])

    def judge(self, bins: int, counts: IntArray) -> Reliability:
        place = equal_bins(self.said, bins)
        number = int(place.max(initial=-1)) + 1
        gaps = np.zeros((counts.shape[1], number))
        np.add.at(gaps, (self.study, place), self.seen - self.said)
        rows = np.bincount(self.study, minlength=counts.shape[1])
        slope, spread = self._slope()
        variance = np.bincount(place, self.said * (1 - self.said), minlength=number)
        return Reliability(
            rows=len(self.said),
            events=int(self.seen.sum()),
            bins=tuple(self._bin(place == b) for b in range(number)),
            ece=float(_ece(gaps.sum(axis=0), rows.sum())),
            ece_interval=_interval(_ece(counts @ gaps, counts @ rows)),
            chance=float(_ece(np.sqrt(2 / np.pi * variance), rows.sum())),
            brier=_mean((self.said - self.seen) ** 2),
            slope=slope,
            slope_interval=Interval(slope - _Z * spread, slope + _Z * spread, _LEVEL),
        )

    def _bin(self, inside: BoolArray) -> Bin:
        seen, n = self.seen[inside], int(inside.sum())
        share = float(seen.mean())
        # Variance of the share with studies as clusters, over that of independent rows.
        clusters = np.bincount(self.study[inside], seen - share)
        plain = n * share * (1 - share)
        effect = max(1.0, float((clusters**2).sum()) / plain) if plain else 1.0
        return Bin(n, float(self.said[inside].mean()), share, _wilson(share, n / effect))

    def _slope(self) -> tuple[float, float]:
        """Return the calibration slope and its standard error; NaN where it has none."""
        if self.seen.all() or not self.seen.any() or np.ptp(self.said) < _EPS:
            return float("nan"), float("nan")
        x = np.column_stack([np.ones(len(self.said)), logit(self.said.clip(_EPS, 1 - _EPS))])
        beta = _logistic(x, self.seen)
        fitted = expit(x @ beta)
        bread = np.linalg.inv((x * (fitted * (1 - fitted))[:, None]).T @ x + _EPS * np.eye(2))
        scores = np.zeros((int(self.study.max()) + 1, 2))
        np.add.at(scores, self.study, x * (self.seen - fitted)[:, None])
        covariance = bread @ (scores.T @ scores) @ bread
        return float(beta[1]), float(np.sqrt(max(covariance[1, 1], 0.0)))


def equal_bins(said: FloatArray, bins: int = 10) -> IntArray:
    """Return the bin of each row; bins hold equal numbers but for equal probabilities.

    Args:
        said: Probabilities, shape (rows,).
        bins: At most; each holds `LEAST_ROWS` rows or more.
    """
    if not len(said):
        return np.zeros(0, dtype=np.int64)
    number = max(1, min(bins, len(said) // LEAST_ROWS))
    edges = np.quantile(said, np.linspace(0, 1, number + 1)[1:-1])
    return np.asarray(np.unique(np.searchsorted(edges, said), return_inverse=True)[1])


def _logistic(x: FloatArray, seen: BoolArray) -> FloatArray:
    """Return the coefficients of a logistic regression: Newton's method, damped, hardly shrunk."""
    beta = np.array([0.0, 1.0])
    ridge = _EPS * np.eye(2)

    def loss(b: FloatArray) -> float:
        z = x @ b
        return float(np.logaddexp(0, z).sum() - z[seen].sum() + b @ ridge @ b / 2)

    for _ in range(50):
        fitted = expit(x @ beta)
        slope = x.T @ (fitted - seen) + ridge @ beta
        step = np.linalg.solve((x * (fitted * (1 - fitted))[:, None]).T @ x + ridge, slope)
        while loss(beta - step) > loss(beta) + 1e-12 and np.abs(step).max() > _EPS:
            step = step / 2
        beta = beta - step
        if np.abs(step).max() < 1e-9:
            break
    return beta


def _ece(gaps: FloatArray, rows: IntArray | np.integer) -> FloatArray:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(gaps).sum(axis=-1) / np.where(rows > 0, rows, np.nan))


def _wilson(share: float, n: float) -> Interval:
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    # Rounding must not leave a share of 0 or 1 outside.
    return Interval(
        float(min(share, max(0.0, middle - half))), float(max(share, middle + half)), _LEVEL
    )


def _interval(values: FloatArray) -> Interval:
    known = values[~np.isnan(values)]
    if not len(known):
        return Interval(float("nan"), float("nan"), _LEVEL)
    low, high = np.quantile(known, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Interval(float(low), float(high), _LEVEL)


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _checked(probabilities: ArrayLike, grades: ArrayLike) -> tuple[FloatArray, IntArray]:
    p = np.asarray(probabilities, dtype=np.float64)
    labels = np.asarray(grades, dtype=np.int64)
    shape = (len(labels), len(TARGETS))
    if labels.shape != shape or p.shape != (*shape, len(Grade)):
        raise _bad(f"probabilities of shape {p.shape} and labels of shape {labels.shape}")
    if not np.all((p >= 0) & (p <= 1)) or labels.max(initial=-1) >= len(Grade):
        raise _bad("probabilities must be from 0 to 1, and labels grades or -1")
    return p, labels


def _bad(message: str) -> ConfigurationError:
    return ConfigurationError(
        f"reliability cannot be judged: {message}",
        remedy=f"give shapes (N, {len(TARGETS)}, {len(Grade)}) and (N, {len(TARGETS)})",
        code="VS-CFG-123",
    )
