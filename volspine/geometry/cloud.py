"""Voxels -> points: every voxel of a stack once, at its true place.

Nothing is resampled. A voxel (i, j) of slice k lies at

    origin[k] + i * column_step + j * row_step        (LPS millimetres)

where `origin[k]` is the slice's own true position, so missing, uneven and sheared slices need no
care. Points are float32: half a metre from the origin they are exact to 0.03 micrometres,
far below any voxel. Slices are placed one at a time and what is below the threshold
is never placed, so the peak need is that of the result: 16 bytes a point.

Shapes:
    N  points      I, J, K  voxels of a stack: column, row, slice
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from volspine.errors import ConfigurationError
from volspine.geometry.stack import Stack
from volspine.types import BoolArray, FloatArray, VoxelArray

__all__ = ["PointCloud", "cloud_of_slices", "joined", "point_cloud"]


@dataclass(frozen=True)
class PointCloud:
    """Points with an intensity each.

    Attributes:
        points_mm: Float32, shape (N, 3), LPS millimetres.
        intensity: Float32, shape (N,); rescaled values as in `Stack.voxels`.

    Raises:
        ConfigurationError: If the two do not belong together.
    """

    points_mm: VoxelArray
    intensity: VoxelArray

    def __post_init__(self) -> None:
        if self.points_mm.shape != (*self.intensity.shape, 3) or self.intensity.ndim != 1:
            raise ConfigurationError(
                f"points of shape {self.points_mm.shape} for intensities of shape "
                f"{self.intensity.shape}",
                remedy="give one (x, y, z) for each intensity",
                code="VS-CFG-031",
            )

    def __len__(self) -> int:
        return len(self.intensity)

    def above(self, threshold: float) -> "PointCloud":
        """Return the points whose intensity is above a threshold."""
        keep = self.intensity > threshold
        return PointCloud(self.points_mm[keep], self.intensity[keep])

    def thinned(self, limit: int) -> "PointCloud":
        """Return at most `limit` points, evenly taken in storage order; itself if it has no more.

        Raises:
            ConfigurationError: If the limit is not positive.
        """
        if limit < 1:
            raise ConfigurationError(
                f"a limit of {limit} points", remedy="give at least 1", code="VS-CFG-032"
            )
        if len(self) <= limit:
            return self
        keep = np.linspace(0, len(self) - 1, limit).astype(np.int64)
        return PointCloud(self.points_mm[keep], self.intensity[keep])


def point_cloud(stacks: Iterable[Stack], *, threshold: float | None = None) -> PointCloud:
    """Return every voxel of some stacks as a point; those above a threshold if one is given.

    Args:
        stacks: Of one series or of many.
        threshold: In the stacks' intensity; what is at or below it is left out.

    Example:
        >>> stack = Stack.from_array(np.ones((1, 1, 2), np.float32), np.diag([1.0, 1, 3, 1]))
        >>> point_cloud([stack]).points_mm.tolist()
        [[0.0, 0.0, 0.0], [0.0, 0.0, 3.0]]
    """
    return joined(
        cloud for stack in stacks for cloud in cloud_of_slices(stack, threshold=threshold)
    )


def joined(clouds: Iterable[PointCloud]) -> PointCloud:
    """Return the points of all clouds, one cloud after the other."""
    parts = [PointCloud(np.zeros((0, 3), np.float32), np.zeros(0, np.float32)), *clouds]
    return PointCloud(
        np.concatenate([part.points_mm for part in parts]),
        np.concatenate([part.intensity for part in parts]),
    )


def cloud_of_slices(
    stack: Stack, *, threshold: float | None = None, where: BoolArray | None = None
) -> Iterator[PointCloud]:
    """Yield one cloud for each slice, so that a long series never stands in memory as a whole.

    Args:
        stack: Its voxels are decoded.
        threshold: What is at or below it is left out.
        where: Shape (I, J, K); which voxels to take, all if omitted.
    """
    voxels = stack.voxels  # Before the origins: decoding may drop slices.
    plane = _plane_mm(stack)
    for k, origin in enumerate(stack.slice_origins_mm):
        keep = np.ones(len(plane), np.bool_) if where is None else where[:, :, k].ravel()
        intensity = voxels[:, :, k].ravel()
        if threshold is not None:
            keep = keep & (intensity > threshold)
        yield PointCloud((plane[keep] + origin).astype(np.float32), intensity[keep])


def _plane_mm(stack: Stack) -> FloatArray:
    """Return the steps from a slice's first voxel to each of its voxels, shape (I * J, 3)."""
    columns, rows, _ = stack.shape
    across = np.arange(columns)[:, None, None] * stack.affine_lps[:3, 0]
    down = np.arange(rows)[None, :, None] * stack.affine_lps[:3, 1]
    return np.asarray((across + down).reshape(-1, 3), dtype=np.float64)
