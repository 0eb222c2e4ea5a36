"""Scrolled series and key images -> what the template draws: sources, numbers, marks and words.

Lengths in a picture are millimetres from its upper left corner, so that every overlay has the
scale of the patient. A slice's plane is given to the page as three vectors, LPS: the corner, and
the unit steps across and down.
"""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from volspine.anatomy import LEVELS, Condition, Finding, Grade, Level, Protocol, Side
from volspine.grades import StudyGrades
from volspine.report.findings import MAP_COLUMNS, SHADES, map_cell
from volspine.report.keyimages import KeyImage
from volspine.report.marks import BAR_MM
from volspine.report.midline import slice_in_words
from volspine.report.scroll import Mark, ScrolledSeries, ScrolledSlice
from volspine.types import FloatArray

__all__ = ["embedded", "key_rows", "panels"]

_PLACES = {Finding.CANAL: "canal", Finding.FORAMEN: "foramen", Finding.RECESS: "recess"}
_ORDER = (Protocol.SAGITTAL_T2, Protocol.AXIAL_T2, Protocol.SAGITTAL_T1, Protocol.OTHER)
_ARM = 0.2


def embedded(data: bytes, kind: str) -> str:
    """Return a file as an address that holds it; `kind` is `png` or `jpeg`."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def key_rows(
    grades: StudyGrades, images: Sequence[KeyImage], panel_list: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the key images by level, each row as the map lays it; levels without any left out.

    Pictures of one condition are shown once where no level was located: they are the same slice.

    Args:
        grades: Of the study.
        images: Key images.
        panel_list: What `panels` returned, to which pictures are linked.
    """
    places = {
        (panel["number"], item["stack"], item["k"]): position
        for panel in panel_list
        for position, item in enumerate(panel["slices"])
    }
    rows = []
    for level in LEVELS:
        ours = {i.target.condition: i for i in _distinct(images) if i.target.level is level}
        figures = [_figure(grades, ours[c], places) for c in MAP_COLUMNS if c in ours]
        if figures:
            rows.append({"level": _heading(ours, level), "figures": figures})
    return rows


def panels(series: Sequence[ScrolledSeries], grades: StudyGrades) -> list[dict[str, Any]]:
    """Return the series in the order that they are read: those that were used first."""
    facts = {f["name"]: f for f in grades.provenance.get("series", [])}

    def rank(each: ScrolledSeries) -> tuple[bool, int, int]:
        is_used = bool(facts.get(each.series.name, {}).get("is_used"))
        return not is_used, _ORDER.index(each.series.protocol), each.number

    return [
        _panel(each, facts.get(each.series.name, {}), grades) for each in sorted(series, key=rank)
    ]


def _panel(each: ScrolledSeries, facts: dict[str, Any], grades: StudyGrades) -> dict[str, Any]:
    label = each.series.protocol.label
    slices = [_slice(each, n, grades) for n in range(len(each.slices))]
    start = _start(each, grades)
    return {
        "number": each.number,
        "label": f"{label[0].upper()}{label[1:]}",
        "name": each.series.name,
        "reason": each.series.reason,
        "use": facts.get("use", ""),
        "slices": slices,
        "start": start,
        "middle": _middle(each, start, grades),
        "every": each.every,
        "edge": each.rung.edge,
        "why_not": each.why_not,
    }


def _slice(each: ScrolledSeries, n: int, grades: StudyGrades) -> dict[str, Any]:
    shown = each.slices[n]
    words = slice_in_words(each.series, shown.stack, shown.k)
    view = shown.view
    width, height = view.size_mm
    return {
        "source": embedded(shown.jpeg, "jpeg"),
        "stack": shown.stack,
        "k": shown.k,
        "width": round(width, 2),
        "height": round(height, 2),
        "corner": _numbers(view.corner_mm),
        "across": _numbers(view.column_mm / np.linalg.norm(view.column_mm)),
        "down": _numbers(view.row_mm / np.linalg.norm(view.row_mm)),
        "edges": dict(zip(("left", "right", "top", "bottom"), view.edges, strict=True)),
        "tag": shown.beside.tag,
        "words": f"{words}, {shown.beside.words}" if shown.beside.words else words,
        "bar": next((mm for mm in BAR_MM if mm <= width / 3), 10.0),
        "marks": [
            _mark(mark, each.series.stacks[shown.stack].plane, grades) for mark in shown.marks
        ],
        "box": " ".join(f"{x:.1f},{y:.1f}" for x, y in shown.box),
    }


