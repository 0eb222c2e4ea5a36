"""A cloud of points -> a grid in millimetres: what lands in a cell is averaged, and none is empty.

The way this replaces copied every voxel above zero along its slice's thickness into a cube of 256
cells a side and kept the largest of what met there. It had three faults. Cells between the copies
stayed empty, so that a tilted stack had holes. The cube was stretched over whatever a
study covered, so that a millimetre was another number of cells in each study and along each
axis. And the largest of several values is brighter than any of them, the more so the more there
are. Here

    cells    are those of a `Grid`, of one size in mm in every study; nothing is stretched
    points   lie close enough together that no cell inside a stack stays empty (`dense_cloud`)
    value    the mean over the points of a cell, weighted with the volumes they stand for, and
             moved from the mean place o of these points to the middle of the cell, along the
             slope between the means of neighbouring cells:   v = mean - slope . o
    mask     the cells in which a point landed: what was measured

Several voxels of one cell are averaged rather than one of them picked, so noise falls where the
grid is coarser than the scan, which interpolation (`sample`) does not give. Values between slices
are linear, as there. A linear ramp stays itself.

Shapes:
    N  points      X, Y, Z  cells of the grid, RAS order
"""

from collections.abc import Iterable

import numpy as np

from volspine.dicom.study import Series
from volspine.types import BoolArray, FloatArray, IntArray, VoxelArray
from volspine.volume.dense_cloud import DenseCloud, dense_clouds
from volspine.volume.grid import Grid

__all__ = ["grid_of_cloud", "grid_of_series"]

_TIE = 1e-3
"""Points this near (in cells) to the border of two cells along i count half in each, so that no
side of a patient is preferred; along j and k all go the same way, so that no cell is skipped."""


def grid_of_series(series: Series, grid: Grid) -> tuple[VoxelArray, BoolArray]:
    """Return the stacks of a series, as one cloud, on a grid with a centre.

    Returns:
        Raw values, float32, zero where not measured; and the mask; both (X, Y, Z).

    Raises:
        GeometryError: If the grid has no centre.
        PixelError: If a stack cannot be decoded.
    """
    clouds = (cloud for stack in series.stacks for cloud in dense_clouds(stack, grid.spacing_mm))
    return grid_of_cloud(clouds, grid)


def grid_of_cloud(clouds: Iterable[DenseCloud], grid: Grid) -> tuple[VoxelArray, BoolArray]:
    """Return the mean of the points in each cell of a grid, and where there are any.

    Args:
        clouds: Of one series; points outside the grid are left out.
        grid: With a centre.

    Returns:
        Float32, zero where nothing was measured; and the mask; both (X, Y, Z).

    Raises:
        GeometryError: If the grid has no centre.
    """
    _ = grid.affine_lps
    sums = np.zeros((5, int(np.prod(grid.shape))))
    for dense in clouds:
        for nudge in _nudges(dense, grid):
            _add(sums, dense, grid, nudge)
    weight = sums[0].reshape(grid.shape)
    mask = weight > 0
    means = sums[1:] / np.where(mask, weight, 1.0).ravel()
    value, *offsets = (mean.reshape(grid.shape) for mean in means)
    centred = value - _correction(value, offsets, mask)
    return np.where(mask, centred, 0.0).astype(np.float32), mask


def _from_middle(dense: DenseCloud, grid: Grid, *, axis: int) -> VoxelArray:
    """Return the places of points along an axis, in cells from the middle of the grid."""
    step = grid.affine_lps[axis, axis]
    middle = (grid.center_mm or (0.0, 0.0, 0.0))[axis]
    places = (dense.cloud.points_mm[:, axis] - np.float32(middle)) / np.float32(step)
    return np.asarray(places, dtype=np.float32)


def _nudges(dense: DenseCloud, grid: Grid) -> list[tuple[float, float, float]]:
    """Return by how much to move points along i, j and k; two ways where some lie on a border."""
    i, j, k = (
        2 * _TIE * _is_tied(_from_middle(dense, grid, axis=axis), size)
        for axis, size in enumerate(grid.shape)
    )
    return [(-i, j, k), (i, j, k)] if i else [(0.0, j, k)]


def _is_tied(places: VoxelArray, size: int) -> bool:
    from_border = places + np.float32(size / 2)
    return bool((np.abs(from_border - np.rint(from_border)) < _TIE).any())


def _add(
    sums: FloatArray, dense: DenseCloud, grid: Grid, nudge: tuple[float, float, float]
) -> None:
    """Add what lands in each cell: weight, weighted value and weighted offsets along i, j, k."""
    share = 0.5 if nudge[0] else 1.0
    cell = np.zeros(len(dense.weight), dtype=np.int64)
    inside = np.isfinite(dense.cloud.intensity)
    offsets: list[VoxelArray] = []
    for axis, size in enumerate(grid.shape):
        place = _from_middle(dense, grid, axis=axis) + np.float32((size - 1) / 2)
        near = np.rint(place + np.float32(nudge[axis])).clip(-1, size)
        inside &= (near >= 0) & (near <= size - 1)
        offsets.append(place - near)
        cell = cell * size + near.astype(np.int64)
    _count(sums, cell, inside, [dense.weight * np.float32(share), dense.cloud.intensity, *offsets])


def _count(sums: FloatArray, cell: IntArray, inside: BoolArray, columns: list[VoxelArray]) -> None:
    """Add weights, and columns times weights, to the cells that they belong to."""
    if not inside.all():
        cell, columns = cell[inside], [column[inside] for column in columns]
    weight = columns[0].astype(np.float64)
    sums[0] += np.bincount(cell, weight, minlength=sums.shape[1])
    for row, column in enumerate(columns[1:], start=1):
        sums[row] += np.bincount(cell, weight * column, minlength=sums.shape[1])


def _correction(value: FloatArray, offsets: list[FloatArray], mask: BoolArray) -> FloatArray:
    """Return what the values change from the middles of cells to the mean places of points."""
    change = np.zeros_like(value)
    for axis, offset in enumerate(offsets):
        change += offset * _slope(value, offset, mask, axis)
    return change


def _slope(value: FloatArray, offset: FloatArray, mask: BoolArray, axis: int) -> FloatArray:
    """Return the change of values a cell, from the mean places of points in cells side by side."""
    value, offset = np.moveaxis(value, axis, 0), np.moveaxis(offset, axis, 0)
    mask = np.moveaxis(mask, axis, 0)
    both = mask[1:] & mask[:-1]
    apart = np.maximum(1 + offset[1:] - offset[:-1], 0.5)
    rise = np.where(both, (value[1:] - value[:-1]) / apart, 0.0)
    total, count = np.zeros_like(value), np.zeros(value.shape)
    for side in (slice(1, None), slice(None, -1)):
        total[side] += rise
        count[side] += both
    return np.moveaxis(total / np.maximum(count, 1), 0, axis)
