"""Truth: what is known of a synthetic study before any image is made.

Spec -> severity -> wanted measures -> anatomy -> measured grades and landmarks. The grades are those
of the measured geometry, never of the parameters that made it.
"""

from dataclasses import dataclass

import numpy as np

from volspine.anatomy import LEVELS, TARGETS, Finding, Side, Target
from volspine.phantom.anatomy import ROOT_PLANE_MM, Anatomy, assemble, sideways
from volspine.phantom.canal import roof, sac_centre, wall
from volspine.phantom.frame import FIRST_SEGMENT
from volspine.phantom.labels import draw_severity
from volspine.phantom.measure import measure
from volspine.phantom.narrowing import disc_section, narrow
from volspine.phantom.section import build_section
from volspine.phantom.spec import Cohort, Pair, Spec, Stage
from volspine.phantom.subject import draw_subject
from volspine.phantom.targets import (
    draw_measures,
    grade_measures,
    measure_of,
    severity_of,
    wanted,
)
from volspine.types import FloatArray, IntArray

__all__ = ["Truth", "build_truth", "landmarks"]


@dataclass(frozen=True)
class Truth:
    """What is known of one study.

    Attributes:
        spec: What was asked for.
        anatomy: The model.
        measures: (25,) ratio, share of directions or millimetres, canonical order.
        grades: (25,) of the measures.
        severity: (25,) latent severity that belongs to the measures.
        landmarks_mm: (25, 3), body frame.
        pair: How it differs from its neighbour, in the `pairs` cohort.
    """

    spec: Spec
    anatomy: Anatomy
    measures: FloatArray
    grades: IntArray
    severity: FloatArray
    landmarks_mm: FloatArray
    pair: Pair | None = None


def build_truth(spec: Spec) -> Truth:
    """Build the anatomy of a study, measure it, and grade what was measured."""
    target, pair = _wanted_measures(spec)
    load = float(severity_of(target).clip(-3, 3).mean()) if spec.cohort is not Cohort.PAIRS else 0.5
    rng = spec.stream(Stage.SUBJECT)
    subject = draw_subject(rng, min(load, 1.5))
    anatomy = assemble(subject, narrow(subject, wanted(target), rng))
    measured = measure(anatomy)
    grades = grade_measures(measured)
    return Truth(
        spec, anatomy, measured, grades, severity_of(measured), landmarks(anatomy),
        _checked(pair, spec, grades),
    )  # fmt: skip


def _wanted_measures(spec: Spec) -> tuple[FloatArray, Pair | None]:
    rng = spec.stream(Stage.SEVERITY)
    if spec.cohort is Cohort.PROBE:
        return draw_measures(rng.integers(0, 3, len(TARGETS)), rng), None
    if spec.cohort is Cohort.PAIRS:
        return _pair_measures(spec, rng)
    return measure_of(draw_severity(rng, 1)[0]), None


def _pair_measures(spec: Spec, rng: np.random.Generator) -> tuple[FloatArray, Pair]:
    """Draw measures that two studies share but for one target."""
    grades = rng.integers(0, 3, len(TARGETS))
    measures = draw_measures(grades, rng)
    changed = int(rng.integers(0, len(TARGETS)))
    other = grades.copy()
    other[changed] = (grades[changed] + rng.integers(1, 3)) % 3
    measures[changed] = draw_measures(grades, rng)[changed]
    changed_to = draw_measures(other, rng)[changed]
    here, there = int(grades[changed]), int(other[changed])
    if spec.index % 2:
        measures[changed] = changed_to
        here, there = there, here
    partner = Spec(seed=spec.seed, index=spec.index ^ 1, cohort=spec.cohort).study_id
    return measures, Pair(partner, TARGETS[changed], (here, there))


def _checked(pair: Pair | None, spec: Spec, grades: IntArray) -> Pair | None:
    del spec, grades
    return pair


def landmarks(anatomy: Anatomy) -> FloatArray:
    """Return the place of each of the 25 targets, body frame, shape (25, 3), mm.

    The canal's is the middle of the sac at the disc; a recess's is halfway between disc and facet;
    a foramen's is the middle of the exiting root, 17 mm from the midline.
    """
    return np.array([_landmark(anatomy, target) for target in TARGETS])


def _landmark(anatomy: Anatomy, target: Target) -> FloatArray:
    segment = FIRST_SEGMENT + LEVELS.index(target.level)
    section = disc_section(anatomy.subject, anatomy.narrowing, segment)
    sign = 1.0 if target.side is Side.LEFT else -1.0
    if target.finding is Finding.CANAL:
        return _at_disc(anatomy, segment, 0.0, float(sac_centre(section)))
    if target.finding is Finding.RECESS:
        u = sign * section.recess_place
        return _at_disc(anatomy, segment, float(u), float(wall(section, u) + roof(section, u)) / 2)
    return _root_centre(anatomy, segment, sign * ROOT_PLANE_MM)


def _at_disc(anatomy: Anatomy, segment: int, u: float, depth: float) -> FloatArray:
    """Return the point of the disc's middle plane (as far as 0 under, 0 over agree) at u, depth."""
    return _solve(anatomy, segment, (u, depth), lambda c: float(c.w))


def _root_centre(anatomy: Anatomy, segment: int, u: float) -> FloatArray:
    point = anatomy.frame.locate(segment, 0.2, 0.0)
    section = build_section(anatomy, anatomy.frame.place(point[:1], point[1:]))
    below, depth = float(section.root_below[0]), float(section.root_v[0])
    for _ in range(3):  # the root's depth depends a little on where along the segment it lies
        place = _solve(anatomy, segment, (u, depth), lambda c: float(c.below) - below)
        section = build_section(anatomy, anatomy.frame.place(place[1:2], place[2:]))
        depth = float(section.root_v[0])
    return place


def _solve(anatomy, segment, across, residual):
    """Find the fraction of a segment where a residual, growing caudally, is zero."""
    u, depth = across
    low, high = 0.0, 1.0
    for _ in range(30):
        t = (low + high) / 2
        point = anatomy.frame.locate(segment, t, depth)
        section = build_section(anatomy, anatomy.frame.place(point[:1], point[1:])).take(0)
        low, high = (low, t) if residual(section) > 0 else (t, high)
    x = u + float(sideways(anatomy.subject, np.asarray(section.arc), np.asarray(section.v)))
    return np.array([x, *point])
