"""Seen: the record of a result -> on which slices, and in which square, each target was looked at.

A model of levels looks at squares, one a target and view: some native slices, a square of a known
side about the target's place. A model of whole studies looks at one box, the same for all targets.
Both are read from the provenance of a result, so a result that was written can be drawn again.

Frame: LPS millimetres, but the grid's sides, which are along right, front and head.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from volspine.anatomy import TARGETS, Protocol, Target
from volspine.grades import StudyGrades
from volspine.report.upright import View
from volspine.types import FloatArray

__all__ = ["Square", "box_outline", "grid_box", "seen_squares"]


@dataclass(frozen=True)
class Square:
    """What was looked at of one target in one view.

    Attributes:
        target: Which.
        series: Name of the series.
        stack: Number of the stack in it.
        slices: Numbers of the stack's slices.
        side_mm: Of the square about the target's place.
    """

    target: Target
    series: str
    stack: int
    slices: tuple[int, ...]
    side_mm: float


def seen_squares(grades: StudyGrades) -> list[Square]:
    """Return what was looked at of each target that was graded; empty where that is not known."""
    return [
        square
        for target in TARGETS
        if not grades.imputed[target.index]
        for square in _squares_of(grades, target)
    ]


def _squares_of(grades: StudyGrades, target: Target) -> Iterator[Square]:
    of_level = _mapping(_mapping(grades.provenance.get("crops")).get(target.level.value))
    primary = target.finding.primary_views
    order = sorted(Protocol, key=lambda protocol: protocol not in primary)
    for view in (_mapping(of_level.get(protocol.value)) for protocol in order):
        slices = _mapping(view.get("slices")).get(target.condition.term, [])
        side = _mapping(view.get("side_mm")).get(target.condition.term)
        numbers = tuple(int(k) for k in slices if int(k) >= 0)
        if numbers and side is not None:
            yield Square(target, str(view["series"]), int(view["stack"]), numbers, float(side))


def grid_box(grades: StudyGrades) -> FloatArray | None:
    """Return the lowest and the highest corner of the box that a model of studies saw, (2, 3)."""
    grid = _mapping(grades.provenance.get("grid"))
    try:
        middle = np.array(grid["center_mm"], dtype=np.float64)
        half = np.array(grid["spacing_mm"], dtype=np.float64) * np.array(grid["shape"]) / 2
    except KeyError:
        return None
    if middle.shape != (3,) or half.shape != (3,):
        return None
    return np.stack([middle - half, middle + half])


def box_outline(box_mm: FloatArray, view: View) -> list[tuple[float, float]]:
    """Return where a slice cuts a box: corners in the picture, in mm from its upper left corner.

    Args:
        box_mm: (2, 3) lowest and highest corner, sides along the patient's axes.
        view: Of the slice.

    Returns:
        Corners in order; empty where the slice misses the box.
    """
    normal = np.cross(view.column_mm, view.row_mm)
    corners = [
        np.array([box_mm[i, 0], box_mm[j, 1], box_mm[k, 2]]) for i, j, k in np.ndindex(2, 2, 2)
    ]
    cut: list[FloatArray] = []
    for a, first in enumerate(corners):
        for b in (a ^ 1, a ^ 2, a ^ 4):
            if b > a:
                cut.extend(_crossing(first - view.origin_mm, corners[b] - view.origin_mm, normal))
    places = [view.place_mm(view.origin_mm + point) for point in cut]
    return _around(places)


def _crossing(first: FloatArray, last: FloatArray, normal: FloatArray) -> Iterator[FloatArray]:
    """Yield where the way from one point to another crosses the plane through the origin."""
    a, b = float(first @ normal), float(last @ normal)
    if a * b < 0:
        yield np.asarray(first + (last - first) * (a / (a - b)), dtype=np.float64)


def _around(places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the corners of a convex figure in order."""
    if len(places) < 3:
        return []
    x, y = np.mean(places, axis=0)
    return sorted(places, key=lambda place: math.atan2(place[1] - y, place[0] - x))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
