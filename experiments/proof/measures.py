"""Measures: from graded phantom studies to scores beside prior and floor, with intervals.

    prior   what one reports who has learned nothing: frequencies, after the decision layer
    floor   what one reports who knows the exact severity: the probability of every label that a
            reader of that severity gives, after the decision layer
    way     (score - floor) / (prior - floor): 0 % nothing left to learn, 100 % nothing learned

The decision layer is that of rows (`volspine.decide`) for the three terms of rows and their mean,
and that of whole studies (`volspine.any_severe`) for "any severe" and the mean of all four.

All three are scored on the same labels and share the draws of the patient bootstrap, so the luck
of a test set cancels. The expected loss of the floor, over all labels that the reader might have
given, stands beside it.

Shapes: N studies; 25 targets; 3 grades; R resamples; C columns of `COLUMNS`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from volspine.anatomy import TARGETS, Finding
from volspine.any_severe import decide_study
from volspine.challenge import GRADE_WEIGHTS
from volspine.decide import decide
from volspine.metrics.bootstrap import resample
from volspine.metrics.intervals import Estimate
from volspine.metrics.ordinal import quadratic_weighted_kappa
from volspine.metrics.rsna import Terms, rsna_terms
from volspine.phantom.card import reader_posterior
from volspine.phantom.spec import Noise

COLUMNS = ("three terms", "canal", "foramen", "recess", "any severe", "four terms")
"""The first is the mean of the next three, the last that of the next four."""

RESAMPLES = 2000
LEVEL = 0.90
FINDINGS = {f.name.lower(): [t.index for t in TARGETS if t.finding is f] for f in Finding}


@dataclass(frozen=True, eq=False)
class Graded:
    """Studies, their truth, and what a grader said of them.

    Attributes:
        labels: (N, 25) as the reader gave them; -1 where missing.
        grades: (N, 25) of the measured geometry.
        severity: (N, 25) true latent severity of that geometry.
        probabilities: (N, 25, 3) calibrated.
        said: (N, 25) severity as the grader puts it, in its own unit.
    """

    labels: np.ndarray
    grades: np.ndarray
    severity: np.ndarray
    probabilities: np.ndarray
    said: np.ndarray


def _quantile(drawn: np.ndarray, share: float) -> list[float]:
    """Return a quantile of each column; NaN, without a warning, of one that is all NaN."""
    known = [column[~np.isnan(column)] for column in drawn.T]
    return [float(np.quantile(one, share)) if len(one) else float("nan") for one in known]


class Reported(NamedTuple):
    """What each study contributes, decided row by row, and as a whole."""

    rows: Terms
    study: Terms


def columns(terms: Reported, *, seed: int = 0, resamples: int = RESAMPLES) -> np.ndarray:
    """Return `COLUMNS` of the studies, then of every resample of them, (1 + R, C)."""
    rows, study = (_drawn(each, resamples, seed) for each in terms)
    three = rows[:, 1:4]
    return np.concatenate(
        [three.mean(axis=1, keepdims=True), three, study[:, 4:], study[:, :1]], axis=1
    )


def _drawn(terms: Terms, resamples: int, seed: int) -> np.ndarray:
    plain = [list(terms.score().to_dict().values())]
    return np.concatenate([plain, resample(terms, resamples=resamples, seed=seed)])


def estimates(drawn: np.ndarray) -> list[Estimate]:
    """Return each column's first row, with the middle of the others as its interval."""
    ends = [_quantile(drawn[1:], share) for share in ((1 - LEVEL) / 2, (1 + LEVEL) / 2)]
    return [Estimate(*map(float, v)) for v in zip(drawn[0], *ends, strict=True)]


def reported(probabilities: np.ndarray, labels: np.ndarray) -> Reported:
    """Return the terms of probabilities, (N, 25, 3) or (25, 3), after the decision layer."""
    rows, study = (
        rsna_terms(labels, np.array(np.broadcast_to(report, (*labels.shape, 3))))
        for report in (decide(probabilities), decide_study(probabilities))
    )
    return Reported(rows, study)


def averaged(parts: Sequence[Reported]) -> Reported:
    """Return several graders of the same studies and labels as one: their losses' means."""
    rows, study = (
        Terms(np.mean([t.numerators for t in terms], axis=0), terms[0].denominators)
        for terms in zip(*parts, strict=True)
    )
    return Reported(rows, study)


@dataclass(frozen=True)
class Way:
    """One column of the scores.

    Attributes:
        name: In `COLUMNS`.
        score: Of the grader.
        floor: On the same labels.
        expected_floor: Over all labels that the reader might have given; NaN of `any severe`.
        priors: On the same labels, by name.
        shares: Where the score lies between floor and each prior, percent.
    """

    name: str
    score: Estimate
    floor: float
    expected_floor: float
    priors: dict[str, float]
    shares: dict[str, Estimate]


