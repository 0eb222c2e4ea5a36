"""A sampled series -> three upright panes: sagittal, coronal and axial, hung as radiologists do.

    sagittal    front on the left, head above
    coronal     the patient's right on the left, head above
    axial       the patient's right on the left, front above

Rows and columns of a pane run against two axes of the grid, which grow to the right, front and
head; so each pane is the grid's plane with both axes reversed.

Shapes:
    I, J, K  voxels of the grid: right, front, head
"""

from dataclasses import dataclass

import numpy as np

from volspine.types import BoolArray, FloatArray, VoxelArray
from volspine.viewer.palette import ColorArray
from volspine.volume.grid import Grid

__all__ = ["PLANES", "Pane", "pane", "pane_at"]

PLANES = ("sagittal", "coronal", "axial")

_AXES = {"sagittal": (0, 1, 2), "coronal": (1, 0, 2), "axial": (2, 0, 1)}
"""For each plane the grid axis across it, along its columns and along its rows."""

_HIGH, _LOW = ("R", "A", "S"), ("L", "P", "I")
_UNMEASURED = (17, 21, 29)


@dataclass(frozen=True)
class Pane:
    """One upright plane.

    Attributes:
        plane: One of `PLANES`.
        pixels: Shape (rows, columns, 3).
        edges: What lies at the left, right, top and bottom edge: two of R/L, A/P, S/I.
        grid: Of the series.
        index: Of the plane, along the axis across it.
    """

    plane: str
    pixels: ColorArray
    edges: tuple[str, str, str, str]
    grid: Grid
    index: int

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height."""
        rows, columns, _ = self.pixels.shape
        _, across, up = _AXES[self.plane]
        return columns * self.grid.spacing_mm[across], rows * self.grid.spacing_mm[up]

    @property
    def points_mm(self) -> FloatArray:
        """Places of the middles of the pixels, LPS, shape (rows, columns, 3)."""
        through, across, up = _AXES[self.plane]
        rows, columns, _ = self.pixels.shape
        index = np.empty((rows, columns, 3))
        index[..., through] = self.index
        index[..., across] = self.grid.shape[across] - 1 - np.arange(columns)
        index[..., up] = self.grid.shape[up] - 1 - np.arange(rows)[:, None]
        return self.grid.mm_from_index(index.reshape(-1, 3)).reshape(rows, columns, 3)

    def locate(self, point_mm: FloatArray) -> tuple[float, float, float]:
        """Return where a point falls: part of the width, part of the height, mm off the plane.

        The parts count from the top left corner, 0 to 1; what is off the plane is positive to the
        right, front and head.
        """
        place = self.grid.index_from_mm(point_mm)
        through, across, up = _AXES[self.plane]
        shape = self.grid.shape
        u = (shape[across] - 0.5 - place[across]) / shape[across]
        v = (shape[up] - 0.5 - place[up]) / shape[up]
        off = (place[through] - self.index) * self.grid.spacing_mm[through]
        return float(u), float(v), float(off)


def pane(
    image: VoxelArray, mask: BoolArray, grid: Grid, *, plane: str, point_mm: FloatArray
) -> Pane:
    """Return the plane through a point, or the nearest one in which something was measured.

    Args:
        image: Normalised, shape (I, J, K).
        mask: What was measured, shape (I, J, K).
        grid: With a centre.
        plane: One of `PLANES`.
        point_mm: LPS millimetres, shape (3,).
    """
    through = _AXES[plane][0]
    index = _nearest_measured(mask, through, float(grid.index_from_mm(point_mm)[through]))
    return pane_at(image, mask, grid, plane=plane, index=index)


def pane_at(image: VoxelArray, mask: BoolArray, grid: Grid, *, plane: str, index: int) -> Pane:
    """Return the plane of a number, whatever it shows.

    Args:
        image: Normalised, shape (I, J, K).
        mask: What was measured, shape (I, J, K).
        grid: With a centre.
        plane: One of `PLANES`.
        index: Along the axis across the plane.
    """
    through, across, up = _AXES[plane]
    grey = np.clip(np.take(image, index, through) * 255, 0, 255).astype(np.uint8)
    seen = np.take(mask, index, through)
    pixels = np.where(seen[..., None], grey[..., None], np.array(_UNMEASURED, np.uint8))
    return Pane(
        plane=plane,
        pixels=np.ascontiguousarray(pixels.transpose(1, 0, 2)[::-1, ::-1]),
        edges=(_HIGH[across], _LOW[across], _HIGH[up], _LOW[up]),
        grid=grid,
        index=index,
    )


def _nearest_measured(mask: BoolArray, axis: int, wanted: float) -> int:
    """Return the plane nearest to the wanted one that shows at least half of the best."""
    others = tuple(a for a in range(3) if a != axis)
    area = mask.sum(axis=others)
    full = np.flatnonzero(area >= max(0.5 * area.max(), 1))
    if len(full) == 0:
        return int(np.clip(round(wanted), 0, mask.shape[axis] - 1))
    return int(full[np.abs(full - wanted).argmin()])
