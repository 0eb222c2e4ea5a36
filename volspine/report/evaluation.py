"""The evaluation of a submission: scores, intervals and agreement, as text, data or a page.

The page needs no network and no other file, and every text in it is escaped.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from volspine.anatomy import Grade
from volspine.challenge import GRADE_WEIGHTS
from volspine.grades import RESEARCH_USE
from volspine.metrics.bootstrap import Interval, bootstrap_scores
from volspine.metrics.ordinal import OrdinalScores, confusion, ordinal_scores_by_finding
from volspine.metrics.reliability import Reliability, reliability
from volspine.metrics.rsna import RsnaScore, rsna_terms, score_terms
from volspine.metrics.tables import Frame, read_solution, read_submission
from volspine.report.diagram import MARGIN, SIZE, panel
from volspine.report.template import page_template
from volspine.types import FloatArray

__all__ = ["Evaluation", "evaluate", "render_evaluation"]

CAUTION = (
    "These numbers hold for the studies that were scored. Numbers of synthetic studies (phantoms) "
    "prove the pipeline and say nothing about patients."
)

UNDONE = (
    "A submission is weighted for the metric; here its weights are undone, which gives back the "
    "probabilities that it was made from, but for the level of a canal that the fourth term moved. "
    "ECE is the mean distance of said from seen; by chance is what it would be if all that was "
    "said were right. Slope: below 1 is too bold, above 1 too careful."
)

_LABELS = {
    "total": "Score (mean of four)",
    "spinal": "Spinal canal",
    "foraminal": "Neural foramina",
    "subarticular": "Subarticular",
    "any_severe": "Any severe canal",
}


@dataclass(frozen=True)
class Evaluation:
    """What is known about a submission.

    Attributes:
        score: The challenge's score and its terms; lower is better.
        intervals: For each of its five numbers, one bootstrap interval a level; may be empty.
        agreement: Agreement of the grade with the largest submitted probability, over all rows and
            by finding.
        confusion: Rows by true and given grade.
        num_studies: Studies that were scored.
        num_rows: Graded rows that were scored.
        resamples: Bootstrap samples behind the intervals.
        calibration: Whether what was said came true that often, by finding and event; of the
            probabilities with the metric's weights undone.
    """

    score: RsnaScore
    intervals: Mapping[str, tuple[Interval, ...]]
    agreement: Mapping[str, OrdinalScores]
    confusion: tuple[tuple[int, ...], ...]
    num_studies: int
    num_rows: int
    resamples: int
    calibration: Mapping[str, Mapping[str, Reliability]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; what is not defined is None."""
        return {
            "score": self.score.to_dict(),
            "intervals": {
                name: [interval._asdict() for interval in given]
                for name, given in self.intervals.items()
            },
            "agreement": {name: _plain(s.to_dict()) for name, s in self.agreement.items()},
            "confusion": [list(row) for row in self.confusion],
            "calibration": {
                finding: {event: _plain(judged.to_dict()) for event, judged in events.items()}
                for finding, events in self.calibration.items()
            },
            "num_studies": self.num_studies,
            "num_rows": self.num_rows,
            "resamples": self.resamples,
            "notice": f"{RESEARCH_USE} {CAUTION}",
        }

    def to_text(self) -> str:
        """Return a table for a terminal."""
        scores = [
            f"{label:<22}{value:>8}  {'  '.join(intervals)}".rstrip()
            for label, value, intervals in self.score_rows()
        ]
        kappas = [
            f"{name:<28}{_number(s.kappa, 3):>7}{_number(s.accuracy, 3):>10}"
            f"{_number(s.majority, 3):>10}"
            for name, s in self.agreement.items()
        ]
        return "\n".join(
            [
                f"{self.num_studies} studies, {self.num_rows} graded rows; lower is better",
                *scores,
                "",
                f"{'largest probability given':<28}{'kappa':>7}{'accuracy':>10}{'majority':>10}",
                *kappas,
                "",
                *self._calibration_text(),
                f"{RESEARCH_USE} {CAUTION}",
            ]
        )

    def calibration_rows(self) -> list[tuple[str, str, list[str]]]:
        """Return finding, event, and ECE, by chance, Brier and slope of each event, as text."""
        return [
            (finding.replace("_", " "), event.replace("_", " "), _calibration_numbers(judged))
            for finding, events in self.calibration.items()
            for event, judged in events.items()
        ]

    def _calibration_text(self) -> list[str]:
        if not self.calibration:
            return []
        head = f"{'said and seen, weights undone':<42}{'ECE':>7}{'by chance':>11}{'slope':>8}"
        rows = [
            f"{finding:<28}{event:<14}{ece:>7}{chance:>11}{slope:>8}"
            for finding, event, (ece, _, chance, _, slope, _) in self.calibration_rows()
        ]
        return [head, *rows, ""]

    def score_rows(self) -> list[tuple[str, str, list[str]]]:
        """Return label, score and intervals of each of the five numbers, as text."""
        return [
            (
                _LABELS[name],
                _number(value, 4),
                [
                    f"{i.level:.0%} {_number(i.low, 4)} to {_number(i.high, 4)}"
                    for i in self.intervals.get(name, ())
                ],
            )
            for name, value in self.score.to_dict().items()
        ]


