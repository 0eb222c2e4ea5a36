"""Grades -> what the first screen of a report shows: sentences, the map of the spine, a table.

The map lies as a radiologist faces the patient: the patient's right is on the left, as in every
axial picture, with the canal between recesses and foramina, and L1 above S1. Each severity has a
shape, a letter and a pattern of its own besides its shade.

    right foramen | right recess | canal | left recess | left foramen
"""

from typing import Any

from volspine.anatomy import LEVELS, TARGETS, Condition, Grade, Level, Target
from volspine.grades import StudyGrades
from volspine.report.certainty import is_uncertain, looks_at, percent, span
from volspine.report.sentences import level_sentence

__all__ = ["MAP_COLUMNS", "SHADES", "findings", "severity_map", "target_rows"]

MAP_COLUMNS = (
    Condition.RIGHT_NEURAL_FORAMINAL_NARROWING,
    Condition.RIGHT_SUBARTICULAR_STENOSIS,
    Condition.SPINAL_CANAL_STENOSIS,
    Condition.LEFT_SUBARTICULAR_STENOSIS,
    Condition.LEFT_NEURAL_FORAMINAL_NARROWING,
)
"""From the left of the map to its right."""

SHADES = {Grade.NORMAL_MILD: "mild", Grade.MODERATE: "moderate", Grade.SEVERE: "severe"}
"""Name of each grade in the page's style."""

_BONES = ("L1", "L2", "L3", "L4", "L5")


def findings(grades: StudyGrades) -> list[dict[str, Any]]:
    """Return for each level its label, its worst shade and what was found."""
    return [
        {
            "level": level.label,
            "worst": _worst(grades, level),
            "text": level_sentence(grades, level),
        }
        for level in LEVELS
    ]


def severity_map(grades: StudyGrades) -> list[dict[str, Any]]:
    """Return for each level the bone above it and its five cells, as the map lays them."""
    return [
        {
            "bone": bone,
            "level": level.label,
            "cells": [map_cell(grades, Target(condition, level)) for condition in MAP_COLUMNS],
        }
        for bone, level in zip(_BONES, LEVELS, strict=True)
    ]


def map_cell(grades: StudyGrades, target: Target) -> dict[str, Any]:
    """Return what the map says of a target, and where the page tells more."""
    t = target.index
    grade = grades.grades[t]
    if grade is None:
        return _cell(target, "none", "not graded")
    if grades.imputed[t]:
        return _cell(target, "prior", "", sure="not measured")
    return _cell(
        target,
        SHADES[grade],
        grade.label,
        sure=percent(float(grades.confidence[t])),
        is_uncertain=is_uncertain(grades, t),
    )


def target_rows(grades: StudyGrades) -> list[dict[str, Any]]:
    """Return for each target its probabilities, as numbers and bars, and how sure they are."""
    return [_row(grades, target) for target in TARGETS]


def _row(grades: StudyGrades, target: Target) -> dict[str, Any]:
    t = target.index
    grade, p = grades.grades[t], [float(x) for x in grades.probabilities[t]]
    looks = looks_at(grades, t)
    spans = ["", "", ""] if looks is None else [span(a, b) for a, b in zip(*looks, strict=True)]
    starts = (0.0, p[0], p[0] + p[1])
    return {
        "id": _id(target),
        "label": target.label,
        "grade": "" if grade is None else grade.label,
        "shade": "none" if grade is None else SHADES[grade],
        "cells": [
            {"shade": SHADES[g], "percent": percent(p[g]), "span": spans[g], "is_grade": g is grade}
            for g in Grade
        ],
        "bars": [
            {"shade": SHADES[g], "x": round(100 * starts[g], 2), "width": round(100 * p[g], 2)}
            for g in Grade
        ],
        "is_imputed": bool(grades.imputed[t]),
        "is_uncertain": is_uncertain(grades, t),
    }


def _cell(
    target: Target, shade: str, text: str, *, sure: str = "", is_uncertain: bool = False
) -> dict[str, Any]:
    return {
        "id": _id(target),
        "label": target.label,
        "shade": shade,
        "text": text,
        "sure": sure,
        "is_uncertain": is_uncertain,
    }


def _id(target: Target) -> str:
    return f"{target.level.value}-{target.condition.term}"


def _worst(grades: StudyGrades, level: Level) -> str:
    here = [target.index for target in TARGETS if target.level is level]
    found = [
        grade
        for t, grade in enumerate(grades.grades)
        if t in here and grade is not None and not grades.imputed[t]
    ]
    return SHADES[max(found)] if found else "none"
