"""From latent severities to true grades and to the labels that a reader writes down.

`draw_severity` is correlated as in patients; the geometry that follows from it is measured, and
the measured grade is the truth. `read_labels` adds the reader and the labels that are missing.
"""

import numpy as np

from volspine.anatomy import LEVELS, TARGETS, Condition, Finding
from volspine.challenge import MISSING
from volspine.phantom.prevalence import (
    READER_CORRELATION,
    latent_correlation,
    observed_cutpoints,
    reader_sigma,
)
from volspine.phantom.spec import Noise
from volspine.types import FloatArray, IntArray

__all__ = ["MISSING_RATE", "draw_severity", "drop_labels", "grades_of", "read_labels"]

MISSING_RATE = {
    Condition.SPINAL_CANAL_STENOSIS: 0.0005,
    Condition.LEFT_NEURAL_FORAMINAL_NARROWING: 0.001,
    Condition.RIGHT_NEURAL_FORAMINAL_NARROWING: 0.004,
    Condition.LEFT_SUBARTICULAR_STENOSIS: 0.002,
    Condition.RIGHT_SUBARTICULAR_STENOSIS: 0.002,
}
"""Share of labels left empty for no visible reason; levels no axial slice covers come on top."""


def draw_severity(rng: np.random.Generator, studies: int) -> FloatArray:
    """Draw correlated latent severities, shape (studies, 25); each is standard normal."""
    root = np.linalg.cholesky(latent_correlation())
    return np.asarray(rng.standard_normal((studies, len(TARGETS))) @ root.T)


def grades_of(severity: FloatArray, cuts: FloatArray) -> IntArray:
    """Return the grade of each severity: how many of its target's cut points lie below it.

    Args:
        severity: Shape (..., 25).
        cuts: Shape (25, 2).
    """
    return np.asarray((severity[..., None] > cuts).sum(axis=-1), dtype=np.int64)


def read_labels(
    severity: FloatArray, grades: IntArray, noise: Noise, rng: np.random.Generator
) -> IntArray:
    """Return the labels that a reader gives, shape (25,).

    Args:
        severity: Latent severities that belong to the measured geometry, shape (25,).
        grades: Measured grades, shape (25,); the labels where there is no reader noise.
        noise: Preset.
        rng: Stream; as many numbers are drawn whatever the preset.
    """
    shared, own = rng.standard_normal(), rng.standard_normal(len(TARGETS))
    if noise is Noise.NONE:
        return grades.copy()
    error = np.sqrt(READER_CORRELATION) * shared + np.sqrt(1 - READER_CORRELATION) * own
    return grades_of(severity + reader_sigma(noise) * error, observed_cutpoints(noise))


def drop_labels(labels: IntArray, covered: tuple[bool, ...], rng: np.random.Generator) -> IntArray:
    """Return the labels with some of them missing.

    Args:
        labels: Shape (25,).
        covered: For each level, whether an axial slice passes through its disc.
        rng: Stream for labels left empty for no visible reason.
    """
    rates = np.array([MISSING_RATE[t.condition] for t in TARGETS])
    unseen = np.array(
        [t.finding is Finding.RECESS and not covered[LEVELS.index(t.level)] for t in TARGETS]
    )
    return np.where(unseen | (rng.random(len(TARGETS)) < rates), MISSING, labels)
