"""Cutouts: where the lattice of a level's crop lies in the stack that shows most of the level.

A crop keeps the slices of its stack; within them its lattice is square, may be turned, and is
centred on the canal at the level's disc, or beside it.

Shapes: (D, H, W) slices, rows and columns of a crop.
"""

from dataclasses import dataclass

import numpy as np

from volspine.anatomy import LEVELS, Level, Protocol
from volspine.errors import GeometryError
from volspine.geometry.window import AXIAL, SAGITTAL, CropShape
from volspine.phantom.frame import FIRST_SEGMENT
from volspine.phantom.scene import Place, Scene
from volspine.types import BoolArray, FloatArray

__all__ = ["AXIAL", "SAGITTAL", "CropShape", "Cutout", "cut_out"]


@dataclass(frozen=True)
class Cutout:
    """A crop's lattice in the voxels of one stack.

    Attributes:
        place: The stack.
        shape: Of the crop.
        first: Its first slice in the stack; may be negative.
        turn: (2, 3) column and row of the stack from (row, column, 1) of the crop.
    """

    place: Place
    shape: CropShape
    first: int
    turn: FloatArray

    @property
    def slices(self) -> range:
        """Slices of the stack that the crop shows."""
        last = min(self.first + self.shape.slices, len(self.place.members))
        return range(max(self.first, 0), max(last, 0))

    def box(self) -> tuple[FloatArray, FloatArray]:
        """Return the lowest and highest column, row and slice, in acquired pixels."""
        rows, columns = self.shape.pixels
        corners = np.array([[r, c, 1] for r in (0, rows - 1) for c in (0, columns - 1)])
        index = corners @ self.turn.T * self.place.acquired_per_stored
        ends = self.slices.start, self.slices.stop - 1
        return np.append(index.min(axis=0), ends[0]), np.append(index.max(axis=0), ends[1])

    def measured(self) -> BoolArray:
        """Return where the crop was measured, (D, H, W): within half a voxel of a centre."""
        rows, columns = (np.arange(n, dtype=np.float64) for n in self.shape.pixels)
        inside = np.ones(self.shape.pixels, dtype=np.bool_)
        for line, size in zip(self.turn, self.place.stack.shape[:2], strict=True):
            index = line[0] * rows[:, None] + line[1] * columns + line[2]
            inside &= np.abs(index - (size - 1) / 2) <= size / 2
        slices = np.arange(self.first, self.first + self.shape.slices)
        there = (slices >= 0) & (slices < len(self.place.members))
        return there[:, None, None] & inside

    def affine_lps(self) -> FloatArray:
        """Return slice, row and column of the crop to LPS millimetres, (4, 4)."""
        index = np.zeros((4, 4))
        index[:2, 1:] = self.turn
        index[2, 0], index[2, 3], index[3, 3] = 1.0, self.first, 1.0
        return np.asarray(self.place.stack.affine_lps @ index)


def cut_out(
    scene: Scene,
    key: tuple[Level, Protocol],
    offset_mm: FloatArray,
    how: tuple[tuple[CropShape, CropShape], bool],
) -> Cutout:
    """Return the crop of a level in the stack of a protocol that shows most of it."""
    level, protocol = key
    (sagittal, axial), aligned = how
    shape = axial if protocol is Protocol.AXIAL_T2 else sagittal
    centre = scene.landmarks_mm[LEVELS.index(level)] + offset_mm
    angle = _tilt(scene, level) if aligned and shape is sagittal else 0.0
    found = [_centred(place, shape, centre, angle) for place in scene.of(protocol)]
    if not found:
        raise GeometryError(f"the study has no {protocol.label} series", code="VS-GEO-034")
    return max(found, key=lambda c: (len(c.slices), -_distance(c, centre)))


def _tilt(scene: Scene, level: Level) -> float:
    """Return how far a disc's upward normal leans backwards, radians."""
    first = FIRST_SEGMENT + LEVELS.index(level)
    return float(scene.truth.anatomy.frame.tilts[first : first + 2].mean())


def _centred(place: Place, shape: CropShape, centre_mm: FloatArray, angle: float) -> Cutout:
    affine = place.stack.affine_lps
    column, row, depth = np.linalg.solve(affine[:3, :3], centre_mm - affine[:3, 3])
    step = shape.pixel_mm / place.plan.pixel_mm
    cosine, sine = step * np.cos(angle), step * np.sin(angle)
    # A crop's row runs down the disc's normal: (0, -sine, -cosine) in (x, y, z).
    turn = np.array([[-sine, cosine, 0.0], [cosine, sine, 0.0]])
    middle = (np.array(shape.pixels) - 1) / 2
    turn[:, 2] = np.array([column, row]) - turn[:, :2] @ middle
    return Cutout(place, shape, round(float(depth) - (shape.slices - 1) / 2), turn)


def _distance(cutout: Cutout, centre_mm: FloatArray) -> float:
    """Return how far a point lies from the middle of the stack, in slices."""
    stack = cutout.place.stack
    depth = np.linalg.solve(stack.affine_lps[:3, :3], centre_mm - stack.affine_lps[:3, 3])[2]
    return abs(float(depth) - (stack.shape[2] - 1) / 2)
