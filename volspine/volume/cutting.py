"""A level's place -> which stack shows most of it, and where a crop's lattice lies in that stack.

A crop keeps the slices of its stack: nothing is interpolated from slice to slice. Within a slice
its lattice is square and follows the pixels' own directions, or lies level with the disc. Of all
stacks of a protocol the one is taken that, in this order,

    shows anything of the crop, with its middle inside the field of view
    is of a series with no drawback (contrast agent, reformatted, fat suppressed)
    has most slices in the crop
    has its own middle nearest to the crop's, in slices
    is least tilted against the disc

Slices of a pile with gaps are counted by their place: each fills the slot of the pile's usual
spacing that it is nearest to, at its own true position within the plane, and a slot that no slice
fills was not measured.

Axes: slices run to the left (sagittal) or the head (axial), rows to the feet or the back, columns
to the back or the left, whatever the order in the file.

Shapes:
    D, H, W  slices, rows and columns of a crop      I, J, K  voxels of a stack
"""

from dataclasses import dataclass, replace

import numpy as np

from volspine.anatomy import Protocol
from volspine.dicom.study import Series, Study
from volspine.geometry.axes import Plane
from volspine.geometry.stack import Stack
from volspine.geometry.window import CropShape, LevelFrame, Window, turned_to_frame
from volspine.types import BoolArray, Float, FloatArray
from volspine.volume.frames import in_one_frame
from volspine.volume.placement import even_affine, measured, uneven_index

__all__ = ["Cut", "Place", "best_cut", "cut_native", "cut_window", "places_of", "plane_shown"]

_SAME_PIXELS = 1e-3
"""Slices whose pixels lie behind one another to this part of a pixel are sampled as one."""

_DRAWBACKS = ("after a contrast agent", "reformatted from another series", "fat suppressed")


@dataclass(frozen=True, eq=False)
class Place:
    """One stack of one series."""

    series: Series
    number: int

    @property
    def stack(self) -> Stack:
        """The stack; where its slices are, it says itself."""
        return self.series.stacks[self.number]


def places_of(study: Study, protocol: Protocol) -> list[Place]:
    """Return the stacks of a protocol that lie in the study's frame of reference."""
    return [
        Place(series, number)
        for series in in_one_frame(study).by_protocol(protocol)
        for number in range(len(series.stacks))
    ]


def plane_shown(protocol: Protocol) -> Plane:
    """Return the plane of a graded protocol."""
    return "axial" if protocol is Protocol.AXIAL_T2 else "sagittal"


