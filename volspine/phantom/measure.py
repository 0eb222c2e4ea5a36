"""Measure: canal, recesses and foramina of the noise-free model, whatever made them.

    canal     area of the dural sac where the disc narrows it most, over its mean area at the
              pedicles of the two neighbouring vertebrae, measured too
    recess    least distance from the back of disc or body to the front of the facet, mm
    foramen   share of 32 directions around the exiting root with at least 1 mm of fat; a root
              flattened below an axis ratio of 0.7 counts as having none

All are measured over a slab of 0.6 disc heights and 3 mm to both sides of the disc.
"""

import numpy as np

from volspine.anatomy import LEVELS, TARGETS, Finding, Side
from volspine.phantom.anatomy import Anatomy
from volspine.phantom.canal import CanalSection, plateau, roof, wall
from volspine.phantom.frame import FIRST_SEGMENT
from volspine.phantom.narrowing import (
    ANGLES,
    FAT_MM,
    FLAT,
    RAYS,
    disc_section,
    reference_area,
    sac_area,
)
from volspine.types import FloatArray

__all__ = ["measure", "sac_areas"]

_SLICES = 3


def measure(anatomy: Anatomy, areas_mm2: FloatArray) -> FloatArray:
    """Return the measure of each of the 25 targets, canonical order: ratio, share or mm.

    Args:
        anatomy: What to measure.
        areas_mm2: Least area of its sac at each graded level, from `sac_areas`.
    """
    canal = areas_mm2 / _reference_areas(anatomy)
    values = []
    for target in TARGETS:
        level = LEVELS.index(target.level)
        place = (FIRST_SEGMENT + level, 0 if target.side is Side.LEFT else 1)
        if target.finding is Finding.CANAL:
            values.append(canal[level])
        elif target.finding is Finding.RECESS:
            values.append(_recess(anatomy, *place))
        else:
            values.append(_foramen(anatomy, *place))
    return np.array(values)


def sac_areas(anatomy: Anatomy) -> FloatArray:
    """Return the least area of the sac at each graded level, mm2, shape (5,)."""
    return np.array([_least_area(anatomy, FIRST_SEGMENT + level) for level in range(5)])


def _sections(anatomy: Anatomy, segment: int) -> list[CanalSection]:
    """Return cross-sections through the slab, upper half and lower half alike."""
    subject = anatomy.subject
    reach = 0.6 * float(subject.discs[segment]) + 3.0
    sections = []
    for w in np.linspace(0.0, reach, _SLICES):
        section = disc_section(subject, anatomy.narrowing, segment)
        section.at_disc = plateau(np.array([w]), 4.0, 12.0)
        sections.append(section)
    return sections


def _least_area(anatomy: Anatomy, segment: int) -> float:
    return min(sac_area(section, 0.25) for section in _sections(anatomy, segment))


def _reference_areas(anatomy: Anatomy) -> FloatArray:
    """Return the mean area of the sac at the pedicles beside each graded disc, shape (5,)."""
    segments = range(FIRST_SEGMENT, FIRST_SEGMENT + 5)
    return np.array([reference_area(anatomy.subject, segment) for segment in segments])


def _recess(anatomy: Anatomy, segment: int, side: int) -> float:
    sign = 1.0 if side == 0 else -1.0
    gaps = []
    for section in _sections(anatomy, segment):
        u = sign * section.recess_place
        gaps.append(float((roof(section, u) - wall(section, u))[0]))
    return min(gaps)


def _foramen(anatomy: Anatomy, segment: int, side: int) -> float:
    if anatomy.narrowing.flatness[segment, side] < FLAT:
        return 0.0
    clearance = anatomy.narrowing.clearance[segment, side][:: ANGLES // RAYS]
    return float((clearance >= FAT_MM).mean())
