"""Key images: for a target, the native slice that shows it, upright, with its sides marked.

Pictures are laid out as radiologists read them: on an axial slice the patient's right is on the
left of the picture and the back is below; on a sagittal slice the front is on the left and the
head above. The edges are marked with the direction that lies there (R, L, A, P, S, I).

Where the target was located, its slice is the nearest one of its primary view, cut down to its
surroundings, and the point is drawn. Where it was not, the picture shows the view as a whole: the
middle for the canal and the recesses, one side of the middle for a foramen; the caption says so.
"""

import io
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from volspine.anatomy import TARGETS, Finding, Protocol, Side, Target
from volspine.dicom.study import Study
from volspine.geometry.stack import Stack
from volspine.grades import StudyGrades
from volspine.report.manifest import notices
from volspine.types import FloatArray, VoxelArray

__all__ = [
    "KeyImage",
    "View",
    "grey_bytes",
    "key_images",
    "letter_edges",
    "nearest_slice",
    "upright_slice",
]

FORAMEN_OFFSET_MM = 18.0
"""How far from the middle of a sagittal series a foramen is looked for when it is not located."""

SURROUNDINGS_MM = 55.0
"""How far a key image reaches from a located target: both neighbouring levels, or the spine with
its muscles. The picture of all levels shows the whole."""

WIDTH_PX = 420
"""Width of a key image."""

_CAPTION_PX = 54
_DIRECTIONS = (("R", "L"), ("A", "P"), ("I", "S"))  # Towards smaller and larger x, y, z in LPS.


@dataclass(frozen=True)
class View:
    """One slice, upright.

    Attributes:
        pixels: Shape (rows, columns).
        spacing_mm: Distance between rows and between columns.
        edges: What lies at the left, right, top and bottom edge.
        origin_mm: LPS place of the centre of the first pixel.
        row_mm: LPS step from one row to the next.
        column_mm: LPS step from one column to the next.
    """

    pixels: VoxelArray
    spacing_mm: tuple[float, float]
    edges: tuple[str, str, str, str]
    origin_mm: FloatArray
    row_mm: FloatArray
    column_mm: FloatArray

    def locate(self, point_mm: FloatArray) -> tuple[float, float]:
        """Return (row, column) of the point's projection onto the slice, in pixels."""
        basis = np.stack([self.row_mm, self.column_mm], axis=1)
        place, *_ = np.linalg.lstsq(basis, point_mm - self.origin_mm, rcond=None)
        return float(place[0]), float(place[1])

    def around(self, point_mm: FloatArray, reach_mm: float) -> "View":
        """Return the part of the slice within a square about a point's projection.

        Args:
            point_mm: LPS, shape (3,).
            reach_mm: From the point to the square's sides; what lies off the slice is left out.
        """
        part, origin = [], self.origin_mm
        steps = (self.row_mm, self.column_mm)
        for axis, (place, step) in enumerate(zip(self.locate(point_mm), steps, strict=True)):
            reach, size = reach_mm / self.spacing_mm[axis], self.pixels.shape[axis]
            first = int(np.clip(round(place - reach), 0, size - 1))
            last = int(np.clip(round(place + reach), first, size - 1))
            part.append(slice(first, last + 1))
            origin = origin + first * step
        return replace(self, pixels=self.pixels[tuple(part)], origin_mm=origin)


@dataclass(frozen=True)
class KeyImage:
    """A picture of one target.

    Attributes:
        target: What it shows.
        caption: One line about it.
        png: The picture, encoded.
        is_located: Whether the target's place is drawn.
        edges: What lies at the left, right, top and bottom edge: R, L, A, P, S or I.
    """

    target: Target
    caption: str
    png: bytes
    is_located: bool
    edges: tuple[str, str, str, str]

    @property
    def file_name(self) -> str:
        """`key_<level>_<condition>.png`."""
        return f"key_{self.target.level.value}_{self.target.condition.term}.png"


def upright_slice(stack: Stack, k: int) -> View:
    """Return slice k of a stack as a radiologist hangs it.

    Args:
        stack: Any orientation; an oblique one is hung by its nearest patient plane.
        k: Index of the slice.
    """
    plane = np.asarray(stack.voxels[:, :, k])
    origin = stack.slice_origins_mm[k]
    steps = [stack.affine_lps[:3, 0], stack.affine_lps[:3, 1]]
    across, down = _axes_of(stack)
    if abs(steps[0][across]) < abs(steps[1][across]):
        plane, steps = plane.T, steps[::-1]
    # Here the first axis of the plane runs across the picture, the second down or up.
    for axis, (patient_axis, sign) in enumerate(((across, 1), (down, -1 if down == 2 else 1))):
        if steps[axis][patient_axis] * sign < 0:
            origin = origin + steps[axis] * (plane.shape[axis] - 1)
            plane, steps[axis] = np.flip(plane, axis), -steps[axis]
    column_mm, row_mm = steps
    return View(
        pixels=np.ascontiguousarray(plane.T),
        spacing_mm=(float(np.linalg.norm(row_mm)), float(np.linalg.norm(column_mm))),
        edges=(*_ends(across, column_mm), *_ends(down, row_mm)),
        origin_mm=np.asarray(origin, dtype=np.float64),
        row_mm=row_mm,
        column_mm=column_mm,
    )


