"""From probabilities and labels of held-out studies to the score, the prior's, and their interval.

A model is compared with the prior: what one who has learned nothing reports, the weighted frequency
of each grade in the training split. Both go through the decision layer, both are scored on the same
studies, and the interval of their difference is a patient bootstrap in which they share the draws.

Shapes:
    N  studies      T  the 25 targets      K  the 3 grades
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from volspine.anatomy import TARGETS
from volspine.challenge import MISSING, PROBABILITY_COLUMNS, row_id
from volspine.decide import decide
from volspine.metrics.bootstrap import Interval, bootstrap_difference
from volspine.metrics.reliability import Reliability, reliability
from volspine.metrics.rsna import RsnaScore, rsna_terms
from volspine.types import FloatArray, IntArray

__all__ = ["Evaluation", "evaluate", "predictions_csv"]

_LEVEL = 0.90


@dataclass(frozen=True)
class Evaluation:
    """How well a model did on studies that it was not trained on.

    Attributes:
        studies: Number of studies.
        score: The challenge's score of the model and its terms; lower is better.
        prior: The same of the prior of the training split, on the same studies.
        interval: 90 % paired patient-bootstrap interval of (prior - score); all of it above zero
            means that the model knows more than the prior.
        calibration: Whether what was said came true that often, by finding and event.
    """

    studies: int
    score: RsnaScore
    prior: RsnaScore
    interval: Interval
    calibration: Mapping[str, Mapping[str, Reliability]] = field(
        default_factory=dict, compare=False
    )

    @property
    def gain(self) -> float:
        """Score of the prior less that of the model; above zero is good."""
        return self.prior.total - self.score.total

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for `test_metrics.json`."""
        terms, prior_terms = self.score.to_dict(), self.prior.to_dict()
        return {
            "studies": self.studies,
            "score": terms.pop("total"),
            "terms": terms,
            "prior": prior_terms.pop("total"),
            "prior_terms": prior_terms,
            "prior_minus_score": self.gain,
            "prior_minus_score_interval_90": [self.interval.low, self.interval.high],
            "calibration": {
                finding: {event: _plain(judged.to_dict()) for event, judged in events.items()}
                for finding, events in self.calibration.items()
            },
        }

    def __str__(self) -> str:
        terms = self.score.to_dict()
        total = terms.pop("total")
        parts = ", ".join(f"{name} {value:.4f}" for name, value in terms.items())
        return (
            f"score {total:.4f} ({parts})\n"
            f"prior {self.prior.total:.4f} (frequencies of the training split, nothing learned)\n"
            f"prior - score {self.gain:+.4f}, 90 % interval {self.interval.low:+.4f} to "
            f"{self.interval.high:+.4f}, {self.studies} studies"
        )


def evaluate(
    probabilities: FloatArray,
    grades: IntArray,
    frequencies: FloatArray,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Evaluation:
    """Return the score after the decision layer, beside the prior's on the same studies.

    Args:
        probabilities: Calibrated, shape (N, T, K).
        grades: Shape (N, T); -1 where missing.
        frequencies: Of the training split's grades, shape (T, K).
        resamples: How often studies are drawn.
        seed: Of the draws.
    """
    report = np.array(np.broadcast_to(decide(frequencies), probabilities.shape))
    model, prior = rsna_terms(grades, decide(probabilities)), rsna_terms(grades, report)
    differences = bootstrap_difference(
        prior, model, resamples=resamples, levels=(_LEVEL,), seed=seed
    )
    calibration = reliability(probabilities, grades, resamples=resamples, seed=seed)
    return Evaluation(
        len(grades), model.score(), prior.score(), differences["total"][0], calibration
    )


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


def _plain(numbers: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in numbers.items()}
