"""An affine map -> which points of a grid a stack reaches, row by row instead of point by point.

Along a row of the grid (i, j fixed, k running) every index of the stack grows evenly, so the points
inside are one run of k. Its two ends follow from two divisions for each axis of the stack:

    |o + s k - (n - 1) / 2| <= n / 2 + slack     n voxels, s per step, o at k = 0

What is computed is as small as the face of the grid. The same with a slack just below zero gives
what lies inside beyond doubt; the difference, the rim, is where rounding decides.

Shapes:
    X, Y, Z  grid points
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from volspine.types import BoolArray, FloatArray, IntArray

__all__ = ["BORDER", "reached", "rim_of"]

BORDER = 1e-3
"""In voxels: what rounding in a file may shift a border that is still inside."""

_DOUBT = 1e-6
"""In voxels: how near a border a point's side of it is left to rounding."""


def reached(
    source_from_target: FloatArray,
    sizes: Sequence[int],
    shape: tuple[int, int, int],
    *,
    slack: float = BORDER,
) -> BoolArray:
    """Return which points of a grid lie within half a voxel of a voxel of a stack.

    Args:
        source_from_target: Shape (4, 4); index in the grid to index in the stack.
        sizes: Voxels of the stack along its three axes.
        shape: (X, Y, Z) of the grid.
        slack: In voxels; how much further out a point may be.

    Returns:
        Shape (X, Y, Z).

    Example:
        >>> reached(np.diag([1.0, 1.0, 0.5, 1.0]), (1, 1, 2), (1, 1, 5)).ravel().tolist()
        [True, True, True, True, False]
    """
    return _filled(*_runs(source_from_target, sizes, shape, slack), shape[2])


def rim_of(
    source_from_target: FloatArray, sizes: Sequence[int], shape: tuple[int, int, int]
) -> tuple[IntArray, FloatArray]:
    """Return the points that are `reached`, but so near a border that rounding decides.

    Args:
        source_from_target: As there.
        sizes: As there.
        shape: As there.

    Returns:
        Indices in the grid, shape (points, 3), and in the stack, shape (points, 3).
    """
    outer = _runs(source_from_target, sizes, shape, BORDER)
    inner = _runs(source_from_target, sizes, shape, -_DOUBT)
    rows = np.argwhere((outer[0] != inner[0]) | (outer[1] != inner[1]))
    i, j = rows.T
    near = _filled(outer[0][i, j], outer[1][i, j], shape[2])
    near &= ~_filled(inner[0][i, j], inner[1][i, j], shape[2])
    row, k = np.nonzero(near)
    rim = np.column_stack([rows[row], k])
    index = rim @ source_from_target[:3, :3].T + source_from_target[:3, 3]
    return rim, np.asarray(index, dtype=np.float64)


def _filled(first: NDArray[np.int32], last: NDArray[np.int32], count: int) -> BoolArray:
    """Return which k of each row lie from its first to its last, (..., count)."""
    k = np.arange(count, dtype=np.int32)
    inside: BoolArray = k >= first[..., None]
    inside &= k <= last[..., None]
    return inside


def _runs(
    source_from_target: FloatArray,
    sizes: Sequence[int],
    shape: tuple[int, int, int],
    slack: float,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the first and last k of every row that lie inside, (X, Y) each."""
    first, last = np.zeros(shape[:2]), np.full(shape[:2], shape[2] - 1.0)
    i, j = np.arange(shape[0])[:, None], np.arange(shape[1])
    for (along_i, along_j, step, start), size in zip(source_from_target[:3], sizes, strict=True):
        offset = start - (size - 1) / 2 + along_i * i + along_j * j
        half = size / 2 + slack
        if abs(step) * shape[2] <= BORDER * 1e-3:  # The same all along the row.
            last[np.abs(offset) > half] = -1.0
            continue
        ends = (-half - offset) / step, (half - offset) / step
        low, high = ends if step > 0 else ends[::-1]
        np.maximum(first, low, out=first)
        np.minimum(last, high, out=last)
    beyond = float(shape[2])
    first = np.ceil(first).clip(0.0, beyond)
    last = np.floor(last).clip(-1.0, beyond)
    return first.astype(np.int32), last.astype(np.int32)
