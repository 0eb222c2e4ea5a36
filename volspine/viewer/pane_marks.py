"""What is written and drawn on a pane: sides, crossing planes, levels, findings.

A box is where the pane stands on the canvas: left, top, width, height in pixels.
"""

import numpy as np

from volspine.anatomy import TARGETS
from volspine.grades import StudyGrades
from volspine.types import FloatArray
from volspine.viewer.canvas import Canvas
from volspine.viewer.findings import level_outlines
from volspine.viewer.legend import grade_color
from volspine.viewer.palette import FRAME_COLOR, RIGHT_COLOR
from volspine.viewer.panes import Pane

__all__ = ["mark_crossing", "mark_edges", "mark_findings", "mark_levels"]

NEAR_MM = 6.0
"""A finding is drawn on planes up to this far from it."""

_MUTED = "#8b95a7"
_Box = tuple[float, float, float, float]


def mark_edges(canvas: Canvas, one: Pane, box: _Box) -> None:
    """Write what lies at each edge; the patient's right stands out."""
    left, top, width, height = box
    places = (
        (left - 16, top + height / 2),
        (left + width + 16, top + height / 2),
        (left + width / 2, top - 13),
        (left + width / 2, top + height + 13),
    )
    for letter, place in zip(one.edges, places, strict=True):
        is_right = letter == "R"
        canvas.text(
            place,
            letter,
            ha="center",
            fontsize=15 if is_right else 11,
            color=RIGHT_COLOR if is_right else _MUTED,
            weight="bold",
        )


def mark_crossing(canvas: Canvas, one: Pane, box: _Box, center: FloatArray) -> None:
    """Draw where the other two planes cut this one."""
    left, top, width, height = box
    u, v, _ = one.locate(center)
    look = {"color": _MUTED, "linewidth": 0.7, "alpha": 0.5}
    if 0 < u < 1:
        canvas.line([(left + u * width, top), (left + u * width, top + height)], **look)
    if 0 < v < 1:
        canvas.line([(left, top + v * height), (left + width, top + v * height)], **look)


def mark_levels(canvas: Canvas, one: Pane, box: _Box, grades: StudyGrades) -> None:
    """Draw where the plane cuts the frame of each level."""
    left, top, width, height = box
    for outline in level_outlines(grades):
        ends = [one.locate(point) for point in _crossings(one, outline)]
        if all(0 < u < 1 and 0 < v < 1 for u, v, _ in ends):
            line = [(left + u * width, top + v * height) for u, v, _ in ends]
            if line:
                canvas.line(line, color=FRAME_COLOR, linewidth=1.1, alpha=0.85)


def _crossings(one: Pane, outline: FloatArray) -> list[FloatArray]:
    """Return the points where a closed line of (N, 3) LPS millimetres goes through the plane."""
    off = np.array([one.locate(point)[2] for point in outline])
    return [
        outline[n] + (outline[n + 1] - outline[n]) * off[n] / (off[n] - off[n + 1])
        for n in range(len(off) - 1)
        if (off[n] < 0) != (off[n + 1] < 0)
    ]


def mark_findings(canvas: Canvas, one: Pane, box: _Box, grades: StudyGrades) -> None:
    """Draw a ring where a target lies near the plane, in the colour of its grade."""
    left, top, width, height = box
    for target in TARGETS:
        point = grades.points_mm[target.index]
        if not np.isfinite(point).all():
            continue
        u, v, off = one.locate(point)
        if abs(off) <= NEAR_MM and 0 < u < 1 and 0 < v < 1:
            place = (left + u * width, top + v * height)
            color = grade_color(grades, target)
            canvas.circle(place, 7, facecolor="none", edgecolor=color, linewidth=1.8)