def key_images(study: Study, grades: StudyGrades) -> list[KeyImage]:
    """Return a picture of every target that was measured.

    Args:
        study: The images, native.
        grades: Of the same study; imputed and refused targets have no picture.
    """
    if grades.status == "refused":
        return []
    measured = [t for t in range(len(TARGETS)) if not grades.imputed[t]]
    pictures = [_key_image(study, grades, t) for t in measured]
    return [picture for picture in pictures if picture is not None]


def _key_image(study: Study, grades: StudyGrades, t: int) -> KeyImage | None:
    target, point = TARGETS[t], grades.points_mm[t]
    is_located = bool(np.isfinite(point).all())
    chosen = _choose_slice(study, target, point if is_located else None)
    if chosen is None:
        return None
    protocol, stack, k = chosen
    view = upright_slice(stack, k)
    if is_located:
        view = view.around(point, SURROUNDINGS_MM)
    caption = _caption(grades, t)
    detail = f"{protocol.label[0].upper()}{protocol.label[1:]}"
    if not is_located:
        detail += f", {_default_place_in_words(target)}; the level was not located"
    mark = view.locate(point) if is_located else None
    lines = (caption, detail, notices(grades)[-1])
    return KeyImage(
        target, f"{caption} ({detail})", _draw(view, mark, lines), is_located, view.edges
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
            stack, k = min(
                ((stack, nearest_slice(stack, wanted)) for stack in stacks),
                key=lambda found: _miss_mm(found[0], found[1], wanted),
            )
            return protocol, stack, k
    return None


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


def nearest_slice(stack: Stack, point: FloatArray) -> int:
    """Return the slice of a stack that lies nearest to a point, LPS millimetres."""
    num_slices = stack.voxels.shape[2]  # Decodes, which may drop slices and their origins.
    origins = stack.slice_origins_mm[:num_slices]
    return int(np.abs((origins - point) @ stack.normal).argmin())


def _miss_mm(stack: Stack, k: int, point: FloatArray) -> float:
    """Return how far the point is from the rectangle of slice k."""
    offset = point - stack.slice_origins_mm[k]
    through = float(abs(offset @ stack.normal))
    place, *_ = np.linalg.lstsq(stack.affine_lps[:3, :2], offset, rcond=None)
    outside = np.maximum(np.maximum(-place, place - (np.array(stack.shape[:2]) - 1)), 0)
    return through + float(outside @ stack.spacing_mm[:2])


def _axes_of(stack: Stack) -> tuple[int, int]:
    """Return which patient axis runs across the picture and which down."""
    through = int(np.abs(stack.normal).argmax())
    return ((1, 2), (0, 2), (0, 1))[through]


def _ends(patient_axis: int, step: FloatArray) -> tuple[str, str]:
    smaller, larger = _DIRECTIONS[patient_axis]
    return (smaller, larger) if step[patient_axis] > 0 else (larger, smaller)


def _draw(view: View, mark: tuple[float, float] | None, lines: tuple[str, ...]) -> bytes:
    rows, columns = view.pixels.shape
    scale = WIDTH_PX / (columns * view.spacing_mm[1])
    height = max(1, round(rows * view.spacing_mm[0] * scale))
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


def grey_bytes(pixels: VoxelArray) -> "np.ndarray[tuple[int, int], np.dtype[np.uint8]]":
    """Return pixels as grey levels, from their 1st to their 99.5th percentile."""
    finite = pixels[np.isfinite(pixels)]
    low, high = np.percentile(finite, (1, 99.5)) if finite.size else (0.0, 1.0)
    scaled = (np.nan_to_num(pixels, nan=low) - low) / max(high - low, 1e-6)
    return np.asarray(np.clip(scaled, 0, 1) * 255, dtype=np.uint8)


def letter_edges(
    pen: ImageDraw.ImageDraw, edges: tuple[str, str, str, str], size: tuple[int, int]
) -> None:
    """Write what lies at the left, right, top and bottom edge of a picture of a size in pixels."""
    font = ImageFont.load_default(20)
    width, height = size
    places = ((14, height / 2), (width - 14, height / 2), (width / 2, 14), (width / 2, height - 14))
    for letter, place in zip(edges, places, strict=True):
        pen.text(
            place,
            letter,
            fill="yellow",
            font=font,
            anchor="mm",
            stroke_width=2,
            stroke_fill="black",
        )


def _write(pen: ImageDraw.ImageDraw, place: tuple[int, int], line: str) -> None:
    size = 13
    font = ImageFont.load_default(size)
    while size > 7 and pen.textlength(line, font=font) > WIDTH_PX - 12:
        size -= 1
        font = ImageFont.load_default(size)
    pen.text(place, line, fill="white", font=font)
