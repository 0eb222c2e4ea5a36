"""From probabilities and own labels of held-out studies to score, prior, interval, and agreement.

What `volspine.tasks.evaluation` is for the challenge's targets, for any others: the prior is the
frequency of each grade of each target in the training split, both are scored on the same studies,
and the interval of their difference is a patient bootstrap in which they share the draws.

Shapes:
    N  studies    T  targets    K  grades    F  findings
"""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from volspine.metrics.bootstrap import Interval, resample
from volspine.metrics.ordinal import quadratic_weighted_kappa
from volspine.metrics.own_scores import confusion_of, mean_loss, own_losses, own_terms
from volspine.types import FloatArray, IntArray
from volspine.vocabulary import Vocabulary

__all__ = ["OwnEvaluation", "Part", "evaluate_own", "own_predictions_csv"]

_LEVEL = 0.90


@dataclass(frozen=True)
class Part:
    """How well one finding was graded, or all of them together.

    Attributes:
        rows: Grades that there were to be right or wrong about.
        score: Log loss of the model.
        prior: The same of the prior of the training split.
        kappa: Quadratic weighted kappa; NaN where all rows have one and the same grade.
        accuracy: Share of rows graded exactly right.
        majority: Share right of always saying what was commonest in the training split.
    """

    rows: int
    score: float
    prior: float
    kappa: float
    accuracy: float
    majority: float

    def to_dict(self) -> dict[str, float | None]:
        """Return plain data; what is undefined is None."""
        return {name: None if math.isnan(v) else v for name, v in vars(self).items()}


@dataclass(frozen=True)
class OwnEvaluation:
    """How well a model of own targets did on studies that it was not trained on.

    Attributes:
        studies: Number of studies.
        everything: Score over the findings; kappa and accuracy over all rows.
        findings: The same of each finding.
        interval: 90 % paired patient-bootstrap interval of (prior - score); all of it above zero
            means that the model knows more than the prior.
    """

    studies: int
    everything: Part
    findings: dict[str, Part]
    interval: Interval

    @property
    def gain(self) -> float:
        """Score of the prior less that of the model; above zero is good."""
        return self.everything.prior - self.everything.score

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for `test_metrics.json`."""
        return {
            "studies": self.studies,
            **self.everything.to_dict(),
            "prior_minus_score": self.gain,
            "prior_minus_score_interval_90": [self.interval.low, self.interval.high],
            "findings": {name: part.to_dict() for name, part in self.findings.items()},
        }

    def __str__(self) -> str:
        each = ", ".join(f"{name} {part.score:.4f}" for name, part in self.findings.items())
        said = self.everything
        return (
            f"score {said.score:.4f} ({each})\n"
            f"prior {said.prior:.4f} (frequencies of the training split, nothing learned)\n"
            f"prior - score {self.gain:+.4f}, 90 % interval {self.interval.low:+.4f} to "
            f"{self.interval.high:+.4f}, {self.studies} studies\n"
            f"quadratic kappa {said.kappa:.3f}; accuracy {100 * said.accuracy:.1f} %, "
            f"{100 * said.majority:.1f} % for the commonest grades"
        )


@dataclass(frozen=True)
class _Compared:
    """Truth, what was said, what is commonest; all (N, T)."""

    grades: IntArray
    given: IntArray
    commonest: IntArray
    num_grades: int

    def part(self, columns: Sequence[int], score: float, prior: float) -> Part:
        truth, given, common = (
            each[:, list(columns)] for each in (self.grades, self.given, self.commonest)
        )
        counts = confusion_of(truth, given, self.num_grades)
        rows, known = int(counts.sum()), truth >= 0
        right = (int((each == truth)[known].sum()) for each in (given, common))
        accuracy, majority = (n / rows if rows else math.nan for n in right)
        kappa = quadratic_weighted_kappa(counts)
        return Part(rows, score, prior, kappa, accuracy, majority)


def evaluate_own(
    probabilities: FloatArray,
    grades: IntArray,
    frequencies: FloatArray,
    *,
    vocabulary: Vocabulary,
    resamples: int = 2000,
    seed: int = 0,
) -> OwnEvaluation:
    """Return the score beside the prior's on the same studies, and the agreement of grades.

    Args:
        probabilities: Calibrated, shape (N, T, K).
        grades: Shape (N, T); -1 where missing.
        frequencies: Of the training split's grades, shape (T, K).
        vocabulary: What is graded.
        resamples: How often studies are drawn.
        seed: Of the draws.
    """
    report = np.array(np.broadcast_to(frequencies, probabilities.shape))
    terms = [own_terms(grades, p, vocabulary) for p in (probabilities, report)]
    score, prior = map(own_losses, terms)
    totals = [resample(each, resamples=resamples, seed=seed)[:, 0] for each in terms]
    differences = totals[1] - totals[0]
    low, high = np.nanquantile(differences, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    commonest = np.broadcast_to(frequencies.argmax(axis=-1), grades.shape)
    compared = _Compared(grades, probabilities.argmax(axis=-1), commonest, vocabulary.num_grades)
    everyone = range(grades.shape[1])
    return OwnEvaluation(
        studies=len(grades),
        everything=compared.part(everyone, mean_loss(score), mean_loss(prior)),
        findings={
            name: compared.part(group, float(score[n]), float(prior[n]))
            for n, (name, group) in enumerate(
                zip(vocabulary.findings, vocabulary.groups, strict=True)
            )
        },
        interval=Interval(float(low), float(high), _LEVEL),
    )


def own_predictions_csv(
    probabilities: FloatArray, grades: IntArray, keys: Sequence[str], *, vocabulary: Vocabulary
) -> str:
    """Return predictions as CSV: a row for each study and target, beside the label if any.

    Args:
        probabilities: Calibrated, shape (N, T, K).
        grades: Shape (N, T); -1 where missing.
        keys: N names of studies.
        vocabulary: What is graded; its grades name the columns of probabilities.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["study_id", "target", *vocabulary.grades, "label"])
    for key, rows, labels in zip(keys, probabilities, grades, strict=True):
        for name, row, label in zip(vocabulary.names, rows, labels, strict=True):
            shown = "" if label < 0 else vocabulary.grades[int(label)]
            writer.writerow([key, name, *(f"{p:.6f}" for p in row), shown])
    return text.getvalue()