def _mark(mark: Mark, plane: str, grades: StudyGrades) -> dict[str, Any]:
    (x, y), side = mark.place_mm, mark.side_mm
    target = mark.target
    name = target.level.label if plane == "sagittal" else _PLACES[target.finding]
    if plane != "sagittal" and target.side is not None:
        name = f"{target.side.value[0].upper()} {name}"
    grade = grades.grades[target.index]
    is_imputed = bool(grades.imputed[target.index])
    word = "" if grade in {None, Grade.NORMAL_MILD} else SHADES[Grade(grade or 0)]
    return {
        "x": round(x, 1),
        "y": round(y, 1),
        "corners": "" if side is None else _corners(x, y, side / 2),
        "label": f"{name} {'not measured' if is_imputed else word}".strip(),
        "label_at": _label_place(mark, plane),
        "title": target.label,
        "is_here": mark.is_here,
    }


def _label_place(mark: Mark, plane: str) -> tuple[float, float, str]:
    """Return where a label stands beside its square, and which end of it: no two on one spot.

    On a sagittal slice behind the spine; on an axial one on the target's own side, which is the
    picture's other, and below the canal.
    """
    (x, y), half = mark.place_mm, (mark.side_mm or 0.0) / 2
    side = mark.target.side
    if plane == "sagittal":
        x, y, anchor = x + half + 1.5, y + 1.5, "start"
    elif side is None:
        y, anchor = y + half + 5.0, "middle"
    else:
        away = half + 1.5 if side is Side.LEFT else -half - 1.5
        x, y, anchor = x + away, y - half / 2, "start" if side is Side.LEFT else "end"
    return round(x, 1), round(y, 1), anchor


def _corners(x: float, y: float, half: float) -> str:
    """Return the corners of a square as the data of an SVG path."""
    arm = 2 * half * _ARM
    parts = []
    for across in (-1, 1):
        for down in (-1, 1):
            a, b = x + across * half, y + down * half
            parts.append(f"M{a - across * arm:.1f} {b:.1f}H{a:.1f}V{b - down * arm:.1f}")
    return "".join(parts)


def _middle(each: ScrolledSeries, start: int, grades: StudyGrades) -> tuple[float, float]:
    """Return what a picture is zoomed about, in percent of its width and height."""
    points = grades.points_mm[np.isfinite(grades.points_mm).all(axis=1)]
    if not len(points) or not each.slices:
        return 50.0, 50.0
    view = each.slices[start].view
    places = np.mean([view.place_mm(point) for point in points], axis=0)
    across, down = np.clip(100 * places / np.array(view.size_mm), 0, 100)
    return round(float(across), 1), round(float(down), 1)


def _start(each: ScrolledSeries, grades: StudyGrades) -> int:
    """Return the slice to begin with: the one with the worst of what lies in it, or the middle."""

    def worth(shown: ScrolledSlice) -> tuple[int, int]:
        here = [m.target.index for m in shown.marks if m.is_here and m.side_mm is not None]
        found = [grades.grades[t] or 0 for t in here if not grades.imputed[t]]
        return sum(int(g) ** 2 for g in found), len(found)

    values = [worth(shown) for shown in each.slices]
    if not any(count for _, count in values):
        return len(each.slices) // 2
    return values.index(max(values))


def _distinct(images: Sequence[KeyImage]) -> list[KeyImage]:
    first = {image.target.condition: image for image in reversed(images) if not image.is_located}
    return [image for image in images if image.is_located or first[image.target.condition] is image]


def _heading(ours: dict[Condition, KeyImage], level: Level) -> str:
    return level.label if any(image.is_located for image in ours.values()) else "All levels"


def _figure(
    grades: StudyGrades, image: KeyImage, places: dict[tuple[int, int, int], int]
) -> dict[str, Any]:
    shown = (image.shown.series, image.shown.stack, image.shown.k)
    width, height = image.size
    scale = image.scale_px
    marks = image.marks
    x, y = (round(mm * scale, 1) for mm in marks.place_mm or (0.0, 0.0))
    side = (marks.side_mm or 0.0) * scale
    return {
        "cell": map_cell(grades, image.target),
        "condition": image.target.condition.label,
        "area": image.target.condition.term,
        "source": embedded(image.jpeg, "jpeg"),
        "heat": embedded(image.heat, "png") if image.heat else "",
        "width": width,
        "height": height,
        "place": None if marks.place_mm is None else (x, y),
        "is_here": marks.is_here,
        "corners": _corners(x, y, side / 2) if side else "",
        "caption": image.caption,
        "detail": image.detail,
        "series": shown[0],
        "position": places.get(shown),
    }


def _numbers(vector: FloatArray) -> str:
    return " ".join(f"{value:.4f}" for value in vector)
