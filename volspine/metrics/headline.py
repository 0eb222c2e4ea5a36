"""Headline: from probabilities and labels to the measures of a model, with 95 % intervals.

    kappa              quadratic weighted, of the likeliest grade
    accuracy           share of the labels that were given exactly
    balanced_accuracy  mean over the grades that occur of the share given right
    auroc_moderate     of "at least moderate"; targets pooled
    auroc_severe       of "severe"
    likelihood_loss    mean -ln of the probability of the true grade, not weighted
    brier              mean squared distance of the three probabilities from the truth
    calibration_error  mean distance of what the likeliest grade's probability says from what is
                       seen, over bins of equal numbers of rows (`metrics.reliability`)

Each is computed of all targets and of each finding, sides and levels pooled, as numerators and
denominators of whole studies; a bootstrap (`intervals.study_draws`) draws the studies and divides
anew. Two predictions of the same studies share the draws, so the difference of their columns has a
paired interval.

Shapes:
    N  studies    T  targets, 25    K  grades, 3    R  resamples
"""

from collections.abc import Mapping

import numpy as np

from volspine.anatomy import TARGETS, Grade
from volspine.errors import ConfigurationError
from volspine.metrics.discrimination import THRESHOLDS, auroc_columns
from volspine.metrics.intervals import (
    GROUPS,
    Estimate,
    drawn_confusions,
    drawn_kappas,
    estimates,
    study_draws,
)
from volspine.metrics.reliability import equal_bins
from volspine.metrics.rsna import ratio
from volspine.types import FloatArray, IntArray

__all__ = [
    "HEADLINE_LEVEL",
    "LOWER_IS_BETTER",
    "MEASURES",
    "CalibrationChange",
    "Columns",
    "calibration_change",
    "headline",
    "headline_columns",
    "headline_difference",
    "headline_of",
]

HEADLINE_LEVEL = 0.95
"""Share of the bootstrap that an interval holds."""

MEASURES = (
    "kappa",
    "accuracy",
    "balanced_accuracy",
    "auroc_moderate",
    "auroc_severe",
    "likelihood_loss",
    "brier",
    "calibration_error",
)
"""Names, in the order in which they are told."""

LOWER_IS_BETTER = frozenset({"likelihood_loss", "brier", "calibration_error"})
"""Of the others greater is better."""

_OF_PROBABILITIES = MEASURES[-3:]
_LEAST = 1e-15  # Of a probability, so that one label costs no infinite loss.

Columns = Mapping[str, Mapping[str, FloatArray]]
"""For each of `GROUPS` each measure of the studies and then of every draw, (1 + R,)."""


CalibrationChange = Mapping[str, Mapping[str, tuple[Estimate, Estimate, Estimate]]]
"""By group, and then measure: before, after, and after - before."""


def headline(
    probabilities: FloatArray, grades: IntArray, *, resamples: int = 1000, seed: int = 0
) -> dict[str, dict[str, Estimate]]:
    """Return each of `MEASURES` for each of `intervals.GROUPS`, with its interval.

    Args:
        probabilities: Calibrated (not decided), shape (N, T, K).
        grades: Labels, shape (N, T); -1 where missing.
        resamples: How often studies are drawn; 0 leaves the ends of intervals NaN.
        seed: Of the draws.

    Returns:
        By group and name; NaN where a measure is not defined, such as the AUROC of an event that
        never or always occurs.

    Raises:
        ConfigurationError: If shapes or numbers do not fit.
    """
    return headline_of(headline_columns(probabilities, grades, resamples=resamples, seed=seed))


def headline_difference(
    first: FloatArray,
    second: FloatArray,
    grades: IntArray,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, dict[str, Estimate]]:
    """Return each measure of the second less that of the first, with its paired interval.

    Args:
        first: Shape (N, T, K).
        second: Of the same studies.
        grades: Labels, shape (N, T); -1 where missing.
        resamples: How often studies are drawn.
        seed: Of the draws, which both share.

    Raises:
        ConfigurationError: If shapes or numbers do not fit.
    """
    a, b = (headline_columns(p, grades, resamples=resamples, seed=seed) for p in (first, second))
    return headline_of(
        {group: {name: b[group][name] - a[group][name] for name in MEASURES} for group in a}
    )


