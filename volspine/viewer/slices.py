"""A study -> one picture: for each protocol its sagittal, coronal and axial plane through a point.

The three planes of a row are cut from one patient-space grid, so what lies beside each other in the
picture lies beside each other in the patient. All panes have one scale. The patient's right is
marked wherever it is in view.
"""

from dataclasses import dataclass, replace

import numpy as np

from volspine.anatomy import PROTOCOLS, TARGETS, Protocol
from volspine.dicom.study import Series, Study
from volspine.grades import RESEARCH_USE, StudyGrades
from volspine.types import BoolArray, FloatArray, VoxelArray
from volspine.viewer.build import chosen_series
from volspine.viewer.canvas import Canvas
from volspine.viewer.findings import level_points
from volspine.viewer.heat import Heat
from volspine.viewer.legend import draw_grades, draw_heat_key
from volspine.viewer.pane_marks import mark_crossing, mark_edges, mark_findings, mark_levels
from volspine.viewer.panes import PLANES, Pane, pane
from volspine.viewer.tissue import body_mask
from volspine.viewer.voxel_layer import grid_over
from volspine.volume.grid import Grid, coverage_mm
from volspine.volume.normalize import normalize
from volspine.volume.sample import sample_series

__all__ = ["slices_png"]

_SPINE_DEPTH = 0.66

REACH_MM = 45.0
"""Of the surroundings of heat."""

_WIDTH_PX, _TOP_PX, _GAP_PX, _LABEL_PX = 1100.0, 120.0, 56.0, 34.0
_HEIGHT_PX, _MAX_PX_PER_MM = 1500.0, 3.2
_PANEL_PX = 400
_MUTED = "#8b95a7"


@dataclass(frozen=True)
class _Row:
    title: str
    panes: tuple[Pane, ...]

    @property
    def width_mm(self) -> float:
        return sum(one.size_mm[0] for one in self.panes)

    @property
    def height_mm(self) -> float:
        return max(one.size_mm[1] for one in self.panes)


def slices_png(
    study: Study,
    *,
    protocol: Protocol | None = None,
    grades: StudyGrades | None = None,
    point_mm: FloatArray | None = None,
    notes: tuple[str, ...] = (RESEARCH_USE,),
    heat: Heat | None = None,
) -> bytes:
    """Return the picture as a PNG file.

    Args:
        study: What to show.
        protocol: Every graded one if omitted.
        grades: Drawn in where located, and listed.
        point_mm: Where the planes cross, LPS; the hottest place, the middle level, or else the
            middle of what the study covers, if omitted.
        notes: Said at the foot.
        heat: What a grade looked at, laid over the series that it looked at: only these are shown,
            and of them the surroundings, up to `REACH_MM` from where the planes cross.

    Raises:
        NoUsableSeriesError: If there is no such series.
    """
    shown = _best_of_each(chosen_series(study, protocol))
    if heat is not None:
        shown = [series for series in shown if series.protocol in heat.protocols] or shown
        point_mm = heat.place_mm() if point_mm is None else point_mm
    center = _crossing(shown, grades) if point_mm is None else point_mm
    rows = [_row(series, center, heat) for series in shown]
    scale = _scale(rows)
    height = _TOP_PX + sum(row.height_mm * scale + _GAP_PX + _LABEL_PX for row in rows) + 40
    panel = 0 if grades is None and heat is None else _PANEL_PX
    width = max(row.width_mm for row in rows) * scale + 4 * _GAP_PX
    size = (int(max(width, 560)) + panel, int(max(height, 640 if heat is None else 800)))
    canvas = Canvas(size)
    canvas.text((36, 42), study.name, fontsize=19, weight="bold")
    place = ", ".join(f"{name} {value:.0f}" for name, value in zip("xyz", center, strict=True))
    canvas.text((36, 74), f"planes through {place} mm (LPS)", fontsize=11.5, color=_MUTED)
    top = _TOP_PX
    for row in rows:
        _draw_row(canvas, row, (top, scale), center, _around(grades, heat))
        top += row.height_mm * scale + _GAP_PX + _LABEL_PX
    _scale_bar(canvas, scale, size)
    if grades is not None:
        draw_grades(canvas, (size[0] - panel + 16, 150), grades)
    if heat is not None:
        draw_heat_key(canvas, (size[0] - _PANEL_PX + 16, 620), heat)
    for number, line in enumerate(reversed(notes)):
        foot = size[1] - 26 - 20 * number
        canvas.text((size[0] - 24, foot), line, fontsize=9.5, color=_MUTED, ha="right")
    return canvas.png()


def _around(grades: StudyGrades | None, heat: Heat | None) -> StudyGrades | None:
    """Return grades without the places of the level whose heat is drawn: rings would hide it."""
    if grades is None or heat is None:
        return grades
    points = grades.points_mm.copy()
    points[[t.index for t in TARGETS if t.level is heat.saliency.target.level]] = np.nan
    return replace(grades, points_mm=points)