def evaluate(
    solution: str | Path | Frame,
    submission: str | Path | Frame,
    *,
    studies: set[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Return all that is known about a submission.

    Args:
        solution: A wide `train.csv` or the long form with `sample_weight`.
        submission: `row_id` and three probabilities.
        studies: Score these studies only; all of the solution's if omitted.
        resamples: Bootstrap samples for the intervals; 0 for none.
        seed: Of the bootstrap.

    Raises:
        TableError: If a table does not parse, the two do not fit, or a term has no graded row.
    """
    truth = read_solution(solution, studies=studies)
    given = read_submission(submission, truth, ignore_others=studies is not None)
    terms = rsna_terms(truth.grades, given, weights=truth.weights)
    grades = given.argmax(axis=-1)
    return Evaluation(
        score=score_terms(terms),
        intervals=bootstrap_scores(terms, resamples=resamples, seed=seed) if resamples else {},
        agreement=ordinal_scores_by_finding(truth.grades, grades),
        confusion=tuple(map(tuple, confusion(truth.grades, grades).tolist())),
        num_studies=len(truth.studies),
        num_rows=int((truth.grades >= 0).sum()),
        resamples=resamples,
        calibration=reliability(_undecided(given), truth.grades, resamples=resamples, seed=seed),
    )


def render_evaluation(evaluation: Evaluation) -> str:
    """Return the page."""
    return page_template("evaluation").render(
        evaluation=evaluation,
        grades=[grade.label for grade in Grade],
        agreement=[
            (name.replace("_", " "), [str(s.num_rows), *(_number(v, 3) for v in _measures(s))])
            for name, s in evaluation.agreement.items()
        ],
        notices=(RESEARCH_USE, CAUTION),
        undone=UNDONE,
        size=SIZE,
        margin=MARGIN,
        diagrams=[
            (
                finding.replace("_", " "),
                [panel(event.replace("_", " "), judged) for event, judged in events.items()],
            )
            for finding, events in evaluation.calibration.items()
        ],
    )


def _undecided(given: FloatArray) -> FloatArray:
    """Return probabilities without the metric's weights; rows that are not asked for stay 0."""
    rows = given / np.array(GRADE_WEIGHTS)
    total = rows.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(rows, total, out=np.zeros_like(rows), where=total > 0))


def _calibration_numbers(judged: Reliability) -> list[str]:
    low, high, _ = judged.ece_interval
    slope_low, slope_high, _ = judged.slope_interval
    return [
        _number(judged.ece, 3),
        f"{_number(low, 3)} to {_number(high, 3)}",
        _number(judged.chance, 3),
        _number(judged.brier, 3),
        _number(judged.slope, 2),
        f"{_number(slope_low, 2)} to {_number(slope_high, 2)}",
    ]


def _measures(scores: OrdinalScores) -> tuple[float, ...]:
    return (
        scores.kappa,
        scores.accuracy,
        scores.majority,
        scores.balanced_accuracy,
        scores.mean_error,
    )


def _number(value: float, digits: int) -> str:
    return "n/a" if math.isnan(value) else f"{value:.{digits}f}"


def _plain(numbers: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in numbers.items()}