def calibration_change(
    before: FloatArray,
    after: FloatArray,
    grades: IntArray,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> CalibrationChange:
    """Return likelihood loss, Brier score and calibration error before, after, and after - before.

    Below zero the later is better; the interval of the difference is paired.

    Args:
        before: Probabilities, shape (N, T, K).
        after: Of the same studies, such as at a temperature.
        grades: Labels, shape (N, T); -1 where missing.
        resamples: How often studies are drawn.
        seed: Of the draws, which both share.

    Raises:
        ConfigurationError: If shapes or numbers do not fit.
    """
    labels, draws = _labels_and_draws(grades, resamples, seed)
    found: dict[str, dict[str, tuple[Estimate, Estimate, Estimate]]] = {}
    for group, t in GROUPS.items():
        a, b = (
            _of_probabilities(_checked(p, labels)[:, t], labels[:, t], draws)
            for p in (before, after)
        )
        found[group] = {
            name: (_estimate(a[name]), _estimate(b[name]), _estimate(b[name] - a[name]))
            for name in _OF_PROBABILITIES
        }
    return found


def headline_columns(
    probabilities: FloatArray, grades: IntArray, *, resamples: int = 1000, seed: int = 0
) -> dict[str, dict[str, FloatArray]]:
    """Return each measure of the studies and of every draw of them, by group and name, (1 + R,).

    Args:
        probabilities: Calibrated (not decided), shape (N, T, K).
        grades: Labels, shape (N, T); -1 where missing.
        resamples: How often studies are drawn.
        seed: Of the draws.

    Raises:
        ConfigurationError: If shapes or numbers do not fit.
    """
    labels, draws = _labels_and_draws(grades, resamples, seed)
    p = _checked(probabilities, labels)
    return {name: _columns(p[:, t], labels[:, t], draws) for name, t in GROUPS.items()}


def _columns(p: FloatArray, labels: IntArray, draws: FloatArray) -> dict[str, FloatArray]:
    counts = drawn_confusions(labels, np.asarray(p.argmax(axis=-1)), draws)
    rows, right = counts.sum(axis=2), np.diagonal(counts, axis1=1, axis2=2)
    recall = ratio(right, rows)
    found = {
        "kappa": drawn_kappas(counts),
        "accuracy": ratio(right.sum(axis=1), rows.sum(axis=1)),
        "balanced_accuracy": ratio(
            np.where(rows > 0, recall, 0.0).sum(axis=1), (rows > 0).sum(axis=1).astype(np.float64)
        ),
        **{
            f"auroc_{name}": auroc_columns(p, labels, draws, least=least)
            for name, least in THRESHOLDS.items()
        },
    }
    return found | _of_probabilities(p, labels, draws)


def _of_probabilities(p: FloatArray, labels: IntArray, draws: FloatArray) -> dict[str, FloatArray]:
    known = labels >= 0
    true = np.maximum(labels, 0)[..., None]
    said = np.take_along_axis(p, true, axis=-1)[..., 0]
    loss = np.where(known, -np.log(np.maximum(said, _LEAST)), 0.0).sum(axis=1)
    squares = ((p - np.eye(len(Grade))[true[..., 0]]) ** 2).sum(axis=-1)
    rows = draws @ known.sum(axis=1)
    return {
        "likelihood_loss": ratio(draws @ loss, rows),
        "brier": ratio(draws @ np.where(known, squares, 0.0).sum(axis=1), rows),
        "calibration_error": ratio(_gaps(p, labels, draws), rows),
    }


def _gaps(p: FloatArray, labels: IntArray, draws: FloatArray) -> FloatArray:
    """Return sum over bins of |rows right - sum of confidence|, of each draw, (1 + R,)."""
    known = labels >= 0
    said, right = p.max(axis=-1)[known], (p.argmax(axis=-1) == labels)[known]
    place = equal_bins(said)
    gaps = np.zeros((len(labels), int(place.max(initial=-1)) + 1))
    np.add.at(gaps, (np.nonzero(known)[0], place), right - said)
    return np.asarray(np.abs(draws @ gaps).sum(axis=1))


def headline_of(columns: Columns) -> dict[str, dict[str, Estimate]]:
    """Return the estimates of columns, or of differences of them, by group and name.

    Args:
        columns: As of `headline_columns`.
    """
    return {
        group: {name: _estimate(column) for name, column in of_group.items()}
        for group, of_group in columns.items()
    }


def _estimate(column: FloatArray) -> Estimate:
    return estimates(column[:, None], level=HEADLINE_LEVEL)[0]


def _labels_and_draws(grades: IntArray, resamples: int, seed: int) -> tuple[IntArray, FloatArray]:
    labels = np.asarray(grades, dtype=np.int64)
    if labels.shape[1:] != (len(TARGETS),) or not len(labels) or resamples < 0:
        raise _bad(f"labels of shape {labels.shape} and {resamples} resamples")
    return labels, study_draws(len(labels), resamples=resamples, seed=seed)


def _checked(probabilities: FloatArray, labels: IntArray) -> FloatArray:
    p = np.asarray(probabilities, dtype=np.float64)
    if p.shape != (*labels.shape, len(Grade)) or not np.all((p >= 0) & (p <= 1)):
        raise _bad(f"probabilities of shape {p.shape} for labels of shape {labels.shape}")
    return p


def _bad(message: str) -> ConfigurationError:
    return ConfigurationError(
        f"a model cannot be judged by {message}",
        remedy=f"give shapes (N, {len(TARGETS)}, {len(Grade)}) and (N, {len(TARGETS)})",
        code="VS-CFG-128",
    )
