"""Stack: one regular pile of parallel slices, with the place of every voxel.

Axes of `voxels` are (I, J, K): column, row, slice. The affine takes (i, j, k, 1) to the centre of
that voxel in LPS millimetres. Slices are ordered along their normal so that k grows towards the
patient's left, back or head, whichever is nearest, whatever the instance numbers say.

Where slices are missing inside a stack, or unevenly spaced, no affine can be right for every k:
`slice_origins_mm` always is, and `is_regular` says whether the two agree.
"""

from collections.abc import Callable, Sequence

import numpy as np

from volspine.geometry.axes import Plane, plane_of, positive_normal
from volspine.types import Float, FloatArray, VoxelArray

__all__ = ["Decoded", "Stack"]

Decoded = tuple[VoxelArray, tuple[int, ...], tuple[str, ...]]
"""Voxels of the slices that could be decoded, the indices of those slices, and repairs made."""

REGULAR_MM = 0.05
"""Slices nearer than this to where the affine puts them count as regular."""


class Stack:
    """One regular stack of parallel slices; voxels are decoded on first use.

    Args:
        affine_lps: Shape (4, 4); voxel index to LPS millimetres, voxel centres.
        slice_origins_mm: Shape (K, 3); true position of each slice's voxel (0, 0).
        in_plane_shape: (I, J): columns and rows.
        decode: Called on the first use of `voxels`.
        decode_some: Does the same for slices of some numbers, where that can be done.

    Attributes:
        affine_lps: As given; its origin moves with the first slice that can be decoded.
        repairs: What decoding mended; the series that holds the stack shares its own list here.
    """

    def __init__(
        self,
        affine_lps: FloatArray,
        slice_origins_mm: FloatArray,
        in_plane_shape: tuple[int, int],
        decode: Callable[[], Decoded],
        *,
        decode_some: Callable[[Sequence[int]], Decoded] | None = None,
    ) -> None:
        self.affine_lps = np.array(affine_lps, dtype=np.float64)
        self._origins = np.array(slice_origins_mm, dtype=np.float64)
        self._in_plane_shape = in_plane_shape
        self._decode, self._decode_some = decode, decode_some
        self._voxels: VoxelArray | None = None
        self.repairs: list[str] = []

    def __repr__(self) -> str:
        spacing = " x ".join(f"{mm:.2f}" for mm in self.spacing_mm)
        return f"<Stack {self.plane} {self.shape} {spacing} mm>"

    @classmethod
    def from_array(
        cls, voxels: VoxelArray, affine_lps: FloatArray, slice_origins_mm: FloatArray | None = None
    ) -> "Stack":
        """Return a stack of voxels that are already in memory, shape (I, J, K)."""
        affine = np.asarray(affine_lps, dtype=np.float64)
        if slice_origins_mm is None:
            slice_origins_mm = _origins_of(affine, voxels.shape[2])
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
    def normal(self) -> FloatArray:
        """Unit normal of the slices, towards the patient's left, back or head."""
        columns = self.affine_lps[:3, :2] / self.spacing_mm[:2]
        return positive_normal(columns.T)

    @property
    def plane(self) -> Plane:
        """Anatomical plane that the slices are nearest to."""
        return plane_of(self.normal)

    @property
    def is_regular(self) -> bool:
        """Whether the affine puts every slice where it truly is, to 0.05 mm."""
        expected = _origins_of(self.affine_lps, len(self._origins))
        return bool(np.abs(expected - self._origins).max(initial=0.0) <= REGULAR_MM)

    @property
    def voxels(self) -> VoxelArray:
        """Rescaled intensities, float32, shape (I, J, K).

        Raises:
            PixelError: If no slice can be decoded, or in strict reading any cannot.
        """
        if self._voxels is None:
            voxels, kept, repairs = self._decode()
            if kept:
                self.affine_lps[:3, 3] = self._origins[kept[0]]
            self._origins = self._origins[list(kept)]
            self.repairs.extend(repairs)
            self._voxels = voxels
        return self._voxels

    @property
    def can_decode_some(self) -> bool:
        """Whether `slices` spares the decoding of the others."""
        return self._voxels is None and self._decode_some is not None

    def slices(self, numbers: Sequence[int]) -> tuple[VoxelArray, tuple[int, ...]]:
        """Return some slices without keeping them, and the numbers of those that can be decoded.

        Where `can_decode_some` is false this is part of `voxels`, which are then kept.

        Args:
            numbers: Of slices as they are now; the first use of `voxels` may drop some.

        Returns:
            Rescaled intensities, float32, shape (I, J, slices); and their numbers.

        Raises:
            PixelError: If none of them can be decoded, or in strict reading any cannot.
        """
        if self._voxels is None and self._decode_some is not None:
            voxels, kept, _ = self._decode_some(numbers)
            return voxels, kept
        return self.voxels[:, :, list(numbers)], tuple(numbers)

    def release(self) -> None:
        """Forget decoded voxels; the next use decodes them again."""
        self._voxels = None


def _origins_of(affine: Float[np.ndarray, "4 4"], count: int) -> FloatArray:
    k = np.arange(count, dtype=np.float64)
    return np.asarray(affine[:3, 3] + k[:, None] * affine[:3, 2], dtype=np.float64)