@dataclass(frozen=True, eq=False)
class Cut:
    """A crop's lattice in one stack.

    Attributes:
        place: The stack.
        shape: (D, H, W).
        affine_lps: Slice, row and column of the crop to LPS millimetres, shape (4, 4).
        slices: For each slice of the crop the stack's, -1 where there is none; None where slices
            are resampled.
        centre_mm: LPS millimetres of what the crop is about.
        tilt_deg: Between the stack's slices and the plane of the frame that they should lie in.
        plane: Sagittal or axial.
    """

    place: Place
    shape: tuple[int, int, int]
    affine_lps: FloatArray
    slices: tuple[int, ...] | None
    centre_mm: FloatArray
    tilt_deg: float
    plane: Plane

    @property
    def shown(self) -> tuple[tuple[int, int], ...]:
        """Pairs of a slice of the crop and the stack's slice that it shows."""
        return tuple((d, k) for d, k in enumerate(self.slices or ()) if k >= 0)

    def in_plane(self) -> Float[np.ndarray, "shown 2 3"]:
        """Return column and row of the stack from (row, column, 1), for each slice shown.

        Slices of an even pile share one such map; then there is one for all of them.
        """
        stack = self.place.stack
        crop, native = np.array(self.shown, dtype=np.int64).reshape(-1, 2).T
        starts = self.affine_lps[:3, 3] + crop[:, None] * self.affine_lps[:3, 0]
        to_pixels = np.linalg.pinv(stack.affine_lps[:3, :2])
        shifts = (starts - stack.slice_origins_mm[native]) @ to_pixels.T
        turn = to_pixels @ self.affine_lps[:3, 1:3]
        if len(shifts) and np.abs(shifts - shifts[0]).max() < _SAME_PIXELS:
            shifts = shifts[:1]
        turns = np.broadcast_to(turn, (len(shifts), 2, 2))
        return np.concatenate([turns, shifts[:, :, None]], axis=2)

    def measured(self) -> BoolArray:
        """Return where the stack measured, (D, H, W): within half a voxel of a voxel's centre."""
        if self.slices is None:
            return _measured_between(self)
        mask = np.zeros(self.shape, dtype=np.bool_)
        if self.shown:
            mask[[d for d, _ in self.shown]] = self._measured_in_plane()
        return mask

    def _measured_in_plane(self) -> BoolArray:
        lines = self.in_plane()[:, None, None]  # shown or 1, 1, 1, 2, 3
        rows, columns = (np.arange(n, dtype=np.float64) for n in self.shape[1:])
        inside = np.ones((len(lines), *self.shape[1:]), dtype=np.bool_)
        for axis, size in enumerate(self.place.stack.shape[:2]):
            line = lines[..., axis, :]
            index = line[..., 0] * rows[:, None] + line[..., 1] * columns + line[..., 2]
            inside &= np.abs(index - (size - 1) / 2) <= size / 2
        return inside

    @property
    def gap_mm(self) -> float:
        """Distance from the middle to the nearest slice, along the slices' normal."""
        stack = self.place.stack
        heights = (stack.slice_origins_mm - self.centre_mm) @ stack.normal
        return float(np.abs(heights).min())

    @property
    def is_covered(self) -> bool:
        """Whether the stack measured at the middle: within half a slice spacing and a pixel."""
        index = _centre_index(self.place.stack, self.centre_mm)
        sizes = np.array(self.place.stack.shape[:2])
        inside = np.all(np.abs(index[:2] - (sizes - 1) / 2) <= sizes / 2)
        return bool(inside) and self.gap_mm <= 0.5 * _step_mm(self.place.stack) + 1e-3

    def mirrored(self) -> "Cut":
        """Return the same crop with left and right in each other's place."""
        axis = 0 if self.plane == "sagittal" else 2
        affine = self.affine_lps.copy()
        affine[:3, 3] += affine[:3, axis] * (self.shape[axis] - 1)
        affine[:3, axis] *= -1.0
        slices = self.slices[::-1] if self.slices is not None and axis == 0 else self.slices
        return replace(self, affine_lps=affine, slices=slices)


def best_cut(cuts: list[Cut]) -> Cut:
    """Return the crop of the stack that shows most; the first of equals."""
    return max(cuts, key=_worth)


def _worth(cut: Cut) -> tuple[bool, tuple[bool, ...], int, float, float]:
    stack, drawbacks = cut.place.stack, cut.place.series.drawbacks
    depth = _centre_index(stack, cut.centre_mm)[2]
    away = abs(depth - (_slots(stack)[-1]) / 2)
    shows = bool(cut.shown) and _is_in_view(stack, cut.centre_mm)
    spotless = tuple(drawback not in drawbacks for drawback in _DRAWBACKS)
    return shows, spotless, len(cut.shown), -float(away), -cut.tilt_deg


def cut_native(
    place: Place, frame: LevelFrame, centre_mm: Float[np.ndarray, "3"], *, shape: CropShape,
    plane: Plane, aligned: bool,
) -> Cut:  # fmt: skip
    """Return a crop that keeps the slices of a stack.

    Args:
        place: The stack.
        frame: Of the level.
        centre_mm: Middle of the crop within its slices, LPS; the slices are those nearest to it.
        shape: Of the crop.
        plane: What the stack is taken for; steep axial slices may be nearer to coronal.
        aligned: Whether a sagittal crop is turned within its plane so that the disc lies level.
    """
    stack = place.stack
    down, across = _in_plane(stack, plane)
    if aligned and plane == "sagittal":
        down, across = turned_to_frame(frame, _normal(stack, plane))
    depth = float(_centre_index(stack, centre_mm)[2])
    first = round(depth - (shape.slices - 1) / 2)
    numbers = first + np.arange(shape.slices)
    step = stack.affine_lps[:3, 2]
    if step @ _normal(stack, plane) < 0:
        numbers, step = numbers[::-1], -step
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([step, down * shape.pixel_mm, across * shape.pixel_mm])
    middle = (np.array(shape.pixels) - 1) / 2
    to_first = stack.affine_lps[:3, 2] * (numbers[0] - depth)
    affine[:3, 3] = centre_mm + to_first - affine[:3, 1:3] @ middle
    size = (shape.slices, *shape.pixels)
    return Cut(place, size, affine, _filled(stack, numbers.tolist()), centre_mm,
               _tilt_deg(stack, frame, plane), plane)  # fmt: skip


