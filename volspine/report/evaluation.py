"""The evaluation of predictions: scores, intervals and agreement, as data.

`volspine score` judges a submission, `volspine test` the predictions of a run, both by `judge`. The
metric scores what is submitted; agreement, discrimination and calibration are of the probabilities
that the model would report (`report.scored`). `evaluation_text` and `evaluation_page` tell it.

Shapes:
    N  studies    T  targets, 25    K  grades, 3    M  terms, 4
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from volspine.decide import prior
from volspine.errors import ConfigurationError
from volspine.grades import RESEARCH_USE
from volspine.metrics.bootstrap import Interval, bootstrap_difference, bootstrap_scores
from volspine.metrics.cells import Cell, cells, confusions
from volspine.metrics.headline import Columns, headline_columns, headline_of
from volspine.metrics.intervals import GROUPS, Estimate
from volspine.metrics.ordinal import OrdinalScores, confusion, ordinal_scores_by_finding
from volspine.metrics.reliability import Reliability, reliability
from volspine.metrics.rsna import RsnaScore, rsna_terms
from volspine.metrics.tables import Frame
from volspine.report.plain import plain
from volspine.report.scored import Scored, is_phantom_solution, read_scored
from volspine.report.worst import WorstStudy, worst_studies

__all__ = [
    "CAUTION",
    "PHANTOMS",
    "Comparison",
    "Evaluation",
    "Facts",
    "evaluate",
    "facts_of",
    "judge",
]

CAUTION = (
    "These numbers hold for the studies that were scored. Numbers of synthetic studies (phantoms) "
    "prove the pipeline and say nothing about patients."
)

PHANTOMS = (
    "These studies are synthetic (phantoms). Their numbers prove the pipeline and say nothing "
    "about patients."
)


class Facts(NamedTuple):
    """What is known besides predictions and labels.

    Attributes:
        subject: What is evaluated, in words.
        are_phantoms: Whether the studies are synthetic.
        prior: The score of a report that has learned nothing; None where it was not asked for.
        prior_name: What that report is, in words.
        places: By finding, how far off targets were looked for, in mm and shares.
    """

    subject: str = "Evaluation of a submission"
    are_phantoms: bool = False
    prior: RsnaScore | None = None
    prior_name: str = ""
    places: Mapping[str, Mapping[str, float | None]] = {}


_NO_FACTS = Facts()


@dataclass(frozen=True)
class Comparison:
    """Another set of predictions of the same studies.

    Attributes:
        name: As shown.
        score: Its challenge score.
        headline: Its measures.
        score_difference: For each of the five numbers, the evaluated one less this one, with 95 %
            intervals from shared draws; below zero the evaluated one is better.
        headline_difference: The same of each measure, by group and name.
    """

    name: str
    score: RsnaScore
    headline: Mapping[str, Mapping[str, Estimate]]
    score_difference: Mapping[str, Estimate]
    headline_difference: Mapping[str, Mapping[str, Estimate]]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "name": self.name,
            "score": plain(self.score.to_dict()),
            "score_difference": _estimates(self.score_difference),
            "headline": {name: _estimates(each) for name, each in self.headline.items()},
            "headline_difference": {
                name: _estimates(each) for name, each in self.headline_difference.items()
            },
            "sign": "evaluated less other; of the score, below zero is better",
        }


@dataclass(frozen=True)
class Evaluation:
    """What is known about predictions.

    Attributes:
        score: The challenge's score and its terms; lower is better.
        intervals: For each of its five numbers, one bootstrap interval a level; may be empty.
        agreement: Agreement of the likeliest grade, over all rows and by finding.
        confusion: Rows by true and given grade.
        num_studies: Studies that were scored.
        num_rows: Graded rows that were scored.
        resamples: Bootstrap samples behind the intervals.
        calibration: Whether what was said came true that often, by finding and event.
        headline: Each measure with its 95 % interval, by group and name.
        cells: The 25 targets.
        confusions: Rows by true and given grade of each group.
        worst: The studies that cost most.
        against: What they are compared with.
        facts: What else is known.
    """

    score: RsnaScore
    intervals: Mapping[str, tuple[Interval, ...]]
    agreement: Mapping[str, OrdinalScores]
    confusion: tuple[tuple[int, ...], ...]
    num_studies: int
    num_rows: int
    resamples: int
    calibration: Mapping[str, Mapping[str, Reliability]] = field(default_factory=dict)
    headline: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)
    cells: tuple[Cell, ...] = ()
    confusions: Mapping[str, tuple[tuple[int, ...], ...]] = field(default_factory=dict)
    worst: tuple[WorstStudy, ...] = ()
    against: Comparison | None = None
    facts: Facts = _NO_FACTS

    @property
    def notices(self) -> tuple[str, str]:
        """What every output says."""
        return RESEARCH_USE, PHANTOMS if self.facts.are_phantoms else CAUTION

    def judged(self) -> dict[str, Any]:
        """Return the measures and the cells as plain data; what is not defined is None."""
        return {
            "headline": {name: _estimates(each) for name, each in self.headline.items()},
            "cells": [cell.to_dict() for cell in self.cells],
            "confusions": {name: [list(row) for row in c] for name, c in self.confusions.items()},
        }

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; what is not defined is None."""
        prior_score = self.facts.prior
        return {
            "score": plain(self.score.to_dict()),
            "intervals": {
                name: [plain(interval._asdict()) for interval in given]
                for name, given in self.intervals.items()
            },
            "prior": None if prior_score is None else plain(prior_score.to_dict()),
            "agreement": {name: plain(s.to_dict()) for name, s in self.agreement.items()},
            "confusion": [list(row) for row in self.confusion],
            **self.judged(),
            "calibration": {
                finding: {event: plain(judged.to_dict()) for event, judged in events.items()}
                for finding, events in self.calibration.items()
            },
            "localization": {name: dict(each) for name, each in self.facts.places.items()} or None,
            "against": None if self.against is None else self.against.to_dict(),
            "num_studies": self.num_studies,
            "num_rows": self.num_rows,
            "resamples": self.resamples,
            "phantoms": self.facts.are_phantoms,
            "notice": " ".join(self.notices),
        }


