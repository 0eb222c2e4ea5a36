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

    def at(self, points_mm: FloatArray) -> FloatArray:
        """Return the heat at points, that of the nearest voxel; 0 outside of the patch.

        Args:
            points_mm: (..., 3) LPS.
        """
        affine = self.affine_lps
        index = (points_mm - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
        nearest = np.rint(index).astype(np.int64)
        size = np.array(self.values.shape)
        inside = np.all((nearest >= 0) & (nearest < size), axis=-1)
        d, h, w = np.moveaxis(np.clip(nearest, 0, size - 1), -1, 0)
        return np.where(inside, self.values[d, h, w], 0.0)


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

        Args:
            grid: With its centre. Only what is within a patch, as thick as its slices, is not zero.
        """
        heat = np.zeros(grid.shape, dtype=np.float32)
        i, j = (np.arange(n) for n in grid.shape[:2])
        for k in range(grid.shape[2]):
            index = np.stack(np.meshgrid(i, j, [k], indexing="ij"), axis=-1)[:, :, 0]
            points = grid.mm_from_index(index.astype(np.float64))
            heat[:, :, k] = sum(patch.at(points) for patch in self.patches)
        return heat
