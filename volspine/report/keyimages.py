"""Key images: for a target, the native slice that shows it, upright, with its sides marked.

Pictures are laid out as radiologists read them: on an axial slice the patient's right is on the
left of the picture and the back is below; on a sagittal slice the front is on the left and the
head above. The edges are marked with the direction that lies there (R, L, A, P, S, I); a corner
says on which side of the midline a sagittal slice lies; a bar gives the scale. All slices of a
series share one grey window.

Where the target was located, its slice is the nearest one of its primary view, cut down to its
surroundings; four short lines point at the place and corners show the square that was looked at.
Where it was not, the picture shows the view as a whole: the middle for the canal and the recesses,
one side of the middle for a foramen; the caption says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from volspine.anatomy import TARGETS, Finding, Protocol, Side, Target
from volspine.dicom.study import Study
from volspine.geometry.stack import Stack
from volspine.grades import StudyGrades
from volspine.report.brightness import grey_window
from volspine.report.certainty import percent
from volspine.report.heatmap import heat_png
from volspine.report.keypicture import WIDTH_PX, KeyPicture, Marks, picture_size
from volspine.report.manifest import notices
from volspine.report.midline import beside_canal, slice_in_words
from volspine.report.seen import Square, seen_squares
from volspine.report.upright import View, nearest_slice, upright_slice
from volspine.types import FloatArray
from volspine.volume.heat import PatchHeat, Saliency

__all__ = ["FORAMEN_OFFSET_MM", "SURROUNDINGS_MM", "WIDTH_PX", "KeyImage", "Shown", "key_images"]

FORAMEN_OFFSET_MM = 18.0
"""How far from the middle of a sagittal series a foramen is looked for when it is not located."""

SURROUNDINGS_MM = {"sagittal": 45.0, "coronal": 45.0, "axial": 38.0}
"""How far a key image reaches from a located target: on a sagittal slice both neighbouring levels,
on an axial one the spine with its joints. The scrolled series show the whole."""

_Windows = dict[int, tuple[float, float]]


@dataclass(frozen=True)
class Shown:
    """Which slice a picture shows.

    Attributes:
        series: Number of the series in the study.
        stack: Number of the stack in the series.
        k: Number of the slice in the stack.
    """

    series: int
    stack: int
    k: int

    def of(self, study: Study) -> Stack:
        """Return the stack."""
        return study.series[self.series].stacks[self.stack]


@dataclass(frozen=True)
class KeyImage:
    """A picture of one target.

    Attributes:
        target: What it shows.
        caption: One line about it.
        png: The picture with all marks and a caption below, encoded.
        is_located: Whether the target's place is drawn.
        edges: What lies at the left, right, top and bottom edge: R, L, A, P, S or I.
        heat: What the grade looked at, a transparent picture to lay over `jpeg`; empty where that
            is not known.
        jpeg: The picture with letters and scale alone, encoded; place and square are in `marks`.
        size: Width and height of `jpeg` in pixels.
        scale_px: Pixels of it for each millimetre.
        marks: Where place and square are to be drawn in it.
        detail: The view, the slice, and where that lies.
        shown: Which slice it is.
    """

    target: Target
    caption: str
    png: bytes
    is_located: bool
    edges: tuple[str, str, str, str]
    heat: bytes
    jpeg: bytes
    size: tuple[int, int]
    scale_px: float
    marks: Marks
    detail: str
    shown: Shown

    @property
    def file_name(self) -> str:
        """`key_<level>_<condition>.png`."""
        return f"key_{self.target.level.value}_{self.target.condition.term}.png"


def key_images(
    study: Study, grades: StudyGrades, looks: Mapping[Target, Saliency] | None = None
) -> list[KeyImage]:
    """Return a picture of every target that was measured.

    Args:
        study: The images, native.
        grades: Of the same study; imputed and refused targets have no picture.
        looks: What grades looked at, for those targets of which it is known. Their picture is the
            slice that was looked at most, of the first view.
    """
    if grades.status == "refused":
        return []
    measured = [t for t in range(len(TARGETS)) if not grades.imputed[t]]
    heats = {target.index: look.patches[0] for target, look in (looks or {}).items()}
    drawing = _Drawing(study, grades, seen_squares(grades), {})
    pictures = [drawing.key_image(t, heats.get(t)) for t in measured]
    return [picture for picture in pictures if picture is not None]


@dataclass(frozen=True)
class _Drawing:
    """One study with what all its pictures share."""

    study: Study
    grades: StudyGrades
    squares: list[Square]
    windows: _Windows

    def key_image(self, t: int, heat: PatchHeat | None) -> KeyImage | None:
        target, point = TARGETS[t], self.grades.points_mm[t]
        is_located = bool(np.isfinite(point).all())
        if heat is None:
            shown = _choose_slice(self.study, target, point if is_located else None)
        else:
            shown = _nearest_of(self.study, heat.protocol, heat.slice_middle_mm(heat.hottest_slice))
        if shown is None:
            return None
        stack = shown.of(self.study)
        view = upright_slice(stack, shown.k)
        if is_located:
            view = view.around(point, SURROUNDINGS_MM[stack.plane])
        beside = beside_canal(
            stack, shown.k, self.grades.points_mm, near_mm=point if is_located else None
        )
        picture = KeyPicture(
            view, self._window(shown.series), beside.tag, self._marks(target, view, shown)
        )
        caption, detail = _caption(self.grades, t), self._detail(target, shown)
        told = detail if heat is None else f"{detail}, the slice that was looked at most"
        return KeyImage(
            target=target,
            caption=f"{caption} ({told})",
            png=picture.png((caption, told, notices(self.grades)[-1])),
            is_located=is_located,
            edges=view.edges,
            heat=b"" if heat is None else heat_png(heat, view, size=picture_size(view)),
            jpeg=picture.jpeg(),
            size=picture_size(view),
            scale_px=picture_size(view)[0] / view.size_mm[0],
            marks=picture.marks,
            detail=detail,
            shown=shown,
        )

    def _window(self, number: int) -> tuple[float, float]:
        if number not in self.windows:
            stacks = self.study.series[number].stacks
            self.windows[number] = grey_window(stacks, self.grades.points_mm)
        return self.windows[number]

    def _marks(self, target: Target, view: View, shown: Shown) -> Marks:
        point = self.grades.points_mm[target.index]
        if not np.isfinite(point).all():
            return Marks()
        name = self.study.series[shown.series].name
        sides = [
            square.side_mm
            for square in self.squares
            if square.target == target and (square.series, square.stack) == (name, shown.stack)
        ]
        is_here = _off_mm(shown.of(self.study), shown.k, point) == 0
        return Marks(view.place_mm(point), sides[0] if sides else None, is_here)

    def _detail(self, target: Target, shown: Shown) -> str:
        series, stack = self.study.series[shown.series], shown.of(self.study)
        label = series.protocol.label
        number = slice_in_words(series, shown.stack, shown.k)
        parts = [f"{label[0].upper()}{label[1:]}", number]
        point = self.grades.points_mm[target.index]
        if not np.isfinite(point).all():
            return ", ".join(
                [*parts, f"{_default_place_in_words(target)}; the level was not located"]
            )
        beside = beside_canal(stack, shown.k, self.grades.points_mm, near_mm=point).words
        off = _off_mm(stack, shown.k, point)
        if stack.plane != "axial":
            parts.append(beside)
        if off:
            parts.append(f"the place lies {off:.0f} mm beside it")
        return ", ".join(part for part in parts if part)


def _caption(grades: StudyGrades, t: int) -> str:
    grade = grades.grades[t]
    if grade is None:
        return TARGETS[t].label
    return f"{TARGETS[t].label}: {grade.label} ({percent(float(grades.confidence[t]))})"


def _choose_slice(study: Study, target: Target, point: FloatArray | None) -> Shown | None:
    for protocol in target.finding.primary_views:
        stacks = [stack for series in study.by_protocol(protocol) for stack in series.stacks]
        if stacks:
            wanted = _default_place(stacks, target) if point is None else point
            return _nearest_of(study, protocol, wanted)
    return None


def _nearest_of(study: Study, protocol: Protocol, point: FloatArray) -> Shown | None:
    """Return the slice of a protocol that shows a point or passes nearest to it."""
    found = [
        (stack, Shown(s, n, nearest_slice(stack, point)))
        for s, series in enumerate(study.series)
        if series.protocol is protocol
        for n, stack in enumerate(series.stacks)
    ]
    best = min(found, key=lambda each: _miss_mm(each[0], each[1].k, point), default=None)
    return None if best is None else best[1]


def _default_place(stacks: list[Stack], target: Target) -> FloatArray:
    centers = np.stack([_center_mm(stack) for stack in stacks])
    middle = np.asarray(centers.mean(axis=0), dtype=np.float64)
    if target.finding is Finding.FORAMEN:
        middle[0] += FORAMEN_OFFSET_MM if target.side is Side.LEFT else -FORAMEN_OFFSET_MM
    return middle


def _default_place_in_words(target: Target) -> str:
    if target.finding is not Finding.FORAMEN or target.side is None:
        return "middle of the series"
    return f"{FORAMEN_OFFSET_MM:.0f} mm {target.side.value} of the middle"


def _center_mm(stack: Stack) -> FloatArray:
    half = (np.array(stack.shape) - 1) / 2
    in_plane = stack.affine_lps[:3, :2] @ half[:2]
    return np.asarray(stack.slice_origins_mm.mean(axis=0) + in_plane, dtype=np.float64)


def _off_mm(stack: Stack, k: int, point: FloatArray) -> float:
    """Return how far a place lies beside slice k; 0 within half the way to the next, and 0.5 mm."""
    off = abs(float((stack.slice_origins_mm[k] - point) @ stack.normal))
    return off if off > 0.5 * float(stack.spacing_mm[2]) + 0.5 else 0.0


def _miss_mm(stack: Stack, k: int, point: FloatArray) -> float:
    """Return how far the point is from the rectangle of slice k."""
    offset = point - stack.slice_origins_mm[k]
    through = float(abs(offset @ stack.normal))
    place, *_ = np.linalg.lstsq(stack.affine_lps[:3, :2], offset, rcond=None)
    outside = np.maximum(np.maximum(-place, place - (np.array(stack.shape[:2]) - 1)), 0)
    return through + float(outside @ stack.spacing_mm[:2])
