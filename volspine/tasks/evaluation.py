"""From probabilities and labels of held-out studies to the score, the prior's, and their interval.

The challenge's score is the mean of four ratios, each sum(w * loss) / sum(w) over labelled rows
(canal, foramen, recess) or studies (any severe canal). A study therefore contributes a numerator
and a denominator to each ratio, and a bootstrap over patients only has to add these up again:

    score(draw) = mean over terms of  sum(numerators of the draw) / sum(denominators of the draw).

Model and prior are resampled together, so that what makes a study hard for both cancels.

Shapes:
    N  studies      T  the 25 targets      K  the 3 grades      4  the terms of the score
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from volspine.anatomy import TARGETS, Finding, Grade
from volspine.challenge import (
    ANY_SEVERE,
    FINDING_GROUPS,
    GRADE_WEIGHTS,
    MISSING,
    PROBABILITY_COLUMNS,
    row_id,
)
from volspine.decide import decide
from volspine.types import FloatArray, IntArray

__all__ = ["Evaluation", "evaluate", "predictions_csv", "score_terms", "study_losses"]

INTERVAL = 0.90
"""Probability mass of every interval that is reported."""

_GROUPS = {
    name: np.array([target.finding is finding for target in TARGETS])
    for name, finding in FINDING_GROUPS.items()
}
_CANAL = np.array([target.finding is Finding.CANAL for target in TARGETS])
_EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Evaluation:
    """How well a model did on studies that it was not trained on.

    Attributes:
        studies: Number of studies with a label.
        score: The challenge's score of the model; lower is better.
        terms: The score's four terms by name.
        prior: The score of the prior of the training split on the same studies.
        prior_terms: Its four terms by name.
        gain_interval: 90 % paired bootstrap interval of (prior - score), studies resampled; above
            zero means that the model knows more than the prior.
    """

    studies: int
    score: float
    terms: Mapping[str, float]
    prior: float
    prior_terms: Mapping[str, float]
    gain_interval: tuple[float, float]

    @property
    def gain(self) -> float:
        """Score of the prior less that of the model; above zero is good."""
        return self.prior - self.score

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for `test_metrics.json`."""
        return {
            "studies": self.studies,
            "score": self.score,
            "terms": dict(self.terms),
            "prior": self.prior,
            "prior_terms": dict(self.prior_terms),
            "prior_minus_score": self.gain,
            "prior_minus_score_interval_90": list(self.gain_interval),
        }

    def __str__(self) -> str:
        low, high = self.gain_interval
        terms = ", ".join(f"{name} {value:.4f}" for name, value in self.terms.items())
        return (
            f"score {self.score:.4f} ({terms}); prior {self.prior:.4f}; prior - score "
            f"{self.gain:+.4f}, 90 % interval {low:+.4f} to {high:+.4f}, {self.studies} studies"
        )


def evaluate(
    probabilities: FloatArray,
    grades: IntArray,
    frequencies: FloatArray,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> Evaluation:
    """Return the score after the decision layer, beside the prior's on the same studies.

    Args:
        probabilities: Calibrated, shape (N, T, K).
        grades: Shape (N, T); -1 where missing.
        frequencies: Of the training split's grades, shape (T, K).
        draws: Bootstrap samples.
        seed: Of the bootstrap.
    """
    reports = (decide(probabilities), np.broadcast_to(decide(frequencies), probabilities.shape))
    model, prior = (study_losses(np.asarray(report), grades) for report in reports)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(grades), np.full(len(grades), 1 / len(grades)), size=draws)
    gains = (_ratios(prior, counts) - _ratios(model, counts)).mean(axis=-1)
    tail = (1 - INTERVAL) / 2
    low, high = np.quantile(gains, [tail, 1 - tail])
    terms, prior_terms = score_terms(model), score_terms(prior)
    return Evaluation(
        studies=int((grades >= 0).any(axis=1).sum()),
        score=float(np.mean(list(terms.values()))),
        terms=terms,
        prior=float(np.mean(list(prior_terms.values()))),
        prior_terms=prior_terms,
        gain_interval=(float(low), float(high)),
    )


def study_losses(report: FloatArray, grades: IntArray) -> FloatArray:
    """Return what each study adds to the score's ratios.

    Args:
        report: Probabilities as submitted, shape (N, T, K).
        grades: Shape (N, T); -1 where missing.

    Returns:
        Shape (N, 4, 2): for each term its numerator and its denominator.
    """
    known = grades >= 0
    truth = np.maximum(grades, 0)
    weights = np.asarray(GRADE_WEIGHTS)[truth] * known
    chosen = np.take_along_axis(report, truth[..., None], axis=-1)[..., 0]
    losses = -np.log(np.clip(chosen, _EPSILON, 1.0)) * weights
    parts = [np.stack([losses[:, g].sum(1), weights[:, g].sum(1)], 1) for g in _GROUPS.values()]
    return np.stack([*parts, _any_severe(report[:, _CANAL], grades[:, _CANAL])], axis=1)


def _any_severe(report: FloatArray, grades: IntArray) -> FloatArray:
    known = grades >= 0
    said = np.where(known, report[..., Grade.SEVERE], 0.0).max(axis=1)
    worst = grades.max(axis=1)
    weights = np.asarray(GRADE_WEIGHTS)[np.maximum(worst, 0)] * known.any(axis=1)
    likelihood = np.where(worst == Grade.SEVERE, said, 1 - said)
    losses = -np.log(np.clip(likelihood, _EPSILON, 1.0)) * weights
    return np.stack([losses, weights], axis=1)


def score_terms(losses: FloatArray) -> dict[str, float]:
    """Return the score's terms, by the names of `challenge`; their mean is the score.

    Args:
        losses: From `study_losses`.
    """
    ratios = _ratios(losses, np.ones((1, len(losses)), dtype=np.int64))[0]
    return dict(zip([*_GROUPS, ANY_SEVERE], ratios.tolist(), strict=True))


def _ratios(losses: FloatArray, counts: IntArray) -> FloatArray:
    """Terms of the score, shape (draws, 4), for studies counted that often, (draws, N)."""
    sums = np.einsum("dn,ntp->dtp", counts, losses)
    # A term without a single label says nothing and costs nothing.
    return np.asarray(sums[..., 0] / np.where(sums[..., 1] > 0, sums[..., 1], 1.0))


def predictions_csv(probabilities: FloatArray, grades: IntArray, keys: Sequence[str]) -> str:
    """Return calibrated predictions as CSV: 25 rows a study, beside the label where there is one.

    Args:
        probabilities: Shape (N, T, K).
        grades: Shape (N, T); -1 where missing.
        keys: N names of studies.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row_id", *PROBABILITY_COLUMNS, "grade"])
    for key, rows, labels in zip(keys, probabilities, grades, strict=True):
        for target, row, label in zip(TARGETS, rows, labels, strict=True):
            shown = "" if label == MISSING else int(label)
            writer.writerow([row_id(key, target), *(f"{p:.6f}" for p in row), shown])
    return text.getvalue()
