"""From latent severity to the measure that a level should have, and back.

A monotone broken line per target puts the two published cut points exactly at the two thresholds of
the measure, so one rule in millimetres holds at every level and the published prevalence holds at
each. The thresholds are this model's own: ratios and distances near those in print (Schönström
1985; Ciric 1980; Lee 2010), not the challenge's, whose annotators followed no published number.
"""

from collections.abc import Mapping

import numpy as np

from volspine.anatomy import LEVELS, TARGETS, Finding, Side
from volspine.phantom.narrowing import RAYS, Wanted
from volspine.phantom.prevalence import cutpoints
from volspine.types import FloatArray, IntArray

__all__ = [
    "THRESHOLDS",
    "draw_measures",
    "grade_measures",
    "measure_of",
    "measures_within",
    "severity_of",
    "wanted",
]

THRESHOLDS: Mapping[Finding, tuple[float, float]] = {
    Finding.CANAL: (0.62, 0.45),
    Finding.FORAMEN: (14.5 / RAYS, 3.5 / RAYS),
    Finding.RECESS: (4.0, 2.5),
}
"""Least measure of a normal or mild, and of a moderate level: ratio, share of directions, mm."""

_ENDS: Mapping[Finding, tuple[float, float]] = {
    Finding.CANAL: (1.0, 0.18),
    Finding.FORAMEN: (1.0, 0.0),
    Finding.RECESS: (8.0, 0.8),
}
"""Largest and smallest measure that is drawn."""


def _knots(index: int) -> tuple[FloatArray, FloatArray]:
    finding = TARGETS[index].finding
    low, high = cutpoints()[index]
    most, least = _ENDS[finding]
    normal, moderate = THRESHOLDS[finding]
    return np.array([low - 3.2, low, high, high + 1.6]), np.array([most, normal, moderate, least])


def measure_of(severity: FloatArray) -> FloatArray:
    """Return the measure that each of 25 severities stands for, shape (25,)."""
    return np.array([np.interp(z, *_knots(n)) for n, z in enumerate(severity)])


def severity_of(measures: FloatArray) -> FloatArray:
    """Return the severity that each of 25 measures stands for, shape (25,)."""
    result = []
    for n, m in enumerate(measures):
        z, knots = _knots(n)
        result.append(np.interp(-m, -knots, z))
    return np.array(result)


def grade_measures(measures: FloatArray) -> IntArray:
    """Return the grade of each of 25 measures: how many thresholds it lies below, shape (25,)."""
    limits = np.array([THRESHOLDS[t.finding] for t in TARGETS])
    return np.asarray((np.asarray(measures)[:, None] < limits).sum(axis=1), dtype=np.int64)


def draw_measures(grades: IntArray, rng: np.random.Generator) -> FloatArray:
    """Draw a measure evenly within each of 25 grades, shape (25,)."""
    return measures_within(grades, rng.random(len(TARGETS)))


def measures_within(grades: IntArray, shares: FloatArray) -> FloatArray:
    """Return the measure at a share of the way up through each of 25 grades, shape (25,).

    A margin of 3 % at both ends keeps clear of the thresholds.
    """
    edges = np.array(
        [(_ENDS[t.finding][0], *THRESHOLDS[t.finding], _ENDS[t.finding][1]) for t in TARGETS]
    )
    rows = np.arange(len(TARGETS))
    upper, lower = edges[rows, grades], edges[rows, grades + 1]
    return np.asarray(lower + (upper - lower) * (0.03 + 0.94 * shares))


def wanted(measures: FloatArray) -> Wanted:
    """Sort 25 measures by structure."""
    result = Wanted(np.zeros(5), np.zeros((5, 2)), np.zeros((5, 2)))
    for target, measure in zip(TARGETS, measures, strict=True):
        level = LEVELS.index(target.level)
        if target.finding is Finding.CANAL:
            result.canal[level] = measure
            continue
        table = result.recess if target.finding is Finding.RECESS else result.foramen
        table[level, 0 if target.side is Side.LEFT else 1] = measure
    return result
