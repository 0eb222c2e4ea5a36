"""Temperature: from held-out log-probabilities and labels to one number that calibrates a finding.

Dividing log-probabilities by T and normalising again,

    p_T = softmax(log p / T),

makes a report bolder (T < 1) or more careful (T > 1) and never changes its argmax (Guo et al., On
calibration of modern neural networks, 2017). The negative log likelihood of the labels is convex in
a = 1 / T, with slope

    sum_n  E_a[l_n] - l_n[y_n],        E_a[l] = sum_k softmax(a l)_k l_k,

so its least value has one place, where that slope is 0. A Gaussian prior on a around 1 keeps few
labels from moving it far: n labels weigh as much as it does when the summed variance of their
log-probabilities is 1 / PRIOR_SPREAD^2, about four labels of an undecided model.

Left and right share a temperature, so that a mirrored study gets the mirrored report, and so do the
levels: two of three grades are too rare at the upper ones.

A training run has few held-out labels and fits with the prior (`fit_temperature`). Out-of-fold
predictions have as many as there are studies; their three temperatures are those of the greatest
likelihood itself, and fewer than `LEAST_ROWS` labels are refused (`condition_temperatures`).

Shapes:
    N  studies    T  targets, 25    K  grades, 3
"""

from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import log_softmax

from volspine.anatomy import TARGETS, Finding, Grade
from volspine.challenge import MISSING
from volspine.errors import ConfigurationError
from volspine.types import ArrayLike, FloatArray, IntArray

__all__ = [
    "BOUNDS",
    "LEAST_ROWS",
    "PRIOR_SPREAD",
    "condition_temperatures",
    "fit_temperature",
    "for_targets",
    "recalibrated",
    "tempered",
]

BOUNDS = (0.2, 5.0)
"""Least and greatest temperature."""

PRIOR_SPREAD = 0.5
"""Standard deviation of the prior on 1 / T around 1."""

LEAST_ROWS = 50
"""Labels of a condition that its temperature must be fitted to: the canals of ten studies."""

_LEAST_LOG = -50.0  # Below the least that float32 probabilities say; keeps 0 * log 0 a number.


@runtime_checkable
class _Tensor(Protocol):
    """A torch tensor, for a module that does not import torch."""

    def detach(self) -> Any: ...


def fit_temperature(
    log_probs: ArrayLike | _Tensor,
    labels: ArrayLike | _Tensor,
    *,
    by: Literal["condition", "all"] = "condition",
) -> FloatArray:
    """Return the temperature of each target that makes held-out labels likeliest.

    Args:
        log_probs: Log-probabilities, or raw scores of a softmax, shape (N, T, K); arrays or tensors
            on any device.
        labels: Grades, shape (N, T); -1 where there is none, which says nothing.
        by: `condition` for one temperature a condition, both sides as one: canal, foramina,
            recesses. `all` for one of all targets.

    Returns:
        Shape (T,), within `BOUNDS`; 1 where no label is known. The labels are never less likely
        with it than without.

    Raises:
        ConfigurationError: If shapes do not fit, a label is no grade or a number is not one.
    """
    scores, grades = _checked(log_probs, labels)
    groups = [[t.index for t in TARGETS if t.finding is finding] for finding in Finding]
    if by == "all":
        groups = [list(range(len(TARGETS)))]
    temperature = np.ones(len(TARGETS))
    for group in groups:
        known = grades[:, group] >= 0
        temperature[group] = _temperature(scores[:, group][known], grades[:, group][known])
    return temperature


def tempered(log_probs: ArrayLike, temperature: ArrayLike) -> FloatArray:
    """Return probabilities at a temperature: softmax(log p / T) over the last axis.

    Args:
        log_probs: Log-probabilities, shape (..., T, K).
        temperature: Positive, shape (T,).

    Example:
        >>> tempered(np.log([[0.8, 0.1, 0.1]]), [0.5]).round(4).tolist()
        [[0.9697, 0.0152, 0.0152]]
    """
    scores = _normalised(np.asarray(log_probs, dtype=np.float64))
    scaled = scores / np.asarray(temperature, dtype=np.float64)[..., None]
    return np.asarray(np.exp(log_softmax(scaled, axis=-1)))


