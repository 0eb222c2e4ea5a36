"""Published prevalence of the 25 grades, the latent cut points that give it, and their correlation.

Counts are aggregates of the public label table of the RSNA 2024 lumbar challenge (1,975 studies):
normal or mild, moderate and severe per condition and level. A latent severity z is standard normal
and the grade is the number of cut points below it, so the cuts are normal quantiles of the counts.

`data/latent_correlation.csv` holds the correlation of the *true* severities. It was computed from
polychoric correlations of the labels as read, solved for readers whose errors within one study
correlate by one half, and repaired to be positive definite. Left and right are symmetrised.

Reader noise y = z + sigma e is set per finding so that two readers agree as published, in
linear-weighted kappa: .73 (canal), .58 (foramen), .49 (subarticular; Lurie 2008). A consensus of
three divides the sigma by the root of three.
"""

import csv
from functools import cache
from importlib.resources import files
from statistics import NormalDist

import numpy as np

from volspine.anatomy import LEVELS, TARGETS, Condition, Finding
from volspine.phantom.spec import Noise
from volspine.types import FloatArray

__all__ = [
    "COUNTS",
    "READER_CORRELATION",
    "READER_SIGMA",
    "cutpoints",
    "latent_correlation",
    "observed_cutpoints",
    "prevalence",
    "reader_sigma",
]

COUNTS: dict[Condition, tuple[tuple[int, int, int], ...]] = {
    Condition.SPINAL_CANAL_STENOSIS: (
        (1886, 67, 21), (1770, 151, 53), (1622, 230, 122), (1482, 237, 255), (1904, 51, 19),
    ),
    Condition.LEFT_NEURAL_FORAMINAL_NARROWING: (
        (1908, 63, 2), (1791, 171, 11), (1522, 411, 40), (1204, 629, 140), (1247, 520, 206),
    ),
    Condition.RIGHT_NEURAL_FORAMINAL_NARROWING: (
        (1891, 63, 13), (1793, 168, 6), (1512, 414, 41), (1208, 629, 130), (1281, 496, 190),
    ),
    Condition.LEFT_SUBARTICULAR_STENOSIS: (
        (1690, 93, 28), (1555, 255, 83), (1324, 454, 194), (887, 624, 461), (1408, 409, 147),
    ),
    Condition.RIGHT_SUBARTICULAR_STENOSIS: (
        (1680, 110, 24), (1577, 243, 73), (1322, 454, 197), (891, 622, 460), (1399, 396, 173),
    ),
}  # fmt: skip
"""Normal or mild, moderate, severe: studies per condition, L1/L2 to L5/S1."""

READER_SIGMA = {Finding.CANAL: 0.28, Finding.FORAMEN: 0.52, Finding.RECESS: 0.71}
"""Standard deviation of one reader's error, in units of the latent severity."""

READER_CORRELATION = 0.5
"""Correlation of one reader's errors within a study."""


def prevalence() -> FloatArray:
    """Return the published frequency of each grade, shape (25, 3), canonical order."""
    counts = [COUNTS[t.condition][LEVELS.index(t.level)] for t in TARGETS]
    table = np.array(counts, dtype=np.float64)
    return np.asarray(table / table.sum(axis=1, keepdims=True))


@cache
def cutpoints() -> FloatArray:
    """Return the two cut points of each target's latent severity, shape (25, 2)."""
    below = np.cumsum(prevalence(), axis=1)[:, :2]
    quantiles = [NormalDist().inv_cdf(share) for share in below.ravel()]
    return np.array(quantiles).reshape(below.shape)


def reader_sigma(noise: Noise) -> FloatArray:
    """Return the standard deviation of the reader's error for each target, shape (25,)."""
    scale = {Noise.NONE: 0.0, Noise.CONSENSUS: 3.0**-0.5, Noise.SINGLE_READER: 1.0}[noise]
    return np.array([READER_SIGMA[t.finding] * scale for t in TARGETS], dtype=np.float64)


def observed_cutpoints(noise: Noise) -> FloatArray:
    """Return the cuts a noisy reader uses, so that the prevalence stays; shape (25, 2)."""
    return np.asarray(cutpoints() * np.sqrt(1 + reader_sigma(noise)[:, None] ** 2))


@cache
def latent_correlation() -> FloatArray:
    """Return the correlation of the 25 true latent severities, shape (25, 25), canonical order."""
    source = files("volspine.phantom") / "data" / "latent_correlation.csv"
    rows = list(csv.reader(source.read_text(encoding="utf-8").splitlines()))
    return np.array(rows[1:], dtype=np.float64)
