"""Grid points -> where they lie in a stack, and whether the stack measured there.

A stack with evenly spaced slices, sheared or not, is one affine map: its index is linear in the
grid's. A stack with missing or unevenly spaced slices is linear between neighbouring slices only:
the distance s along the normal picks the pair of slices, and the origin of the plane at s is
interpolated between theirs, so that every slice keeps its true place.

Measured means within half a voxel of a voxel's centre; the border itself is always inside, at both
ends alike. A gap of more than `MAX_GAP` slice spacings is not bridged.

Shapes:
    X, Y, Z  grid points      I, J, K  voxels of the stack      P  grid points flattened
"""

import numpy as np

from volspine.geometry.stack import Stack
from volspine.types import BoolArray, FloatArray
from volspine.volume.reach import BORDER

__all__ = ["MAX_GAP", "even_affine", "measured", "nominal_step_mm", "uneven_index"]

MAX_GAP = 2.5
"""Neighbouring slices further apart than this many spacings are not interpolated between."""

_EVEN_MM = 0.02
"""Largest distance of a slice from its place in an even pile that still counts as even."""


def even_affine(stack: Stack) -> FloatArray | None:
    """Return the affine of the slices' true places, shape (4, 4); None if they are not even."""
    origins = stack.slice_origins_mm
    affine = stack.affine_lps.copy()
    affine[:3, 3] = origins[0]
    if len(origins) == 1:
        return affine
    step = (origins[-1] - origins[0]) / (len(origins) - 1)
    even = origins[0] + np.arange(len(origins))[:, None] * step
    if np.linalg.norm(origins - even, axis=1).max() > _EVEN_MM:
        return None
    affine[:3, 2] = step
    return affine


def nominal_step_mm(stack: Stack) -> float:
    """Return the usual distance between neighbouring slices along their normal."""
    if len(stack.slice_origins_mm) == 1:
        return float(stack.spacing_mm[2])
    return float(np.median(np.abs(np.diff(stack.slice_origins_mm @ _normal(stack)))))


def measured(index_from_grid: FloatArray, size: int, shape: tuple[int, int, int]) -> FloatArray:
    """Return how far inside one axis of a stack each grid point lies, in voxels; below 0: outside.

    Args:
        index_from_grid: Shape (4,); the row of the affine that gives this axis' index.
        size: Number of voxels along the axis.
        shape: (X, Y, Z) of the grid.

    Returns:
        Broadcastable to (X, Y, Z); a grid axis that the index does not depend on has length 1.
    """
    index = np.full((1, 1, 1), index_from_grid[3] - (size - 1) / 2)
    for axis, coefficient in enumerate(index_from_grid[:3]):
        if abs(coefficient) * shape[axis] > BORDER * 1e-3:
            ruler = np.arange(shape[axis]).reshape([-1 if a == axis else 1 for a in range(3)])
            index = index + coefficient * ruler
    return np.asarray(size / 2 + BORDER - np.abs(index), dtype=np.float64)


def uneven_index(stack: Stack, points_mm: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Return the fractional voxel index of points in a stack of unevenly spaced slices.

    Args:
        stack: At least two slices.
        points_mm: Shape (P, 3), LPS millimetres.

    Returns:
        Indices, shape (P, 3), and where the stack measured, shape (P,).
    """
    normal, step = _normal(stack), nominal_step_mm(stack)
    origins = _extended(stack.slice_origins_mm, normal, step)
    heights = origins @ normal
    if heights[-1] < heights[0]:
        heights, normal = -heights, -normal
    height = points_mm @ normal
    k, between = _slice_index(height, heights, step)
    to_plane = np.linalg.pinv(stack.affine_lps[:3, :2])  # (2, 3): millimetres to column, row
    planes = origins @ to_plane.T
    index = np.empty(points_mm.shape)
    index[:, 2] = k
    for axis in range(2):
        start = np.interp(height, heights, planes[:, axis])
        index[:, axis] = points_mm @ to_plane[axis] - start
    columns, rows, slices = stack.shape
    half = np.array([columns, rows, slices]) / 2
    inside = np.abs(index - (half - 0.5)) <= half + BORDER
    return index, inside.all(axis=1) & ~between


def _slice_index(
    height: FloatArray, heights: FloatArray, step: float
) -> tuple[FloatArray, BoolArray]:
    # `heights` holds one more slice at each end; the true ones are numbered from 0.
    k = np.interp(height, heights, np.arange(len(heights)) - 1.0)
    k[height < heights[0]], k[height > heights[-1]] = -1.0, len(heights) - 2.0
    below = np.clip(np.floor(k).astype(np.int64) + 1, 0, len(heights) - 2)
    low, high = heights[below], heights[below + 1]
    wide = high - low > MAX_GAP * step
    reach = step * (0.5 + BORDER)
    between = wide & (height - low > reach) & (high - height > reach)
    return np.where(wide, np.rint(k), k), between


def _extended(origins: FloatArray, normal: FloatArray, step: float) -> FloatArray:
    """Continue a pile by one nominal step at both ends, along its own slant."""
    first, last = origins[0] - origins[1], origins[-1] - origins[-2]
    before = origins[0] + first * step / abs(first @ normal)
    after = origins[-1] + last * step / abs(last @ normal)
    return np.concatenate([before[None], origins, after[None]])


def _normal(stack: Stack) -> FloatArray:
    normal = np.cross(stack.affine_lps[:3, 0], stack.affine_lps[:3, 1])
    return np.asarray(normal / np.linalg.norm(normal), dtype=np.float64)