def condition_temperatures(
    probabilities: ArrayLike, grades: ArrayLike, *, least_rows: int = LEAST_ROWS
) -> FloatArray:
    """Return the likeliest temperature of canal, foramina and recesses, both sides as one.

    There is no prior: the likelihood loss of the labels is convex in 1 / T, and the one temperature
    that makes it least within `BOUNDS` is returned, so that it is never greater than without.

    Args:
        probabilities: Of studies that the model was not trained on, such as out-of-fold ones, shape
            (N, T, K).
        grades: Labels, shape (N, T); -1 where missing, which says nothing.
        least_rows: Fewer labels of a condition are refused.

    Returns:
        Shape (3,), in the order of `Finding`; `for_targets` gives each target its own.

    Raises:
        ConfigurationError: If shapes or numbers do not fit, or a condition has too few labels.

    Example:
        >>> p = np.full((60, 25, 3), [0.9, 0.05, 0.05])
        >>> grades = np.repeat([0, 0, 1, 2], 15)[:, None].repeat(25, axis=1)
        >>> condition_temperatures(p, grades).round(3).tolist()  # ln 18 / ln 2
        [4.17, 4.17, 4.17]
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if not np.all(p >= 0) or not np.allclose(p.sum(axis=-1), 1.0, atol=1e-4):
        raise _not_numbers("a row of probabilities does not sum to one")
    scores, labels = _checked(_logs(p), grades)
    found = []
    for finding in Finding:
        ours = [t.index for t in TARGETS if t.finding is finding]
        known = labels[:, ours] >= 0
        if known.sum() < least_rows:
            raise ConfigurationError(
                f"{int(known.sum())} labels of {finding.term} are too few for a temperature",
                remedy=f"predict studies with {least_rows} labels of it or more",
                code="VS-CFG-126",
            )
        found.append(_temperature(scores[:, ours][known], labels[:, ours][known], spread=np.inf))
    return np.array(found)


def for_targets(temperatures: ArrayLike) -> FloatArray:
    """Return each target's temperature, shape (T,), of those of canal, foramina and recesses.

    Example:
        >>> for_targets([1.0, 2.0, 3.0])[[0, 5, 10, 15, 20]].tolist()
        [1.0, 2.0, 2.0, 3.0, 3.0]
    """
    given = np.asarray(temperatures, dtype=np.float64)
    if given.shape != (len(Finding),) or not np.all((given > 0) & np.isfinite(given)):
        raise _not_numbers(f"temperatures are not {len(Finding)} positive numbers")
    by_finding = dict(zip(Finding, given.tolist(), strict=True))
    return np.array([by_finding[target.finding] for target in TARGETS])


def recalibrated(probabilities: ArrayLike, temperatures: ArrayLike) -> FloatArray:
    """Return probabilities (..., T, K) at the temperatures of canal, foramina and recesses."""
    return tempered(_logs(np.asarray(probabilities, dtype=np.float64)), for_targets(temperatures))


def _temperature(scores: FloatArray, labels: IntArray, *, spread: float = PRIOR_SPREAD) -> float:
    """Return the best temperature of rows of scores, shape (rows, K), and their grades."""
    said = np.take_along_axis(scores, labels[:, None], axis=-1)[:, 0].sum()

    def slope(a: float) -> float:
        p = np.exp(log_softmax(scores * a, axis=-1))
        return float((p * scores).sum() - said + (a - 1) / spread**2)

    low, high = 1 / BOUNDS[1], 1 / BOUNDS[0]
    # The slope only grows, so a bracket without a change of sign has its least at an end.
    if slope(low) >= 0:
        return BOUNDS[1]
    if slope(high) <= 0:
        return BOUNDS[0]
    return 1 / float(brentq(slope, low, high, xtol=1e-10))


def _checked(
    log_probs: ArrayLike | _Tensor, labels: ArrayLike | _Tensor
) -> tuple[FloatArray, IntArray]:
    scores, grades = _array(log_probs).astype(np.float64), _array(labels)
    shape = (len(grades), len(TARGETS))
    if grades.shape != shape or scores.shape != (*shape, len(Grade)):
        raise ConfigurationError(
            f"log-probabilities of shape {scores.shape} and labels of shape {grades.shape} "
            "cannot be calibrated",
            remedy=f"give shapes (N, {len(TARGETS)}, {len(Grade)}) and (N, {len(TARGETS)})",
            code="VS-CFG-120",
        )
    if np.isnan(scores).any() or np.isposinf(scores).any():
        raise _not_numbers("a log-probability is not a number or is infinite")
    if grades.size and not np.isin(grades, [MISSING, *Grade]).all():
        raise _not_numbers(f"a label is neither a grade nor {MISSING}")
    return _normalised(scores), grades.astype(np.int64)


def _logs(p: FloatArray) -> FloatArray:
    return np.asarray(np.log(np.maximum(p, np.exp(_LEAST_LOG))))


def _normalised(scores: FloatArray) -> FloatArray:
    return np.asarray(np.maximum(log_softmax(scores, axis=-1), _LEAST_LOG))


def _array(values: ArrayLike | _Tensor) -> NDArray[Any]:
    if isinstance(values, _Tensor):
        return np.asarray(values.detach().cpu().double())
    return np.asarray(values)


def _not_numbers(message: str) -> ConfigurationError:
    return ConfigurationError(
        message, remedy="pass what the model and the data set give", code="VS-CFG-121"
    )
