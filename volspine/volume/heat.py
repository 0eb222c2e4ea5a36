"""Heat: how much a grade looked at each place of its patches, with the place of each voxel.

What a network was shown of a target is a *patch* for each view: some native slices, square, centred
on the target. Its heat lies on the same lattice, in the patient as he is: slices run to the left
(sagittal) or the head (axial), columns to the back or the left, for both sides alike.

Needs no torch. Shapes:
    D  slices    H, W  rows and columns of a patch    X, Y, Z  voxels of a grid, RAS order
"""

from dataclasses import dataclass

import numpy as np

from volspine.anatomy import Protocol, Target
from volspine.types import FloatArray, VoxelArray
from volspine.volume.grid import Grid

__all__ = ["PatchHeat", "Saliency"]


@dataclass(frozen=True, eq=False)
class PatchHeat:
    """How much a grade looked at each voxel of one patch.

    Attributes:
        protocol: Of the series that the patch was cut from.
        values: (D, H, W) float32, not negative.
        affine_lps: (4, 4) slice, row and column to LPS millimetres, voxel centres.
    """

    protocol: Protocol
    values: VoxelArray
    affine_lps: FloatArray

    @property
    def total(self) -> float:
        """All heat of the patch."""
        return float(self.values.sum(dtype=np.float64))

    @property
    def slices(self) -> FloatArray:
        """Which share of the heat each slice has, (D,); zero where there is none."""
        along = self.values.sum(axis=(1, 2), dtype=np.float64)
        return np.asarray(along / max(float(along.sum()), 1e-30), dtype=np.float64)

    @property
    def hottest_slice(self) -> int:
        """The slice with most heat; of equals the one nearest to the middle."""
        away = np.abs(np.arange(len(self.values)) - (len(self.values) - 1) / 2)
        return int(np.lexsort((away, -self.slices))[0])

    def slice_middle_mm(self, number: int) -> FloatArray:
        """Return the middle of a slice, LPS."""
        rows, columns = self.values.shape[1:]
        middle = [number, (rows - 1) / 2, (columns - 1) / 2, 1.0]
        return np.asarray((self.affine_lps @ middle)[:3], dtype=np.float64)

    def in_slice(self, number: int, row: FloatArray, column: FloatArray) -> FloatArray:
        """Return the heat within one slice, between voxels bilinear; 0 off the patch.

        Args:
            number: Of the slice.
            row: In voxels, any shape (...).
            column: Likewise.
        """
        plane = self.values[number].astype(np.float64)
        height, width = plane.shape
        is_off = (np.abs(row - (height - 1) / 2) > height / 2) | (
            np.abs(column - (width - 1) / 2) > width / 2
        )
        r, c = np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)
        top, left = np.minimum(r.astype(int), height - 2), np.minimum(c.astype(int), width - 2)
        down, right = r - top, c - left
        upper = plane[top, left] * (1 - right) + plane[top, left + 1] * right
        lower = plane[top + 1, left] * (1 - right) + plane[top + 1, left + 1] * right
        return np.where(is_off, 0.0, upper * (1 - down) + lower * down)

    def at(self, points_mm: FloatArray) -> FloatArray:
        """Return the heat of the slice that lies at each place, (N,); 0 off the patch.

        Args:
            points_mm: (N, 3) LPS.
        """
        linear, corner = self.affine_lps[:3, :3], self.affine_lps[:3, 3]
        index = (points_mm - corner) @ np.linalg.inv(linear).T
        number = np.rint(index[:, 0])
        heat = np.zeros(len(index))
        for k in range(len(self.values)):
            mine = np.flatnonzero(number == k)
            heat[mine] = self.in_slice(k, index[mine, 1], index[mine, 2])
        return heat

    def points_mm(self, apart_mm: float) -> tuple[FloatArray, FloatArray]:
        """Return places and heat: voxels with heat, in parts no further apart than a distance.

        Args:
            apart_mm: The distance.

        Returns:
            (N, 3) LPS and (N,), which sums to `total`.
        """
        steps = np.linalg.norm(self.affine_lps[:3, :3], axis=0)
        counts = np.maximum(1, np.ceil(steps / apart_mm)).astype(np.int64)
        parts = [(np.arange(n) + 0.5) / n - 0.5 for n in counts]
        inside = np.stack(np.meshgrid(*parts, indexing="ij"), axis=-1).reshape(-1, 3)
        hot = np.argwhere(self.values > 0)
        index = (hot[:, None] + inside).reshape(-1, 3)
        heat = np.repeat(self.values[tuple(hot.T)].astype(np.float64) / len(inside), len(inside))
        return index @ self.affine_lps[:3, :3].T + self.affine_lps[:3, 3], heat


@dataclass(frozen=True, eq=False)
class Saliency:
    """How much one grade looked at each place.

    Attributes:
        target: Whose grade.
        method: `attention`: how much of what the network reads of a patch is from there, summing to
            one in each patch; `gradcam`: how much what is there speaks for the grade.
        patches: One for each view in which the target was seen; the primary ones first.
    """

    target: Target
    method: str
    patches: tuple[PatchHeat, ...]

    @property
    def values(self) -> VoxelArray:
        """Heat of the first patch, (D, H, W)."""
        return self.patches[0].values

    @property
    def affine_lps(self) -> FloatArray:
        """Of the first patch: slice, row and column to LPS millimetres."""
        return self.patches[0].affine_lps

    @property
    def slices(self) -> FloatArray:
        """Share of the heat of each slice of the first patch, (D,)."""
        return self.patches[0].slices

    def on_grid(self, grid: Grid) -> VoxelArray:
        """Return the heat of all patches on a grid, (X, Y, Z) float32, added up.

        Each voxel of the grid has the heat of what lies in it, so the grid has all heat that lies
        within it, however coarse or fine it is; slices are as thick as they lie apart.

        Args:
            grid: With its centre.
        """
        heat = np.zeros(grid.shape, dtype=np.float64)
        for patch in self.patches:
            points, values = patch.points_mm(min(grid.spacing_mm))
            nearest = np.rint(grid.index_from_mm(points)).astype(np.int64)
            inside = np.all((nearest >= 0) & (nearest < grid.shape), axis=1)
            np.add.at(heat, tuple(nearest[inside].T), values[inside])
        return heat.astype(np.float32)
