"""Truth: what is known of a synthetic study before any image is made.

Spec -> severity -> wanted measures -> anatomy -> measured grades and landmarks. The grades are
those of the measured geometry, never of the parameters that made it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from volspine.anatomy import LEVELS, TARGETS, Finding, Side, Target
from volspine.errors import ConfigurationError
from volspine.phantom.anatomy import ROOT_PLANE_MM, Anatomy, assemble, sideways
from volspine.phantom.canal import roof, sac_centre, wall
from volspine.phantom.distractors import distract
from volspine.phantom.frame import FIRST_SEGMENT
from volspine.phantom.labels import draw_severity
from volspine.phantom.lesions import draw_lesions
from volspine.phantom.measure import measure, sac_areas
from volspine.phantom.narrowing import disc_section, narrow
from volspine.phantom.section import Section, build_section
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

__all__ = ["Truth", "build_truth", "canal_points", "landmarks"]


SHIFT_SPREAD = 1.6
"""How much more people of the `shift` cohort differ from one another."""


@dataclass(frozen=True)
class Truth:
    """What is known of one study.

    Attributes:
        spec: What was asked for.
        anatomy: The model.
        measures: (25,) ratio, share of directions or millimetres, canonical order.
        sac_areas_mm2: (5,) least area of the sac at each level.
        grades: (25,) of the measures.
        severity: (25,) latent severity that belongs to the measures.
        landmarks_mm: (25, 3), body frame.
        pair: How it differs from its neighbour, in the `pairs` cohort.
    """

    spec: Spec
    anatomy: Anatomy
    measures: FloatArray
    sac_areas_mm2: FloatArray
    grades: IntArray
    severity: FloatArray
    landmarks_mm: FloatArray
    pair: Pair | None = None


def build_truth(spec: Spec) -> Truth:
    """Build the anatomy of a study, measure it, and grade what was measured."""
    if spec.cohort is Cohort.PAIRS:
        return _paired(spec)
    rng = spec.stream(Stage.SEVERITY)
    if spec.cohort is Cohort.PROBE:
        return _build(spec, draw_measures(rng.integers(0, 3, len(TARGETS)), rng))
    return _build(spec, measure_of(draw_severity(rng, 1)[0]))


def _build(spec: Spec, measures: FloatArray) -> Truth:
    """Build the anatomy that should have the given measures."""
    load = float(severity_of(measures).clip(-3, 3).mean())
    worn = 0.5 if spec.cohort is Cohort.PAIRS else min(load, 1.5)
    rng = spec.stream(Stage.SUBJECT)
    shift = spec.cohort is Cohort.SHIFT
    subject = draw_subject(rng, worn, 4.0 if shift else 1.0, spread=SHIFT_SPREAD if shift else 1.0)
    extras = spec.stream(Stage.LESIONS)
    lesions = None
    if spec.distractors:
        subject = distract(subject, extras, transitional=spec.transitional)
        lesions = draw_lesions(subject, extras)
    anatomy = assemble(subject, narrow(subject, wanted(measures), rng), lesions)
    areas = sac_areas(anatomy)
    measured = measure(anatomy, areas)
    grades = grade_measures(measured)
    severity = severity_of(measured)
    return Truth(spec, anatomy, measured, areas, grades, severity, landmarks(anatomy))


_PAIR_DRAWS = 100


def _paired(spec: Spec) -> Truth:
    """Build one of two studies that differ in one grade; draw again until that is all.

    Raises:
        ConfigurationError: If no draw of many does so; mostly the first one does.
    """
    rng = spec.stream(Stage.SEVERITY)
    partner = replace(spec, index=spec.index ^ 1).study_id
    for _ in range(_PAIR_DRAWS):
        grades = rng.integers(0, 3, len(TARGETS))
        changed = int(rng.integers(0, len(TARGETS)))
        other = grades.copy()
        other[changed] = (grades[changed] + rng.integers(1, 3)) % 3
        first, second = draw_measures(grades, rng), draw_measures(other, rng)
        second = np.where(np.arange(len(TARGETS)) == changed, second, first)
        truths = [_build(spec, measures) for measures in (first, second)]
        differs = np.flatnonzero(truths[0].grades != truths[1].grades)
        if list(differs) == [changed]:
            here, there = truths if spec.index % 2 == 0 else truths[::-1]
            steps = (int(here.grades[changed]), int(there.grades[changed]))
            return replace(here, pair=Pair(partner, TARGETS[changed], steps))
    raise ConfigurationError(
        f"no pair of studies that differ in one grade in {_PAIR_DRAWS} draws",
        remedy="choose another seed or index",
        code="VS-CFG-109",
    )


def landmarks(anatomy: Anatomy) -> FloatArray:
    """Return the place of each of the 25 targets, body frame, shape (25, 3), mm.

    The canal's is the middle of the sac at the disc; a recess's is halfway between disc and facet;
    a foramen's is the middle of the exiting root, 17 mm from the midline.
    """
    segments = np.array([FIRST_SEGMENT + LEVELS.index(t.level) for t in TARGETS])
    sides = np.array([0.0 if t.side is None else _SIGN[t.side] for t in TARGETS])
    foramen = np.array([t.finding is Finding.FORAMEN for t in TARGETS])
    depths = np.array(
        [
            0.0 if t.finding is Finding.FORAMEN else _depth(anatomy, t, int(s))
            for t, s in zip(TARGETS, segments, strict=True)
        ]
    )
    away = np.where(foramen, ROOT_PLANE_MM, anatomy.recess_place()[segments])
    starts = [anatomy.frame.locate(FIRST_SEGMENT + n, 0.5, 18.0) for n in range(len(LEVELS))]
    points = np.array(starts)[segments - FIRST_SEGMENT]
    section, points = _settle(anatomy, points, depths, foramen)
    midline = sideways(anatomy.subject, section.arc, section.v)
    return np.concatenate([(midline + sides * away)[:, None], points], axis=1)


def canal_points(anatomy: Anatomy, segments: Sequence[int]) -> FloatArray:
    """Return the middle of the sac at the disc of any segments, body frame, shape (n, 3), mm.

    At the graded levels these are the canal's `landmarks`.
    """
    sections = [disc_section(anatomy.subject, anatomy.narrowing, s) for s in segments]
    depths = np.array([float(sac_centre(section)[0]) for section in sections])
    starts = np.array([anatomy.frame.locate(s, 0.5, 18.0) for s in segments])
    section, points = _settle(anatomy, starts, depths, np.zeros(len(depths), dtype=bool))
    midline = sideways(anatomy.subject, section.arc, section.v)
    return np.concatenate([midline[:, None], points], axis=1)


_SIGN = {Side.LEFT: 1.0, Side.RIGHT: -1.0}


def _depth(anatomy: Anatomy, target: Target, segment: int) -> float:
    """Return the depth v of a canal's or recess's landmark in the middle plane of the disc."""
    section = disc_section(anatomy.subject, anatomy.narrowing, segment)
    if target.side is None:
        return float(sac_centre(section)[0])
    u = section.recess_place * _SIGN[target.side]
    return float((wall(section, u) + roof(section, u))[0]) / 2


def _settle(
    anatomy: Anatomy, points: FloatArray, depths: FloatArray, foramen: NDArray[np.bool_]
) -> tuple[Section, FloatArray]:
    """Move points (25, 2) until they lie in the middle of the disc, or on the root's axis."""
    for _ in range(16):
        section = build_section(anatomy, anatomy.frame.place(points[:, 0], points[:, 1]))
        low = np.where(foramen, section.below - section.root_below, section.w)
        short = np.where(foramen, section.root_v, depths) - section.v
        share = section.below / (section.below + section.above)
        tilts = anatomy.frame.tilts
        tilt = tilts[section.segment] * (1 - share) + tilts[section.segment + 1] * share
        up, back = np.stack([np.sin(tilt), np.cos(tilt)]), np.stack([np.cos(tilt), -np.sin(tilt)])
        points = points + (low * up + short * back).T
    section = build_section(anatomy, anatomy.frame.place(points[:, 0], points[:, 1]))
    return section, points
