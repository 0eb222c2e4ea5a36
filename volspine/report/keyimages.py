"""Key images: for a target, the native slice that shows it, upright, with its sides marked.

Pictures are laid out as radiologists read them: on an axial slice the patient's right is on the
left of the picture and the back is below; on a sagittal slice the front is on the left and the
head above. The edges are marked with the direction that lies there (R, L, A, P, S, I).

Where the target was located, its slice is the nearest one of its primary view, cut down to its
surroundings, and the point is drawn. Where it was not, the picture shows the view as a whole: the
middle for the canal and the recesses, one side of the middle for a foramen; the caption says so.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from volspine.anatomy import TARGETS, Finding, Protocol, Side, Target
from volspine.dicom.study import Study
from volspine.geometry.stack import Stack
from volspine.grades import StudyGrades
from volspine.report.heatmap import heat_png
from volspine.report.manifest import notices
from volspine.report.upright import View, grey_bytes, letter_edges, nearest_slice, upright_slice
from volspine.types import FloatArray
from volspine.volume.heat import PatchHeat, Saliency

__all__ = ["KeyImage", "key_images"]

FORAMEN_OFFSET_MM = 18.0
"""How far from the middle of a sagittal series a foramen is looked for when it is not located."""

SURROUNDINGS_MM = 55.0
"""How far a key image reaches from a located target: both neighbouring levels, or the spine with
its muscles. The picture of all levels shows the whole."""

WIDTH_PX = 420
"""Width of a key image."""

_CAPTION_PX = 54


@dataclass(frozen=True)
class KeyImage:
    """A picture of one target.

    Attributes:
        target: What it shows.
        caption: One line about it.
        png: The picture, encoded.
        is_located: Whether the target's place is drawn.
        edges: What lies at the left, right, top and bottom edge: R, L, A, P, S or I.
        heat: What the grade looked at, a transparent picture to lay over the other; empty where
            that is not known.
    """

    target: Target
    caption: str
    png: bytes
    is_located: bool
    edges: tuple[str, str, str, str]
    heat: bytes = b""

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
    pictures = [_key_image(study, grades, t, heats.get(t)) for t in measured]
    return [picture for picture in pictures if picture is not None]


def _key_image(
    study: Study, grades: StudyGrades, t: int, heat: PatchHeat | None = None
) -> KeyImage | None:
    target, point = TARGETS[t], grades.points_mm[t]
    is_located = bool(np.isfinite(point).all())
    if heat is None:
        chosen = _choose_slice(study, target, point if is_located else None)
    else:
        middle = heat.slice_middle_mm(heat.hottest_slice)
        chosen = _nearest_of(study, heat.protocol, middle)
    if chosen is None:
        return None
    protocol, stack, k = chosen
    view = upright_slice(stack, k)
    if is_located:
        view = view.around(point, SURROUNDINGS_MM)
    caption = _caption(grades, t)
    detail = f"{protocol.label[0].upper()}{protocol.label[1:]}"
    if heat is not None:
        detail += ", the slice that was looked at most"
    if not is_located:
        detail += f", {_default_place_in_words(target)}; the level was not located"
    mark = view.locate(point) if is_located else None
    lines = (caption, detail, notices(grades)[-1])
    return KeyImage(
        target=target,
        caption=f"{caption} ({detail})",
        png=_draw(view, mark, lines),
        is_located=is_located,
        edges=view.edges,
        heat=b"" if heat is None else heat_png(heat, view, size=_size(view), below=_CAPTION_PX),
    )


def _caption(grades: StudyGrades, t: int) -> str:
    grade = grades.grades[t]
    if grade is None:
        return TARGETS[t].label
    return f"{TARGETS[t].label}: {grade.label} ({grades.confidence[t]:.2f})"


def _choose_slice(
    study: Study, target: Target, point: FloatArray | None
) -> tuple[Protocol, Stack, int] | None:
    for protocol in target.finding.primary_views:
        stacks = [stack for series in study.by_protocol(protocol) for stack in series.stacks]
        if stacks:
            wanted = _default_place(stacks, target) if point is None else point
            return _nearest_of(study, protocol, wanted)
    return None


def _nearest_of(
    study: Study, protocol: Protocol, point: FloatArray
) -> tuple[Protocol, Stack, int] | None:
    """Return the slice of a protocol that shows a point or passes nearest to it."""
    stacks = [stack for series in study.by_protocol(protocol) for stack in series.stacks]
    found = [(stack, nearest_slice(stack, point)) for stack in stacks]
    best = min(found, key=lambda each: _miss_mm(each[0], each[1], point), default=None)
    return None if best is None else (protocol, *best)


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


def _miss_mm(stack: Stack, k: int, point: FloatArray) -> float:
    """Return how far the point is from the rectangle of slice k."""
    offset = point - stack.slice_origins_mm[k]
    through = float(abs(offset @ stack.normal))
    place, *_ = np.linalg.lstsq(stack.affine_lps[:3, :2], offset, rcond=None)
    outside = np.maximum(np.maximum(-place, place - (np.array(stack.shape[:2]) - 1)), 0)
    return through + float(outside @ stack.spacing_mm[:2])


def _size(view: View) -> tuple[int, int]:
    """Return width and height of the picture of a slice, without its caption."""
    rows, columns = view.pixels.shape
    scale = WIDTH_PX / (columns * view.spacing_mm[1])
    return WIDTH_PX, max(1, round(rows * view.spacing_mm[0] * scale))


def _draw(view: View, mark: tuple[float, float] | None, lines: tuple[str, ...]) -> bytes:
    rows, columns = view.pixels.shape
    _, height = _size(view)
    picture = Image.fromarray(grey_bytes(view.pixels)).resize((WIDTH_PX, height))
    sheet = Image.new("RGB", (WIDTH_PX, height + _CAPTION_PX))
    sheet.paste(picture, (0, 0))
    pen = ImageDraw.Draw(sheet)
    letter_edges(pen, view.edges, (WIDTH_PX, height))
    if mark is not None:
        y = (mark[0] + 0.5) / rows * height
        x = (mark[1] + 0.5) / columns * WIDTH_PX
        pen.ellipse((x - 9, y - 9, x + 9, y + 9), outline="yellow", width=2)
    for number, line in enumerate(lines):
        _write(pen, (6, height + 3 + 17 * number), line)
    stream = io.BytesIO()
    sheet.save(stream, format="PNG", compress_level=1)  # 25 pictures in half a second.
    return stream.getvalue()


def _write(pen: ImageDraw.ImageDraw, place: tuple[int, int], line: str) -> None:
    size = 13
    font = ImageFont.load_default(size)
    while size > 7 and pen.textlength(line, font=font) > WIDTH_PX - 12:
        size -= 1
        font = ImageFont.load_default(size)
    pen.text(place, line, fill="white", font=font)
