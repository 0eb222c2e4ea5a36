"""Levels at a glance: the sagittal slice through the canal, with the frame and name of each level.

A reader who disagrees with the naming sees it here first. Lines run along the middle of a level's
frame, as long as a disc is deep; circles are the canal points, projected onto the slice; one that
lies further from it than the next slice, as in a scoliosis, has a broken circle.
"""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from volspine.anatomy import LEVELS, Level, Protocol
from volspine.dicom.study import Study
from volspine.geometry.outline import disc_outlines
from volspine.geometry.stack import Stack
from volspine.grades import StudyGrades
from volspine.report.brightness import grey_window
from volspine.report.marks import letter_picture
from volspine.report.upright import View, grey_bytes, nearest_slice, upright_slice
from volspine.types import FloatArray

__all__ = ["levels_picture"]

WIDTH_PX = 520
"""Width of the picture."""

BEFORE_MM, BEHIND_MM, BESIDE_MM = 75.0, 60.0, 45.0
"""How far the picture reaches beyond the places: the bodies in front, the names behind, one more
level above and below."""

_INK, _POINT = "#5ea1ff", "yellow"
_RADIUS_PX = 8


def levels_picture(study: Study, grades: StudyGrades) -> bytes | None:
    """Return the picture as a PNG file; None if no level was located or there is no such series.

    Args:
        study: The images, native.
        grades: Of the same study, with places.
    """
    canal = grades.points_mm[: len(LEVELS)]
    there = np.isfinite(canal).all(axis=1)
    if not there.any():
        return None
    middle = np.asarray(canal[there].mean(axis=0), dtype=np.float64)
    for protocol in (Protocol.SAGITTAL_T2, Protocol.SAGITTAL_T1):
        stacks = [stack for series in study.by_protocol(protocol) for stack in series.stacks]
        if stacks:
            stack, k = min(
                ((stack, nearest_slice(stack, middle)) for stack in stacks),
                key=lambda found: _off_mm(found[0], found[1], middle),
            )
            return _draw(stack, k, grades)
    return None


def _off_mm(stack: Stack, k: int, point: FloatArray) -> float:
    return float(abs((point - stack.slice_origins_mm[k]) @ stack.normal))


def _draw(stack: Stack, k: int, grades: StudyGrades) -> bytes:
    view = _surroundings(upright_slice(stack, k), grades.points_mm)
    width, height = view.size_mm
    size = (WIDTH_PX, max(1, round(height * WIDTH_PX / width)))
    window = grey_window([stack], grades.points_mm)
    sheet = Image.fromarray(grey_bytes(view.pixels, window)).resize(size).convert("RGB")
    pen = ImageDraw.Draw(sheet)
    letter_picture(pen, view.edges, size, px_per_mm=WIDTH_PX / width)
    for level, outline in disc_outlines(grades.points_mm).items():
        _draw_level(pen, (view, size), level, outline)
    for level in LEVELS:
        point = grades.points_mm[LEVELS.index(level)]
        if np.isfinite(point).all():
            is_near = _off_mm(stack, k, point) <= float(stack.spacing_mm[2])
            _draw_point(pen, _place(view, size, point), is_near=is_near)
    stream = io.BytesIO()
    sheet.save(stream, format="PNG", compress_level=6)
    return stream.getvalue()


def _surroundings(view: View, points_mm: FloatArray) -> View:
    """Return the part of a sagittal slice around the places that were found."""
    places = [view.place_mm(point) for point in points_mm if np.isfinite(point).all()]
    (left, top), (right, bottom) = np.min(places, axis=0), np.max(places, axis=0)
    return view.part((left - BEFORE_MM, top - BESIDE_MM), (right + BEHIND_MM, bottom + BESIDE_MM))


def _place(view: View, size: tuple[int, int], point: FloatArray) -> tuple[float, float]:
    row, column = view.locate(point)
    rows, columns = view.pixels.shape
    return (column + 0.5) / columns * size[0], (row + 0.5) / rows * size[1]


def _draw_level(
    pen: ImageDraw.ImageDraw,
    view: tuple[View, tuple[int, int]],
    level: Level,
    outline: FloatArray,
) -> None:
    # From the middle of the frame's front edge to the middle of its back edge.
    front, back = (outline[1] + outline[2]) / 2, (outline[3] + outline[4]) / 2
    ends = [_place(*view, point) for point in (front, back)]
    pen.line(ends, fill=_INK, width=3)
    beyond = np.array(ends[1]) + 0.35 * (np.array(ends[1]) - np.array(ends[0]))
    pen.text(
        (float(beyond[0]), float(beyond[1])),
        level.label,
        fill="white",
        font=ImageFont.load_default(22),
        anchor="lm",
        stroke_width=2,
        stroke_fill="black",
    )


def _draw_point(pen: ImageDraw.ImageDraw, place: tuple[float, float], *, is_near: bool) -> None:
    x, y = place
    box = (x - _RADIUS_PX, y - _RADIUS_PX, x + _RADIUS_PX, y + _RADIUS_PX)
    arcs = [(0, 360)] if is_near else [(start, start + 45) for start in range(0, 360, 90)]
    for start, end in arcs:
        pen.arc(box, start, end, fill=_POINT, width=2)
