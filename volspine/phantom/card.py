"""The card of a cohort: prevalence, correlation, and the best that any reader of it can score.

Labels are the truth seen by a noisy reader, so even a grader that knows the exact severity cannot
always agree with them. With reader noise sigma and cuts c the probability of grade k is

    P(k | z) = Phi((c[k+1] - z) / sigma) - Phi((c[k] - z) / sigma)

and the Bayes ceiling of accuracy is E max_k P, that of the challenge's weighted log loss the
expectation with the report q_k ~ w_k P_k. Both are integrals over z and are computed, not sampled:
z is normal, or in `probe` and `pairs` that of measures spread evenly over three grades. The floors
beside them are what the published prevalence alone scores.

Everything here is about synthetic studies; it says nothing about patients.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from volspine.anatomy import LEVELS, TARGETS, Finding
from volspine.challenge import GRADE_WEIGHTS
from volspine.phantom.prevalence import (
    latent_correlation,
    observed_cutpoints,
    prevalence,
    reader_sigma,
)
from volspine.phantom.spec import Cohort, Noise
from volspine.phantom.targets import measures_within, severity_of
from volspine.types import FloatArray

__all__ = ["Card", "Ceiling", "bayes_ceiling", "card", "reader_posterior"]

_POINTS = 4001
_POINTS_A_GRADE = 700


@dataclass(frozen=True)
class Ceiling:
    """The best that is possible for one finding, and what the prior alone gives.

    Attributes:
        accuracy: Of three grades, mean over targets.
        by_level: Accuracy from L1/L2 to L5/S1.
        loss: Weighted log loss.
        majority: Accuracy of always saying the commonest grade.
        prior_loss: Weighted log loss of the prevalence.
    """

    accuracy: float
    by_level: tuple[float, ...]
    loss: float
    majority: float
    prior_loss: float


@dataclass(frozen=True)
class Card:
    """What a cohort is.

    Attributes:
        cohort: Population.
        noise: Reader noise.
        prevalence: (25, 3) of the labels.
        correlation: (25, 25) of the true latent severities.
        ceilings: One a finding.
    """

    cohort: Cohort
    noise: Noise
    prevalence: FloatArray
    correlation: FloatArray
    ceilings: dict[Finding, Ceiling]


def card(cohort: Cohort, noise: Noise) -> Card:
    """Compute the card of a cohort under a reader-noise preset."""
    severity = _severities(cohort)
    frequency = reader_posterior(severity, noise).mean(axis=0)
    independent = cohort in (Cohort.PROBE, Cohort.PAIRS)
    return Card(
        cohort=cohort,
        noise=noise,
        prevalence=frequency if independent else prevalence(),
        correlation=np.eye(len(TARGETS)) if independent else latent_correlation(),
        ceilings={finding: bayes_ceiling(severity, noise, finding) for finding in Finding},
    )


def _severities(cohort: Cohort) -> FloatArray:
    """Return equally likely severities, shape (points, 25)."""
    if cohort in (Cohort.PROBE, Cohort.PAIRS):
        shares = (np.arange(_POINTS_A_GRADE) + 0.5) / _POINTS_A_GRADE
        all_of = np.ones(len(TARGETS), dtype=np.int64)
        return np.array(
            [severity_of(measures_within(g * all_of, x * all_of)) for g in range(3) for x in shares]
        )
    z = ndtri((np.arange(_POINTS) + 0.5) / _POINTS)
    return np.repeat(z[:, None], len(TARGETS), axis=1)


def reader_posterior(severity: FloatArray, noise: Noise) -> FloatArray:
    """Return the probability of each label given the true severity, shape (points, 25, 3).

    Args:
        severity: Latent severity of the measured geometry, shape (points, 25).
        noise: Reader noise.
    """
    sigma = np.maximum(reader_sigma(noise), 1e-9)[None, :, None]
    below = ndtr((observed_cutpoints(noise)[None] - severity[..., None]) / sigma)
    edges = np.concatenate([np.zeros_like(below[..., :1]), below, np.ones_like(below[..., :1])], -1)
    return np.asarray(np.diff(edges, axis=-1))


def bayes_ceiling(severity: FloatArray, noise: Noise, finding: Finding) -> Ceiling:
    """Return the ceiling of one finding for equally likely severities, shape (points, 25)."""
    chosen = [t.index for t in TARGETS if t.finding is finding]
    p = reader_posterior(severity, noise)[:, chosen]
    prior = p.mean(axis=0)
    accuracy = p.max(axis=-1).mean(axis=0)
    levels = np.array([LEVELS.index(TARGETS[t].level) for t in chosen])
    return Ceiling(
        accuracy=float(accuracy.mean()),
        by_level=tuple(float(accuracy[levels == n].mean()) for n in range(len(LEVELS))),
        loss=_weighted_loss(p, p),
        majority=float(prior.max(axis=-1).mean()),
        prior_loss=_weighted_loss(p, np.broadcast_to(prior, p.shape)),
    )


def _weighted_loss(truth: FloatArray, belief: FloatArray) -> float:
    """Expected weighted log loss when the belief is reported as the weights want it."""
    weights = np.array(GRADE_WEIGHTS)
    report = belief * weights
    report = np.maximum(report / report.sum(axis=-1, keepdims=True), 1e-15)
    mass = truth * weights
    return float((mass * -np.log(report)).sum() / mass.sum())