def cut_window(place: Place, window: Window, centre_mm: Float[np.ndarray, "3"]) -> Cut:
    """Return a crop on the lattice of a window, whose slices are interpolated between a stack's."""
    tilt = _tilt_deg(place.stack, window.frame, window.plane)
    return Cut(place, window.shape, window.affine_lps, None, centre_mm, tilt, window.plane)


def _normal(stack: Stack, plane: Plane) -> FloatArray:
    """Return the slices' normal towards the left or the head, though these may not be nearest."""
    axis = 0 if plane == "sagittal" else 2
    return np.asarray(stack.normal * (1.0 if stack.normal[axis] >= 0 else -1.0), dtype=np.float64)


def _in_plane(stack: Stack, plane: Plane) -> tuple[FloatArray, FloatArray]:
    """Return unit directions along growing rows and columns of a crop, LPS."""
    axes = stack.affine_lps[:3, :2].T / stack.spacing_mm[:2, None]
    # Columns of an axial crop run to the left, those of a sagittal one to the back.
    along = 0 if plane == "axial" else 1
    column, row = axes if abs(axes[0, along]) >= abs(axes[1, along]) else axes[::-1]
    column = column if column[along] >= 0 else -column
    # Rows run to the back in an axial crop and to the feet in a sagittal one.
    is_right_way = row[1] >= 0 if plane == "axial" else row[2] <= 0
    return (row if is_right_way else -row), column


def _centre_index(stack: Stack, point_mm: FloatArray) -> FloatArray:
    affine = stack.affine_lps
    index = np.linalg.solve(affine[:3, :3], point_mm - affine[:3, 3])
    return np.asarray(index, dtype=np.float64)


def _step_mm(stack: Stack) -> float:
    return abs(float(stack.affine_lps[:3, 2] @ stack.normal))


def _slots(stack: Stack) -> FloatArray:
    """Return the number of each slice in an even pile of the usual spacing."""
    heights = (stack.slice_origins_mm - stack.slice_origins_mm[0]) @ stack.normal
    step = float(stack.affine_lps[:3, 2] @ stack.normal)
    return np.asarray(np.rint(heights / step), dtype=np.float64)


def _filled(stack: Stack, numbers: list[int]) -> tuple[int, ...]:
    """Return the slice in each numbered slot; -1 where there is none."""
    slice_in = {int(slot): k for k, slot in enumerate(_slots(stack).tolist())}
    return tuple(slice_in.get(number, -1) for number in numbers)


def _is_in_view(stack: Stack, point_mm: FloatArray) -> bool:
    index, sizes = _centre_index(stack, point_mm)[:2], np.array(stack.shape[:2])
    return bool(np.all(np.abs(index - (sizes - 1) / 2) <= sizes / 2))


def _tilt_deg(stack: Stack, frame: LevelFrame, plane: Plane) -> float:
    wanted = frame.axes[0 if plane == "sagittal" else 2]
    return float(np.degrees(np.arccos(np.clip(abs(stack.normal @ wanted), 0.0, 1.0))))


def _measured_between(cut: Cut) -> BoolArray:
    """Return where a stack measured on a lattice that crosses its slices."""
    stack = cut.place.stack
    even = even_affine(stack)
    if even is None:
        lattice = np.indices(cut.shape).reshape(3, -1).T
        points = lattice @ cut.affine_lps[:3, :3].T + cut.affine_lps[:3, 3]
        return uneven_index(stack, points)[1].reshape(cut.shape)
    index = np.linalg.solve(even, cut.affine_lps)
    inside = np.ones(cut.shape, dtype=np.bool_)
    for axis, size in enumerate(stack.shape):
        inside &= measured(np.asarray(index[axis], dtype=np.float64), size, cut.shape) > 0
    return inside
