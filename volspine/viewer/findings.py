"""Grades -> what is drawn at their places: a ball a finding, a label and a rectangle a level."""

import numpy as np

from volspine.anatomy import LEVELS, TARGETS, Finding, Level
from volspine.geometry.outline import disc_outlines
from volspine.grades import StudyGrades
from volspine.types import FloatArray
from volspine.viewer.palette import GRADE_COLORS, GRADE_SIZES, UNKNOWN_COLOR
from volspine.viewer.scene import Marker

__all__ = ["level_outlines", "level_points", "markers"]


def markers(grades: StudyGrades | None, *, besides: Level | None = None) -> tuple[Marker, ...]:
    """Return a sphere for each target that was located, coloured by its grade and larger the worse.

    Args:
        grades: With places.
        besides: A level whose targets get none.
    """
    if grades is None:
        return ()
    return tuple(
        Marker(
            point_mm=grades.points_mm[target.index],
            color=UNKNOWN_COLOR if unknown or grade is None else GRADE_COLORS[grade],
            label=f"{target.label}: {'not graded' if grade is None else grade.label}"
            + (" (imputed)" if unknown and grade is not None else ""),
            radius_mm=(3.2 if target.finding is Finding.CANAL else 2.6)
            * (1.0 if unknown or grade is None else GRADE_SIZES[grade]),
        )
        for target, grade, unknown in zip(TARGETS, grades.grades, grades.imputed, strict=True)
        if target.level is not besides and np.isfinite(grades.points_mm[target.index]).all()
    )


def level_points(grades: StudyGrades | None) -> dict[str, FloatArray]:
    """Return the middle of the located targets of each level, under the level's label."""
    found: dict[str, FloatArray] = {}
    if grades is None:
        return found
    for level in LEVELS:
        index = [target.index for target in TARGETS if target.level is level]
        points = grades.points_mm[index]
        points = points[np.isfinite(points).all(axis=1)]
        if len(points):
            found[level.label] = np.asarray(points.mean(axis=0), dtype=np.float64)
    return found


def level_outlines(grades: StudyGrades | None) -> tuple[FloatArray, ...]:
    """Return the rectangle of each level that was located, LPS millimetres, shape (5, 3)."""
    return () if grades is None else tuple(disc_outlines(grades.points_mm).values())
