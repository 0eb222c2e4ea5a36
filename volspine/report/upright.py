"""Slices hung upright: a slice of a stack, in whatever order it is stored -> a picture for reading.

On an axial slice the patient's right is on the left of the picture and the back is below; on a
sagittal slice the front is on the left and the head above. What lies at each edge is known by its
letter (R, L, A, P, S, I), and every pixel by its place in the patient.
"""

from dataclasses import dataclass, replace

import numpy as np
from PIL import ImageDraw, ImageFont

from volspine.geometry.stack import Stack
from volspine.types import FloatArray, VoxelArray

__all__ = [
    "LETTER_PX",
    "View",
    "grey_bytes",
    "letter_edges",
    "nearest_slice",
    "stored_edges",
    "upright_slice",
]

LETTER_PX = 30
"""Size of the letters at the edges: to be read where a picture is shown at half its size."""

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

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height of the picture, to the edges of its outer pixels."""
        rows, columns = self.pixels.shape
        return columns * self.spacing_mm[1], rows * self.spacing_mm[0]

    @property
    def corner_mm(self) -> FloatArray:
        """LPS place of the picture's upper left corner."""
        return np.asarray(self.origin_mm - (self.row_mm + self.column_mm) / 2, dtype=np.float64)

    def place_mm(self, point_mm: FloatArray) -> tuple[float, float]:
        """Return how far the point's projection lies from the picture's left and upper edge."""
        row, column = self.locate(point_mm)
        return (column + 0.5) * self.spacing_mm[1], (row + 0.5) * self.spacing_mm[0]

    def around(self, point_mm: FloatArray, reach_mm: float) -> "View":
        """Return the part of the slice within a square about a point's projection.

        Args:
            point_mm: LPS, shape (3,).
            reach_mm: From the point to the square's sides; what lies off the slice is left out.
        """
        x, y = self.place_mm(point_mm)
        return self.part((x - reach_mm, y - reach_mm), (x + reach_mm, y + reach_mm))

    def part(self, first_mm: tuple[float, float], last_mm: tuple[float, float]) -> "View":
        """Return the part between two corners, at least one pixel of it.

        Args:
            first_mm: The upper left corner, from the left and upper edge of this view.
            last_mm: The lower right one. What lies off the slice is left out.
        """
        origin, kept = self.origin_mm, []
        for axis, step in enumerate((self.row_mm, self.column_mm)):
            spacing, size = self.spacing_mm[axis], self.pixels.shape[axis]
            ends = (first_mm[1 - axis] / spacing - 0.5, last_mm[1 - axis] / spacing - 0.5)
            first = int(np.clip(round(ends[0]), 0, size - 1))
            last = int(np.clip(round(ends[1]), first, size - 1))
            kept.append(slice(first, last + 1))
            origin = origin + first * step
        return replace(self, pixels=self.pixels[tuple(kept)], origin_mm=origin)


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


def stored_edges(stack: Stack) -> tuple[str, str, str, str]:
    """Return what lies at the left, right, top and bottom edge of a slice shown as it is stored."""
    column_mm, row_mm = stack.affine_lps[:3, 0], stack.affine_lps[:3, 1]
    across, down = _axes_of(stack)
    if abs(column_mm[across]) < abs(row_mm[across]):
        across, down = down, across
    return (*_ends(across, column_mm), *_ends(down, row_mm))


def nearest_slice(stack: Stack, point: FloatArray) -> int:
    """Return the slice of a stack that lies nearest to a point, LPS millimetres."""
    num_slices = stack.voxels.shape[2]  # Decodes, which may drop slices and their origins.
    origins = stack.slice_origins_mm[:num_slices]
    return int(np.abs((origins - point) @ stack.normal).argmin())


def _axes_of(stack: Stack) -> tuple[int, int]:
    """Return which patient axis runs across the picture and which down."""
    through = int(np.abs(stack.normal).argmax())
    return ((1, 2), (0, 2), (0, 1))[through]


def _ends(patient_axis: int, step: FloatArray) -> tuple[str, str]:
    smaller, larger = _DIRECTIONS[patient_axis]
    return (smaller, larger) if step[patient_axis] > 0 else (larger, smaller)


def grey_bytes(
    pixels: VoxelArray, window: tuple[float, float] | None = None
) -> "np.ndarray[tuple[int, int], np.dtype[np.uint8]]":
    """Return pixels as grey levels.

    Args:
        pixels: Of one slice.
        window: What is shown black and white; their 1st and 99.5th percentile if not given.
    """
    low, high = _usual_window(pixels) if window is None else window
    scaled = (np.nan_to_num(pixels, nan=low) - low) / max(high - low, 1e-6)
    return np.asarray(np.clip(scaled, 0, 1) * 255, dtype=np.uint8)


def _usual_window(pixels: VoxelArray) -> tuple[float, float]:
    finite = pixels[np.isfinite(pixels)]
    low, high = np.percentile(finite, (1, 99.5)) if finite.size else (0.0, 1.0)
    return float(low), float(high)


def letter_edges(
    pen: ImageDraw.ImageDraw, edges: tuple[str, str, str, str], size: tuple[int, int]
) -> None:
    """Write what lies at the left, right, top and bottom edge of a picture of a size in pixels."""
    font = ImageFont.load_default(LETTER_PX)
    (width, height), in_by = size, LETTER_PX * 0.6
    middle = (width / 2, height / 2)
    places = (
        (in_by, middle[1]),
        (width - in_by, middle[1]),
        (middle[0], in_by),
        (middle[0], height - in_by),
    )
    for letter, place in zip(edges, places, strict=True):
        pen.text(
            place,
            letter,
            fill="white",
            font=font,
            anchor="mm",
            stroke_width=2,
            stroke_fill="black",
        )
