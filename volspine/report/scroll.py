"""Scrolling: every series of a study -> its slices as pictures, with what lies in each.

Slices hang as radiologists hang them and keep the series' one grey window. Sagittal ones run from
the patient's right to the left, axial ones from head to foot, over all stacks of a series. Each has
its plane in the patient, so that a page can draw where other slices cut it and find one place in
all of them, and its marks: the places near it, and the squares that grades looked at.

A study may have hundreds of slices, and a page has a size. All slices of the series that grades
come from are kept, up to a number; of the others, and beyond it, one in so many, which the page
says. Then all are encoded at the best quality that fits (`ladder`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from volspine.anatomy import TARGETS, Target
from volspine.dicom.study import Series, Study
from volspine.errors import VolspineError
from volspine.geometry.stack import Stack
from volspine.grades import StudyGrades
from volspine.report.brightness import grey_window
from volspine.report.ladder import Grey, Rung, encoded_within
from volspine.report.midline import Beside, beside_canal
from volspine.report.seen import Square, box_outline, grid_box, seen_squares
from volspine.report.upright import View, grey_bytes, upright_slice
from volspine.types import BoolArray, FloatArray

__all__ = ["MOST_OTHERS", "MOST_USED", "Mark", "ScrolledSeries", "ScrolledSlice", "scrolled_series"]

MOST_USED, MOST_OTHERS = 320, 40
"""Slices of one series that are shown: of one that grades come from, and of another."""


@dataclass(frozen=True)
class Mark:
    """A target in a slice.

    Attributes:
        target: Which.
        place_mm: From the picture's left and upper edge.
        side_mm: Of the square that was looked at on this slice; None where it was not.
        is_here: Whether the place lies in this slice, nearer to it than to its neighbours.
    """

    target: Target
    place_mm: tuple[float, float]
    side_mm: float | None
    is_here: bool


@dataclass(frozen=True)
class ScrolledSlice:
    """One slice.

    Attributes:
        jpeg: The picture, without marks.
        view: The slice as it hangs, all dark.
        stack: Number of its stack in the series.
        k: Number of the slice in the stack.
        beside: Where it lies.
        marks: What lies in it.
        box: Corners of the box that a model of whole studies saw, as `Mark.place_mm`.
    """

    jpeg: bytes
    view: View
    stack: int
    k: int
    beside: Beside
    marks: tuple[Mark, ...]
    box: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class ScrolledSeries:
    """A series.

    Attributes:
        number: In the study.
        series: What was read.
        slices: Those that are shown, in the order of scrolling; empty if none can be decoded.
        every: One in so many slices is shown.
        rung: How they are encoded.
        why_not: Why no slice can be shown; else empty.
    """

    number: int
    series: Series
    slices: tuple[ScrolledSlice, ...]
    every: int
    rung: Rung
    why_not: str = ""


@dataclass(frozen=True)
class _Picked:
    """A slice before it is encoded."""

    stack: Stack
    number: int
    k: int
    view: View
    grey: Grey


def scrolled_series(study: Study, grades: StudyGrades, *, num_bytes: int) -> list[ScrolledSeries]:
    """Return every series of a study, ready to be scrolled.

    Args:
        study: The images, native; decoded here, and what cannot be is said so.
        grades: Of the same study.
        num_bytes: What all pictures together may take.
    """
    used = {s["name"] for s in grades.provenance.get("series", []) if s.get("is_used")}
    picked, why, every = {}, {}, {}
    for number, series in enumerate(study.series):
        most = MOST_USED if series.name in used else MOST_OTHERS
        every[number] = -(-sum(stack.shape[2] for stack in series.stacks) // most)
        try:
            picked[number] = _picked(series, grades, every[number])
        except VolspineError as error:
            picked[number], why[number] = [], f"it cannot be decoded ({error.code})"
    flat = [each.grey for number in picked for each in picked[number]]
    files, rung = encoded_within(flat, num_bytes)
    left = iter(files)
    marking = _Marking(grades, seen_squares(grades), grid_box(grades))
    return [
        ScrolledSeries(
            number,
            series,
            tuple(marking.scrolled(series, each, next(left)) for each in picked[number]),
            every[number],
            rung,
            why.get(number, ""),
        )
        for number, series in enumerate(study.series)
    ]


def _picked(series: Series, grades: StudyGrades, every: int) -> list[_Picked]:
    window = grey_window(series.stacks, grades.points_mm)
    found = sorted(
        (_order(stack, k), number, k)
        for number, stack in enumerate(series.stacks)
        for k in range(stack.voxels.shape[2])
    )
    return [_pick(series.stacks[n], n, k, window) for _, n, k in found[::every]]


def _order(stack: Stack, k: int) -> float:
    """Return what grows in the order of scrolling: to the left, to the back, or to the foot."""
    middle = (np.array(stack.shape[:2]) - 1) / 2
    center = stack.slice_origins_mm[k] + stack.affine_lps[:3, :2] @ middle
    axis = ("sagittal", "coronal", "axial").index(stack.plane)
    return float(center[axis] * (-1 if stack.plane == "axial" else 1))


def _pick(stack: Stack, number: int, k: int, window: tuple[float, float]) -> _Picked:
    view = upright_slice(stack, k)
    grey = grey_bytes(view.pixels, window)
    # Hundreds of slices: the shape is kept, and none of the memory.
    unlit = np.broadcast_to(np.float32(0), view.pixels.shape)
    return _Picked(stack, number, k, replace(view, pixels=unlit), grey)


@dataclass(frozen=True)
class _Marking:
    """What is marked in the slices of one study."""

    grades: StudyGrades
    squares: Sequence[Square]
    box_mm: FloatArray | None

    def scrolled(self, series: Series, each: _Picked, jpeg: bytes) -> ScrolledSlice:
        return ScrolledSlice(
            jpeg=jpeg,
            view=each.view,
            stack=each.number,
            k=each.k,
            beside=beside_canal(each.stack, each.k, self.grades.points_mm),
            marks=tuple(self._marks(series, each)),
            box=() if self.box_mm is None else tuple(box_outline(self.box_mm, each.view)),
        )

    def _marks(self, series: Series, each: _Picked) -> Iterator[Mark]:
        sides = {
            square.target: square.side_mm
            for square in self.squares
            if (square.series, square.stack) == (series.name, each.number)
            and each.k in square.slices
        }
        here = _within(each.stack, each.k, self.grades.points_mm)
        for target, is_here in zip(TARGETS, here.tolist(), strict=True):
            if is_here or target in sides:
                place = each.view.place_mm(self.grades.points_mm[target.index])
                yield Mark(target, place, sides.get(target), is_here)


def _within(stack: Stack, k: int, points_mm: FloatArray) -> BoolArray:
    """Return which places lie nearer to slice k than to its neighbours, and within it, (N,)."""
    there = np.asarray(np.isfinite(points_mm).all(axis=1), dtype=np.bool_)
    offset = np.where(there[:, None], points_mm, 0.0) - stack.slice_origins_mm[k]
    away = np.abs(offset @ stack.normal)
    place = offset @ np.linalg.pinv(stack.affine_lps[:3, :2]).T
    inside = np.all((place >= -0.5) & (place <= np.array(stack.shape[:2]) - 0.5), axis=1)
    found = there & inside & (away <= float(stack.spacing_mm[2]) / 2)
    return np.asarray(found, dtype=np.bool_)
