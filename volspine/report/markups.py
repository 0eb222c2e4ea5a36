"""Landmarks for 3D Slicer: the places of the targets -> one markups file (`.mrk.json`).

One point list for each grade, in its colour, and one for what was located but not measured. A
point's label has level, side and condition, its grade and the probability of that; its description
tells all three probabilities. Coordinates are LPS millimetres, as DICOM has them, and are said to
be; Slicer turns them into its own RAS when it reads the file. So do the orientations: the axes of a
point are those of RAS, which in LPS are (-1, 0, 0), (0, -1, 0) and (0, 0, 1).

Reference: 3D Slicer, markups schema 1.0.3.
"""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from volspine.anatomy import TARGETS, Grade, Target
from volspine.grades import StudyGrades
from volspine.report.manifest import notices

__all__ = ["MARKUPS_SCHEMA", "markups", "markups_text"]

MARKUPS_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/"
    "Resources/Schema/markups-schema-v1.0.3.json#"
)
"""By this Slicer knows the file."""

_COLORS = {
    Grade.NORMAL_MILD: (0.34, 0.71, 0.91),
    Grade.MODERATE: (0.90, 0.62, 0.0),
    Grade.SEVERE: (0.84, 0.37, 0.0),
    None: (0.6, 0.6, 0.6),
}
"""Told apart without colour vision too (Okabe and Ito); grey is what was not measured."""

_RAS_AXES = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)


def markups(grades: StudyGrades) -> dict[str, Any] | None:
    """Return the located targets as plain data of a markups file; None if none was located."""
    if grades.status == "refused" or not np.isfinite(grades.points_mm).all(axis=1).any():
        return None
    lists = [_point_list(grades, grade) for grade in (*Grade, None)]
    return {"@schema": MARKUPS_SCHEMA, "markups": [each for each in lists if each is not None]}


def markups_text(grades: StudyGrades) -> str:
    """Return the text of `landmarks.mrk.json`; empty if no target was located."""
    plain = markups(grades)
    return "" if plain is None else json.dumps(plain, indent=1, allow_nan=False) + "\n"


def _point_list(grades: StudyGrades, grade: Grade | None) -> dict[str, Any] | None:
    """Return the points of one grade, or of what was not measured; None if there are none."""
    points = [_point(grades, target, number) for number, target in _located(grades, grade)]
    if not points:
        return None
    color = list(_COLORS[grade])
    return {
        "type": "Fiducial",
        "name": "Not measured" if grade is None else grade.label,
        "description": " ".join(notices(grades)),
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": True,
        "labelFormat": "%N-%d",
        "controlPoints": points,
        "display": {
            "visibility": True,
            "color": color,
            "selectedColor": color,
            "pointLabelsVisibility": True,
            "propertiesLabelVisibility": False,
            "textScale": 2.5,
            "glyphType": "Sphere3D",
            "useGlyphScale": False,
            "glyphSize": 4.0,
            "sliceProjection": True,
        },
    }


def _located(grades: StudyGrades, grade: Grade | None) -> Iterator[tuple[int, Target]]:
    """Yield the located targets of a grade, numbered from 1 in canonical order."""
    for t, target in enumerate(TARGETS):
        found = None if grades.imputed[t] else grades.grades[t]
        if found is grade and np.isfinite(grades.points_mm[t]).all():
            yield t + 1, target


def _point(grades: StudyGrades, target: Target, number: int) -> dict[str, Any]:
    t = target.index
    grade = grades.grades[t]
    told = [f"{each.label} {p:.3f}" for each, p in zip(Grade, grades.probabilities[t], strict=True)]
    if grade is None or grades.imputed[t]:
        label, told = "not measured", [grades.reasons[t], *told]
    else:
        label = f"{grade.label} {grades.confidence[t]:.2f}"
    return {
        "id": str(number),
        "label": f"{target.level.label} {target.condition.label.lower()}: {label}",
        "description": "; ".join(filter(None, told)),
        "associatedNodeID": "",
        "position": [round(float(x), 3) for x in grades.points_mm[t]],
        "orientation": list(_RAS_AXES),
        "selected": True,
        "locked": True,
        "visibility": True,
        "positionStatus": "defined",
    }
