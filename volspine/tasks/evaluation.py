"""From probabilities and labels of held-out studies to the score, the prior's, and their interval.

A model is compared with the prior: what one who has learned nothing reports, the weighted frequency
of each grade in the training split. Both go through the decision layer, both are scored on the same
studies, and the interval of their difference is a patient bootstrap in which they share the draws.

Accuracy is told three times, so that none is mistaken for another: of held-out studies; of always
saying the commonest grade of the training split, on the same held-out studies; and of studies that
were trained on, where there were some to grade.

Shapes:
    N  studies      T  the 25 targets      K  the 3 grades
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from volspine.anatomy import TARGETS, Finding
from volspine.challenge import MISSING, PROBABILITY_COLUMNS, row_id
from volspine.decide import decide
from volspine.metrics.bootstrap import Interval
from volspine.metrics.intervals import (
    LEVEL,
    LOSSES,
    Agreement,
    Estimate,
    agreement,
    estimates,
    loss_columns,
)
from volspine.metrics.landmarks import (
    LandmarkScores,
    landmark_scores_by_finding,
    point_errors,
    wrong_level,
)
from volspine.metrics.reliability import Reliability, reliability
from volspine.metrics.rsna import RsnaScore, rsna_terms
from volspine.types import FloatArray, IntArray

__all__ = ["Evaluation", "Known", "Places", "evaluate", "places_csv", "predictions_csv"]

_PLACES = ("num_true", "num_found", "median_mm", "p95_mm", "detected_5mm", "detected_10mm",
           "wrong_level")  # fmt: skip
"""What is told of places."""


class Places(NamedTuple):
    """Where targets were found and where they are, in mm of the grid; NaN where not.

    Attributes:
        found_mm: Shape (N, T, 3).
        true_mm: Shape (N, T, 3), in the same frame.
    """

    found_mm: FloatArray
    true_mm: FloatArray


class Known(NamedTuple):
    """What was said of studies that were trained on.

    Attributes:
        probabilities: Shape (N, T, K).
        grades: Shape (N, T); -1 where missing.
    """

    probabilities: FloatArray
    grades: IntArray


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
        losses: `score`, `prior` and `prior_minus_score`, each by name of `LOSSES`.
        agreement: Kappa and accuracy on the same studies, by finding and of all.
        majority: Accuracy there of always saying the commonest grade of the training split.
        training: Accuracy on some of the studies that were trained on; empty if none was graded.
        training_studies: How many of those.
        places: How far off targets were looked for, by finding; empty if the model does not say.
    """

    studies: int
    score: RsnaScore
    prior: RsnaScore
    interval: Interval
    calibration: Mapping[str, Mapping[str, Reliability]] = field(
        default_factory=dict, compare=False
    )
    losses: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict, compare=False)
    agreement: Mapping[str, Agreement] = field(default_factory=dict, compare=False)
    majority: Mapping[str, Estimate] = field(default_factory=dict, compare=False)
    training: Mapping[str, Estimate] = field(default_factory=dict, compare=False)
    training_studies: int = 0
    places: Mapping[str, LandmarkScores] = field(default_factory=dict, compare=False)

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
            "losses": {name: _told(each) for name, each in self.losses.items()},
            "kappa": _values({name: each.kappa for name, each in self.agreement.items()}),
            "kappa_interval_90": _ends({name: each.kappa for name, each in self.agreement.items()}),
            "accuracy": {
                "held_out": _told({name: e.accuracy for name, e in self.agreement.items()}),
                "majority_class_on_held_out": _told(self.majority),
                "on_studies_trained_on": _told(self.training) or None,
                "studies_trained_on_that_were_graded": self.training_studies,
            },
            "localization": _places(self.places) or None,
            "calibration": {
                finding: {event: _plain(judged.to_dict()) for event, judged in events.items()}
                for finding, events in self.calibration.items()
            },
        }

    def __str__(self) -> str:
        terms = self.score.to_dict()
        total = terms.pop("total")
        parts = ", ".join(f"{name} {value:.4f}" for name, value in terms.items())
        lines = [
            f"score {total:.4f} ({parts})",
            f"prior {self.prior.total:.4f} (frequencies of the training split, nothing learned)",
            (
                f"prior - score {self.gain:+.4f}, 90 % interval {self.interval.low:+.4f} to "
                f"{self.interval.high:+.4f}, {self.studies} studies"
            ),
            *self._agreement_lines(),
            *self._place_lines(),
        ]
        return "\n".join(lines)

    def _agreement_lines(self) -> list[str]:
        if not self.agreement:
            return []
        kappa = ", ".join(f"{name} {e.kappa.value:.3f}" for name, e in self.agreement.items())
        accuracy = [
            f"{100 * self.agreement['all'].accuracy.value:.1f} % held out",
            f"{100 * self.majority['all'].value:.1f} % there for the commonest grades",
        ]
        if self.training:
            seen = f"{self.training_studies} studies it was trained on"
            accuracy.append(f"{100 * self.training['all'].value:.1f} % on {seen}")
        return [f"quadratic kappa {kappa}", f"accuracy {'; '.join(accuracy)}"]

    def _place_lines(self) -> list[str]:
        told = [
            f"{name} {s.median_mm:.1f} ({s.p95_mm:.1f}), {100 * s.detected_5mm:.0f} % within 5 and "
            f"{100 * s.detected_10mm:.0f} % within 10"
            for name, s in self.places.items()
        ]
        return [f"places off by mm, median (95 %): {'; '.join(told)}"] if told else []


