"""Stack: one regular pile of parallel slices, with the place of every voxel.

Axes of `voxels` are (I, J, K): column, row, slice. The affine takes (i, j, k, 1) to the centre of
that voxel in LPS millimetres. Slices are ordered along their normal so that k grows towards the
patient's left, back or head, whichever is nearest, whatever the instance numbers say.
"""

from collections.abc import Callable

import numpy as np

from volspine.types import FloatArray, VoxelArray

__all__ = ["Decoded", "Stack"]

Decoded = tuple[VoxelArray, tuple[int, ...], tuple[str, ...]]
"""Voxels of the slices that could be decoded, the indices of those slices, and repairs made."""


class Stack:
    """One regular stack of parallel slices; voxels are decoded on first use.

    Args:
        affine_lps: Shape (4, 4); voxel index to LPS millimetres, voxel centres.
        slice_origins_mm: Shape (K, 3); true position of each slice's voxel (0, 0).
        in_plane_shape: (I, J): columns and rows.
        decode: Called once, on the first use of `voxels`.
    """

    def __init__(
        self,
        affine_lps: FloatArray,
        slice_origins_mm: FloatArray,
        in_plane_shape: tuple[int, int],
        decode: Callable[[], Decoded],
    ) -> None:
        self.affine_lps = np.array(affine_lps, dtype=np.float64)
        self._origins = np.array(slice_origins_mm, dtype=np.float64)
        self._in_plane_shape = in_plane_shape
        self._decode = decode
        self._voxels: VoxelArray | None = None
        self.repairs: list[str] = []

    @classmethod
    def from_array(
        cls, voxels: VoxelArray, affine_lps: FloatArray, slice_origins_mm: FloatArray | None = None
    ) -> "Stack":
        """Return a stack of voxels that are already in memory, shape (I, J, K)."""
        affine = np.asarray(affine_lps, dtype=np.float64)
        if slice_origins_mm is None:
            k = np.arange(voxels.shape[2], dtype=np.float64)
            slice_origins_mm = affine[:3, 3] + k[:, None] * affine[:3, 2]
        everything = tuple(range(voxels.shape[2]))
        plane = (voxels.shape[0], voxels.shape[1])
        return cls(affine, slice_origins_mm, plane, lambda: (voxels, everything, ()))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(I, J, K); K may shrink when voxels are first decoded and a slice proves unreadable."""
        return (*self._in_plane_shape, len(self._origins))

    @property
    def slice_origins_mm(self) -> FloatArray:
        """True position of each slice's first voxel, shape (K, 3), LPS millimetres."""
        return self._origins

    @property
    def spacing_mm(self) -> FloatArray:
        """Distance between voxel centres along i, j and k."""
        return np.asarray(np.linalg.norm(self.affine_lps[:3, :3], axis=0), dtype=np.float64)

    @property
    def voxels(self) -> VoxelArray:
        """Rescaled intensities, float32, shape (I, J, K)."""
        if self._voxels is None:
            voxels, kept, repairs = self._decode()
            self._origins = self._origins[list(kept)]
            self.repairs.extend(repairs)
            self._voxels = voxels
        return self._voxels