def ways(found: Graded, priors: dict[str, np.ndarray], noise: Noise, *, seed: int = 0) -> list[Way]:
    """Return where the score lies between the floor and each of some priors.

    Args:
        found: Studies.
        priors: Frequencies of grades by name, each (25, 3), before the decision layer.
        noise: Of the reader.
        seed: Of the draws.
    """
    truth = reader_posterior(found.severity, noise)
    score, floor = (
        columns(reported(p, found.labels), seed=seed) for p in (found.probabilities, truth)
    )
    nothing = {name: columns(reported(p, found.labels), seed=seed) for name, p in priors.items()}
    shares = {
        name: estimates(100 * (score - floor) / (prior - floor)) for name, prior in nothing.items()
    }
    expected = expected_losses(truth, found.labels)
    return [
        Way(
            name=name,
            score=estimate,
            floor=float(floor[0, n]),
            expected_floor=expected[n],
            priors={key: float(prior[0, n]) for key, prior in nothing.items()},
            shares={key: share[n] for key, share in shares.items()},
        )
        for n, (name, estimate) in enumerate(zip(COLUMNS, estimates(score), strict=True))
    ]


def expected_losses(truth: np.ndarray, labels: np.ndarray) -> list[float]:
    """Return the loss of the best report of known probabilities, over all labels, by column.

    Args:
        truth: (N, 25, 3) probability of each label.
        labels: (N, 25); a row that is missing, -1, does not count.
    """
    mass = truth * np.array(GRADE_WEIGHTS) * (labels >= 0)[..., None]
    loss = mass * -np.log(np.maximum(decide(truth), np.finfo(float).eps))
    terms = [float(loss[:, t].sum() / mass[:, t].sum()) for t in FINDINGS.values()]
    return [float(np.mean(terms)), *terms, float("nan"), float("nan")]


def agreement(grades: np.ndarray, given: np.ndarray, *, seed: int = 0) -> dict[str, list[Estimate]]:
    """Return quadratic kappa and accuracy (percent) of all targets and of each finding.

    Args:
        grades: (N, 25) of the measured geometry.
        given: (N, 25).
        seed: Of the draws, of studies.
    """
    n = len(grades)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    weights = np.concatenate([np.ones((1, n), dtype=draws.dtype), draws])
    groups = {"all": list(range(len(TARGETS))), **FINDINGS}
    return {name: _agreement(grades[:, t], given[:, t], weights) for name, t in groups.items()}


def _agreement(grades: np.ndarray, given: np.ndarray, weights: np.ndarray) -> list[Estimate]:
    cells = np.eye(9, dtype=np.int64)[3 * grades + given].sum(axis=1)  # (N, 9), of each study
    counts = (weights @ cells).reshape(-1, 3, 3)
    kappa = [quadratic_weighted_kappa(one) for one in counts]
    right = 100 * np.trace(counts, axis1=1, axis2=2) / counts.sum(axis=(1, 2))
    return estimates(np.stack([np.array(kappa), right], axis=1))


@dataclass(frozen=True)
class PairScores:
    """How well a grader tells what differs between two studies that differ in one grade.

    Attributes:
        largest: Percent of pairs in which the changed target's severity moved most of the 25.
        right: In which it moved in the right direction.
        rank: Median rank of its move among the 25; 1 is most.
        pairs: How many there are.
    """

    largest: Estimate
    right: Estimate
    rank: float
    pairs: int


def pair_scores(found: Graded, *, seed: int = 0) -> PairScores:
    """Return what becomes of pairs: studies 0 and 1, 2 and 3 and so on.

    Raises:
        ValueError: If two neighbours do not differ in one grade.
    """
    steps = found.grades[1::2] - found.grades[::2]
    if len(found.grades) % 2 or not np.all((steps != 0).sum(axis=1) == 1):
        raise ValueError("neighbours must differ in one grade")
    changed = np.argmax(steps != 0, axis=1)
    rows = np.arange(len(changed))
    moved = found.said[1::2] - found.said[::2]
    rank = (np.abs(moved) > np.abs(moved[rows, changed])[:, None]).sum(axis=1) + 1
    right = np.sign(moved[rows, changed]) == np.sign(steps[rows, changed])
    hits = 100.0 * np.stack([rank == 1, right], axis=1)
    draws = np.random.default_rng(seed).integers(0, len(rows), (RESAMPLES, len(rows)))
    drawn = np.concatenate([hits.mean(axis=0)[None], hits[draws].mean(axis=1)])
    return PairScores(*estimates(drawn), rank=float(np.median(rank)), pairs=len(rows))


def paired(first: Reported, second: Reported, *, seed: int = 0) -> list[Estimate]:
    """Return (first - second) in each column; above 0 the second is better."""
    return estimates(columns(first, seed=seed) - columns(second, seed=seed))