def evaluate(
    probabilities: FloatArray,
    grades: IntArray,
    frequencies: FloatArray,
    *,
    known: Known | None = None,
    places: Places | None = None,
    seed: int = 0,
) -> Evaluation:
    """Return the score after the decision layer, beside the prior's on the same studies.

    Args:
        probabilities: Calibrated, shape (N, T, K).
        grades: Shape (N, T); -1 where missing.
        frequencies: Of the training split's grades, shape (T, K).
        known: What the model said of studies that it was trained on.
        places: Where it looked for the targets.
        seed: Of the draws.
    """
    report = np.array(np.broadcast_to(decide(frequencies), probabilities.shape))
    model, prior = rsna_terms(grades, decide(probabilities)), rsna_terms(grades, report)
    drawn = {
        "score": loss_columns(model, seed=seed),
        "prior": loss_columns(prior, seed=seed),
    }
    drawn["prior_minus_score"] = drawn["prior"] - drawn["score"]
    losses = {
        name: dict(zip(LOSSES, estimates(columns), strict=True)) for name, columns in drawn.items()
    }
    gain = losses["prior_minus_score"]["total"]
    commonest = np.broadcast_to(frequencies.argmax(axis=-1), grades.shape)
    return Evaluation(
        len(grades),
        model.score(),
        prior.score(),
        Interval(gain.low, gain.high, LEVEL),
        calibration=reliability(probabilities, grades, seed=seed),
        losses=losses,
        agreement=agreement(grades, probabilities.argmax(axis=-1), seed=seed),
        majority=_accuracies(grades, commonest, seed),
        training={} if known is None else _accuracies(known.grades, _most(known), seed),
        training_studies=0 if known is None else len(known.grades),
        places={} if places is None else _by_name(places),
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


def places_csv(places: Places, keys: Sequence[str]) -> str:
    """Return how far off each target was looked for, as CSV: a row for each with a true place.

    Args:
        places: Where targets were found and are; `error_mm` is empty where one was not found.
        keys: N names of studies.
    """
    errors, wrong = point_errors(*places), wrong_level(*places)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row_id", "error_mm", "at_wrong_level"])
    for n, t in np.argwhere(np.isfinite(places.true_mm).all(axis=-1)).tolist():
        found = "" if math.isnan(errors[n, t]) else f"{errors[n, t]:.2f}"
        writer.writerow([row_id(keys[n], TARGETS[t]), found, int(wrong[n, t])])
    return text.getvalue()


def _accuracies(grades: IntArray, given: IntArray, seed: int) -> dict[str, Estimate]:
    return {name: e.accuracy for name, e in agreement(grades, given, seed=seed).items()}


def _most(known: Known) -> IntArray:
    return np.asarray(known.probabilities.argmax(axis=-1))


def _by_name(places: Places) -> dict[str, LandmarkScores]:
    names = ("all", *(finding.name.lower() for finding in Finding))
    return dict(zip(names, landmark_scores_by_finding(*places).values(), strict=True))


def _told(found: Mapping[str, Estimate]) -> dict[str, dict[str, float | None]]:
    return {name: _plain(each._asdict()) for name, each in found.items()}


def _values(found: Mapping[str, Estimate]) -> dict[str, float | None]:
    return _plain({name: each.value for name, each in found.items()})


def _ends(found: Mapping[str, Estimate]) -> dict[str, list[float] | None]:
    return {n: None if math.isnan(e.value) else [e.low, e.high] for n, e in found.items()}


def _places(found: Mapping[str, LandmarkScores]) -> dict[str, dict[str, float | None]]:
    told = {name: scores.to_dict() for name, scores in found.items()}
    return {name: _plain({key: one[key] for key in _PLACES}) for name, one in told.items()}


def _plain(numbers: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in numbers.items()}