def evaluate(
    solution: str | Path | Frame,
    submission: str | Path | Frame,
    *,
    studies: set[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    against: str | Path | Frame | None = None,
) -> Evaluation:
    """Return all that is known about a submission.

    Args:
        solution: A wide `train.csv` or the long form with `sample_weight`.
        submission: `row_id` and three probabilities.
        studies: Score these studies only; all of the solution's if omitted.
        resamples: Bootstrap samples for the intervals; 0 for none.
        seed: Of the bootstrap.
        against: Another submission to compare with.

    Raises:
        TableError: If a table does not parse, the two do not fit, or a term has no graded row.
    """
    tables = [submission] if against is None else [submission, against]
    scored = read_scored(solution, *tables, studies=studies)
    return judge(
        scored[0],
        against=None if against is None else scored[1],
        facts=facts_of(solution, scored[0]),
        resamples=resamples,
        seed=seed,
    )


def facts_of(solution: str | Path | Frame, scored: Scored) -> Facts:
    """Return what a solution tells besides its labels: whether they are of phantoms, their prior.

    Args:
        solution: As it was given.
        scored: What was read of it.
    """
    constant = np.broadcast_to(prior(scored.grades), scored.submitted.shape)
    return Facts(
        f"Evaluation of {scored.name}",
        is_phantom_solution(solution),
        rsna_terms(scored.grades, constant, weights=scored.weights).score(),
        "one report for all studies, from the frequencies of these very labels",
    )


def judge(
    scored: Scored,
    *,
    against: Scored | None = None,
    facts: Facts = _NO_FACTS,
    resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Return all that is known about predictions beside labels.

    Args:
        scored: The predictions.
        against: Others of the same studies and labels.
        facts: What else is known.
        resamples: Bootstrap samples for the intervals; 0 for none, as for a single study.
        seed: Of the bootstrap; both predictions share the draws.

    Raises:
        ConfigurationError: If there are no resamples, or is no second study, to compare by.
    """
    terms, p, labels = scored.terms, scored.calibrated, scored.grades
    if len(labels) == 1:
        resamples = 0  # One study drawn again and again says nothing of others.
    counted = confusions(p, labels, GROUPS)
    given = p.argmax(axis=-1)
    columns = headline_columns(p, labels, resamples=resamples, seed=seed)
    return Evaluation(
        score=terms.score(),
        intervals=bootstrap_scores(terms, resamples=resamples, seed=seed) if resamples else {},
        agreement=ordinal_scores_by_finding(labels, given),
        confusion=tuple(map(tuple, confusion(labels, given).tolist())),
        num_studies=len(scored.studies),
        num_rows=scored.num_rows,
        resamples=resamples,
        calibration=reliability(p, labels, resamples=resamples, seed=seed),
        headline=headline_of(columns),
        cells=cells(p, labels, scored.submitted, weights=scored.weights),
        confusions={name: tuple(map(tuple, c.tolist())) for name, c in counted.items()},
        worst=worst_studies(scored, terms),
        against=None if against is None else _compared(scored, against, columns, seed),
        facts=facts,
    )


def _compared(scored: Scored, other: Scored, mine: Columns, seed: int) -> Comparison:
    resamples = len(mine["all"]["kappa"]) - 1
    if not resamples:
        raise ConfigurationError(
            "predictions are compared by a bootstrap of studies, and there is nothing to draw",
            remedy="score two studies or more, and leave out --bootstrap 0",
            code="VS-CFG-129",
        )
    theirs = headline_columns(other.calibrated, other.grades, resamples=resamples, seed=seed)
    ends = bootstrap_difference(
        scored.terms, other.terms, resamples=resamples, levels=(0.95,), seed=seed
    )
    score, own = other.terms.score(), scored.terms.score().to_dict()
    return Comparison(
        other.name,
        score,
        headline_of(theirs),
        {
            name: Estimate(own[name] - value, ends[name][0].low, ends[name][0].high)
            for name, value in score.to_dict().items()
        },
        headline_of({
            group: {name: column - theirs[group][name] for name, column in of_group.items()}
            for group, of_group in mine.items()
        }),
    )  # fmt: skip


def _estimates(found: Mapping[str, Estimate]) -> dict[str, dict[str, float | None]]:
    return {name: plain(estimate._asdict()) for name, estimate in found.items()}
