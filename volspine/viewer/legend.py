"""All 25 grades as a table of dots, read as an axial slice is: the patient's right on the left."""

from volspine.anatomy import LEVELS, Condition, Grade, Target
from volspine.grades import StudyGrades
from volspine.viewer.canvas import Canvas
from volspine.viewer.heat import Heat
from volspine.viewer.palette import (
    GRADE_COLORS,
    GRADE_SIZES,
    HEAT_COLOR,
    INK,
    RIGHT_COLOR,
    UNKNOWN_COLOR,
)

__all__ = ["COLUMNS", "draw_grades", "draw_heat_key", "grade_color"]

COLUMNS = (
    (Condition.RIGHT_NEURAL_FORAMINAL_NARROWING, "foramen"),
    (Condition.RIGHT_SUBARTICULAR_STENOSIS, "recess"),
    (Condition.SPINAL_CANAL_STENOSIS, "canal"),
    (Condition.LEFT_SUBARTICULAR_STENOSIS, "recess"),
    (Condition.LEFT_NEURAL_FORAMINAL_NARROWING, "foramen"),
)
"""Conditions from the patient's right to the left, and what each is called for short."""

_MUTED = "#8b95a7"
_STEP_X, _STEP_Y = 58.0, 52.0
_BAR_PX, _STEPS = 200.0, 20


def grade_color(grades: StudyGrades, target: Target) -> str:
    """Return the colour of a target: that of its grade, or grey where it was not measured."""
    grade = grades.grades[target.index]
    if grade is None or bool(grades.imputed[target.index]):
        return UNKNOWN_COLOR
    return GRADE_COLORS[grade]


def draw_grades(canvas: Canvas, place_px: tuple[float, float], grades: StudyGrades) -> None:
    """Draw the table with its top left corner at a place; about 350 by 480 pixels."""
    left, top = place_px
    columns = [left + 74 + n * _STEP_X for n in range(len(COLUMNS))]
    canvas.text((columns[0] + _STEP_X / 2, top), "R", color=RIGHT_COLOR, weight="bold", ha="center")
    canvas.text((columns[3] + _STEP_X / 2, top), "L", weight="bold", ha="center")
    for x, (_, name) in zip(columns, COLUMNS, strict=True):
        canvas.text((x, top + 24), name, fontsize=8.5, color=_MUTED, ha="center")
    for row, level in enumerate(LEVELS):
        y = top + 62 + row * _STEP_Y
        canvas.text((left, y), level.label, fontsize=11, weight="bold")
        for x, (condition, _) in zip(columns, COLUMNS, strict=True):
            _dot(canvas, (x, y), grades, Target(condition, level))
    _key(canvas, (left, top + 62 + len(LEVELS) * _STEP_Y + 14))


def _dot(
    canvas: Canvas, place_px: tuple[float, float], grades: StudyGrades, target: Target
) -> None:
    color = grade_color(grades, target)
    grade = grades.grades[target.index]
    is_measured = color != UNKNOWN_COLOR and grade is not None
    canvas.circle(
        place_px,
        8 if grade is None or not is_measured else 13 * GRADE_SIZES[grade],
        facecolor=color if is_measured else "none",
        edgecolor=color,
        linewidth=1.6,
    )
    if is_measured:
        percent = f"{100 * grades.confidence[target.index]:.0f}"
        canvas.text(place_px, percent, fontsize=7.5, color="#10131a", ha="center", zorder=4)


def _key(canvas: Canvas, place_px: tuple[float, float]) -> None:
    left, top = place_px
    for row, grade in enumerate(Grade):
        y = top + row * 25
        radius = 8 * GRADE_SIZES[grade]
        canvas.circle((left + 9, y), radius, facecolor=GRADE_COLORS[grade], edgecolor="none")
        canvas.text((left + 28, y), grade.label, fontsize=9.5, color=INK)
    y = top + len(Grade) * 25
    canvas.circle((left + 9, y), 6.5, facecolor="none", edgecolor=UNKNOWN_COLOR, linewidth=1.6)
    canvas.text((left + 28, y), "not measured", fontsize=9.5, color=INK)
    canvas.text((left + 150, top), "in a dot: confidence, %", fontsize=8.5, color=_MUTED)
    canvas.text((left + 150, top + 25), "sides are the patient's", fontsize=8.5, color=_MUTED)


def draw_heat_key(canvas: Canvas, place_px: tuple[float, float], heat: Heat) -> None:
    """Draw what the heat is, with its top left corner at a place; about 350 by 75 pixels."""
    left, top = place_px
    for line, text in enumerate(heat.caption):
        color, weight = (_MUTED, "normal") if line else (INK, "bold")
        canvas.text((left, top + 18 * line), text, fontsize=9, color=color, weight=weight)
    for step in range(_STEPS):
        start, width = left + step * _BAR_PX / _STEPS, _BAR_PX / _STEPS
        ends = [(start, top + 44), (start + width, top + 44)]
        alpha = (step + 0.5) / _STEPS
        canvas.line(ends, color=HEAT_COLOR, alpha=alpha, linewidth=9, solid_capstyle="butt")
    canvas.text((left, top + 62), "none", fontsize=8.5, color=_MUTED)
    canvas.text((left + _BAR_PX, top + 62), "most", fontsize=8.5, color=_MUTED, ha="right")