def _best_of_each(series: list[Series]) -> list[Series]:
    """Return one series for each protocol: the one with most voxels."""

    def size(one: Series) -> int:
        return sum(int(np.prod(stack.shape)) for stack in one.stacks)

    found = [
        max((one for one in series if one.protocol is protocol), key=size, default=None)
        for protocol in PROTOCOLS
    ]
    return [one for one in found if one is not None] or [max(series, key=size)]


def _crossing(series: list[Series], grades: StudyGrades | None) -> FloatArray:
    located = list(level_points(grades).values())
    if located:
        return located[len(located) // 2]
    low, high = coverage_mm([stack for one in series for stack in one.stacks])
    center = np.asarray((low + high) / 2, dtype=np.float64)
    # Without landmarks: the spine lies about two thirds from the front of the body to its back.
    _, body, grid = _sampled(series[0])
    y = grid.mm_from_index(np.argwhere(body)[:: max(body.sum() // 10_000, 1)].astype(np.float64))
    if len(y):
        front, back = np.percentile(y[:, 1], (1, 99))
        center[1] = front + _SPINE_DEPTH * (back - front)
    return center


def _scale(rows: list[_Row]) -> float:
    """Return pixels a millimetre, one for all panes, so that the picture fits."""
    room = _HEIGHT_PX - _TOP_PX - len(rows) * (_GAP_PX + _LABEL_PX) - 40
    wide = min((_WIDTH_PX - 4 * _GAP_PX) / row.width_mm for row in rows)
    return min(wide, room / sum(row.height_mm for row in rows), _MAX_PX_PER_MM)


def _row(series: Series, center: FloatArray, heat: Heat | None) -> _Row:
    image, mask, grid = _sampled(series, None if heat is None else center)
    panes = [pane(image, mask, grid, plane=plane, point_mm=center) for plane in PLANES]
    title = series.protocol.label
    if heat is not None and series.protocol in heat.protocols:
        panes = [_tinted(one, heat, series.protocol) for one in panes]
    elif heat is not None:
        title += ", not looked at"
    return _Row(title, tuple(panes))


def _tinted(one: Pane, heat: Heat, protocol: Protocol) -> Pane:
    colors, places = one.pixels.reshape(-1, 3), one.points_mm.reshape(-1, 3)
    return replace(one, pixels=heat.tinted(colors, places, protocol).reshape(one.pixels.shape))


def _sampled(
    series: Series, near_mm: FloatArray | None = None
) -> tuple[VoxelArray, BoolArray, Grid]:
    """Return a series on a grid of 1 mm, cut down to the body, and where it measured.

    Args:
        series: What to sample.
        near_mm: Cut down to the surroundings of this place too.
    """
    grid = grid_over([series], spacing_mm=1.0)
    raw, mask = sample_series(series, grid)
    image = normalize(raw, mask)
    body = body_mask(image, mask, axis=2 if series.protocol is Protocol.AXIAL_T2 else 0)
    if not body.any():
        return image, mask, grid
    found = np.argwhere(body)
    low, high = found.min(axis=0), found.max(axis=0) + 1
    if near_mm is not None:
        place = np.clip(np.rint(grid.index_from_mm(near_mm)).astype(np.int64), low, high - 1)
        reach = np.rint(REACH_MM / np.array(grid.spacing_mm)).astype(np.int64)
        low, high = np.maximum(low, place - reach), np.minimum(high, place + reach + 1)
    part = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    x, y, z = grid.mm_from_index((low + high - 1) / 2).tolist()
    i, j, k = (high - low).tolist()
    return image[part], mask[part], Grid(grid.spacing_mm, (i, j, k), (x, y, z))


def _draw_row(
    canvas: Canvas,
    row: _Row,
    place: tuple[float, float],
    center: FloatArray,
    grades: StudyGrades | None,
) -> None:
    top, scale = place
    left = _GAP_PX
    canvas.text((36, top + 4), row.title, fontsize=12.5, weight="bold")
    for one in row.panes:
        width, height = (size * scale for size in one.size_mm)
        box = (left, top + _LABEL_PX, width, height)
        canvas.picture(one.pixels, box, smooth=True)
        mark_edges(canvas, one, box)
        mark_crossing(canvas, one, box, center)
        if grades is not None:
            mark_levels(canvas, one, box, grades)
            mark_findings(canvas, one, box, grades)
        left += width + _GAP_PX


def _scale_bar(canvas: Canvas, scale: float, size: tuple[int, int]) -> None:
    left, y = 36.0, size[1] - 34.0
    canvas.line([(left, y), (left + 50 * scale, y)], linewidth=2.5)
    canvas.text((left + 50 * scale + 12, y), "50 mm", fontsize=9.5, color=_MUTED)
