"""Voxels -> points that lie close enough together to fill a grid, each with what it stands for.

A cloud of voxel centres leaves most of a fine grid empty: slices are 4 mm apart and cells 1 mm. So
every axis of a stack is cut finer or coarser than its voxels until no place of the stack is
further from a point than half a cell of the grid, along each axis of the grid:

    sum over the stack's axes m of |step_m . e_a| / cuts_m  <=  cell_a        a = x, y, z

where cuts_m is a whole number (points to a voxel) or one over it (voxels to a point). A point
between two voxels is linear between them, one of several voxels is their mean, at the mean of their
places; in the outer half of the outermost voxels the value is theirs. Both are exact on a ramp.
Slices have their true places, so tilted, sheared and uneven stacks need no care, and a gap of
more than `MAX_GAP` slices is not bridged.

A point weighs as the volume that it stands for. Towards the outermost slices of a stack that falls
to nearly nothing, so that where two stacks overlap (tilted axial blocks) no seam shows.

Shapes:
    N  points      P  planes      I, J, K  voxels of a stack: column, row, slice
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from volspine.geometry.cloud import PointCloud
from volspine.geometry.stack import Stack
from volspine.types import FloatArray, IntArray, VoxelArray
from volspine.volume.placement import MAX_GAP

__all__ = ["DenseCloud", "cuts_to_fill", "dense_clouds"]

_LEAST = 1e-4
"""Weight of what is only repeated beyond the outermost slices: any other stack wins there."""

_ROUNDING = 1e-6
"""By how much more than half a cell a point may be off."""

_SLACK = 1e-3
"""How much further apart than usual, in slices, two slices may be without more points between."""

_CHUNK = 1 << 18
"""Points in one cloud, about; what stands in memory at once."""


@dataclass(frozen=True)
class DenseCloud:
    """Points and how much each counts.

    Attributes:
        cloud: The points.
        weight: Float32, shape (N,); mm^3 that a point stands for, less near a stack's ends.
    """

    cloud: PointCloud
    weight: VoxelArray


@dataclass(frozen=True)
class _Planes:
    """Where planes of points lie between the slices of a stack.

    Attributes:
        slices: Shape (P, 2); the slice that a plane belongs to, and the neighbour towards it.
        share: Shape (P,); how far towards the neighbour, 0 to one half.
        origins_mm: Shape (P, 3).
        weight: Shape (P,); slices that a plane stands for, less near the ends.
    """

    slices: IntArray
    share: VoxelArray
    origins_mm: FloatArray
    weight: FloatArray


def cuts_to_fill(steps_mm: FloatArray, cell_mm: Sequence[float]) -> tuple[Fraction, ...]:
    """Return how finely to cut each axis of a stack so that no cell of a grid stays empty.

    Args:
        steps_mm: Shape (3, 3); column m is the step from voxel to voxel along axis m.
        cell_mm: Spacing of the grid along x, y, z.

    Returns:
        For each axis the points to a voxel: n, or 1 / n where n voxels make a point.

    Example:
        >>> [str(cut) for cut in cuts_to_fill(np.diag([0.5, 0.5, 4.0]), (1.5, 1.5, 1.5))]
        ['1/3', '1/3', '3']
    """
    reach = np.abs(steps_mm) / np.asarray(cell_mm, dtype=np.float64)[:, None]
    cuts = [
        Fraction(1, max(int((1 + _ROUNDING) / max(reach[:, m].max(), 1e-3)), 1)) for m in range(3)
    ]
    while True:
        parts = reach / np.array([float(cut) for cut in cuts])
        worst = int(parts.sum(axis=1).argmax())
        if parts[worst].sum() <= 1 + _ROUNDING:
            return tuple(cuts)
        m = int(parts[worst].argmax())
        cuts[m] = Fraction(1, cuts[m].denominator - 1) if cuts[m] < 1 else cuts[m] + 1


def dense_clouds(stack: Stack, cell_mm: Sequence[float]) -> Iterator[DenseCloud]:
    """Yield a stack as points that leave no cell of a grid empty, some planes at a time.

    Args:
        stack: Its voxels are decoded.
        cell_mm: Spacing of the grid along x, y, z.
    """
    voxels = stack.voxels.transpose(2, 1, 0)  # Slice, row, column: as they lie in memory.
    steps = stack.affine_lps[:3, :3]
    columns, rows, slices = cuts_to_fill(steps, cell_mm)
    voxels, row = _coarser(voxels, axis=1, cut=rows)
    voxels, column = _coarser(voxels, axis=2, cut=columns)
    voxels, planes = _through(stack, voxels, slices)
    across = _finer_places(column, columns)[None, None, :] * steps[:, 0, None, None]
    plane_mm = across + _finer_places(row, rows)[None, :, None] * steps[:, 1, None, None]
    volume = abs(float(np.linalg.det(steps))) / float(rows * columns)
    size = plane_mm[0].size
    for start in range(0, len(planes.share), max(_CHUNK // size, 1)):
        part = slice(start, start + max(_CHUNK // size, 1))
        values = _finer(_finer(_between(voxels, planes, part), 1, rows), 2, columns)
        places = plane_mm[:, None] + planes.origins_mm[part].T[:, :, None, None]
        weight = np.repeat((planes.weight[part] * volume).astype(np.float32), size)
        points = places.astype(np.float32).reshape(3, -1).T
        yield DenseCloud(PointCloud(points, values.ravel()), weight)


def _through(stack: Stack, voxels: VoxelArray, cut: Fraction) -> tuple[VoxelArray, _Planes]:
    """Return the values of slices, or of several taken together, and the planes through them."""
    origins, step = stack.slice_origins_mm, _even_step(stack)
    if cut.denominator > 1 and stack.is_regular:
        voxels, place = _coarser(voxels, axis=0, cut=cut)
        origins = origins[0] + place[:, None] * step
        step = step * cut.denominator
    return voxels, _planes(origins, step, max(int(cut), 1))


def _between(voxels: VoxelArray, planes: _Planes, part: slice) -> VoxelArray:
    """Return the values of some planes, (planes, rows, columns)."""
    share = planes.share[part, None, None]
    own, other = planes.slices[part].T
    return np.asarray(voxels[own] * (1 - share) + voxels[other] * share, dtype=np.float32)


def _coarser(voxels: VoxelArray, *, axis: int, cut: Fraction) -> tuple[VoxelArray, FloatArray]:
    """Return the means of neighbours along an axis, and the mean of their indices."""
    size, together = voxels.shape[axis], cut.denominator
    if together == 1:
        return voxels, np.arange(size, dtype=np.float64)
    starts = np.arange(0, size, together)
    counts = np.diff(np.append(starts, size)).astype(np.float32)
    shape = [-1 if a == axis else 1 for a in range(voxels.ndim)]
    means = np.add.reduceat(voxels, starts, axis=axis) / counts.reshape(shape)
    return means.astype(np.float32, copy=False), starts + (counts.astype(np.float64) - 1) / 2


def _offsets(count: int) -> FloatArray:
    """Return the middles of equal parts of a voxel, from its centre."""
    return (np.arange(count) + 0.5) / count - 0.5


def _finer_places(index: FloatArray, cut: Fraction) -> FloatArray:
    return (index[:, None] + _offsets(cut.numerator)).ravel()


def _finer(voxels: VoxelArray, axis: int, cut: Fraction) -> VoxelArray:
    """Return several values for each voxel along an axis, linear between neighbours."""
    if cut.numerator == 1:
        return voxels
    size = voxels.shape[axis]
    places = np.clip(_finer_places(np.arange(size, dtype=np.float64), cut), 0, size - 1)
    low = np.minimum(places.astype(np.int64), max(size - 2, 0))
    shape = [-1 if a == axis else 1 for a in range(voxels.ndim)]
    share = (places - low).astype(np.float32).reshape(shape)
    high = np.minimum(low + 1, size - 1)
    low_part = voxels.take(low, axis) * (1 - share)
    return np.asarray(low_part + voxels.take(high, axis) * share, dtype=np.float32)


def _planes(origins: FloatArray, step: FloatArray, cut: int) -> _Planes:
    """Return planes of points through slices, at their true places and between them."""
    rows: list[tuple[int, int, float, FloatArray, float]] = []
    for k, origin in enumerate(origins):
        sides = [_towards(origins, k, sign, step) for sign in (-1, 1)]
        gaps = [float(np.linalg.norm(way) / np.linalg.norm(step)) for _, way in sides]
        offsets = _offsets(int(np.ceil(cut * max(1.0, *gaps) - _SLACK)))
        for offset in offsets:
            neighbour, way = sides[int(offset > 0)]
            inside = min(k + offset, len(origins) - 1 - k - offset)
            weight = float(np.clip(inside, _LEAST, 1.0)) * gaps[int(offset > 0)] / len(offsets)
            rows.append((k, neighbour, abs(offset), origin + abs(offset) * way, weight))
    own, other, share, places, weights = zip(*rows, strict=True)
    return _Planes(
        slices=np.stack([own, other], axis=1).astype(np.int64),
        share=np.asarray(share, dtype=np.float32),
        origins_mm=np.asarray(places, dtype=np.float64),
        weight=np.asarray(weights, dtype=np.float64),
    )


def _towards(origins: FloatArray, k: int, sign: int, step: FloatArray) -> tuple[int, FloatArray]:
    """Return the slice whose values those of slice k run into, and the way to its place."""
    other = k + sign
    if 0 <= other < len(origins):
        way = origins[other] - origins[k]
        if np.linalg.norm(way) <= MAX_GAP * np.linalg.norm(step):
            return other, np.asarray(way, dtype=np.float64)
    return k, sign * step


def _even_step(stack: Stack) -> FloatArray:
    """Return the usual way from a slice to the next one that is stored."""
    origins, step = stack.slice_origins_mm, stack.affine_lps[:3, 2]
    forwards = len(origins) == 1 or (origins[-1] - origins[0]) @ step >= 0
    return np.asarray(step if forwards else -step, dtype=np.float64)
