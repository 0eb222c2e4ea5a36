"""Shapes into voxels: a map of tissues in LPS millimetres, painted box by box.

Two shapes do: the round cone (a capsule whose ends differ) and the superquadric, each in a metric
of its own. Axes of `labels`: left, back, head.
"""

from enum import IntEnum, auto

import numpy as np
from scipy.interpolate import BSpline


class Tissue(IntEnum):
    """What a voxel is made of."""

    AIR = 0
    SKIN = auto()
    FAT = auto()
    MUSCLE = auto()
    BELLY_FAT = auto()
    MARROW = auto()
    CORTEX = auto()
    DISC_RIM = auto()
    DISC_CORE = auto()
    FLUID = auto()
    CORD = auto()
    ROOT = auto()
    CANAL_FAT = auto()
    LIGAMENT = auto()
    BLOOD = auto()
    VEIN = auto()
    GUT_WALL = auto()
    GUT_WET = auto()
    GUT_SOLID = auto()
    GAS = auto()
    LIVER = auto()
    KIDNEY = auto()
    URINE = auto()
    ORGAN = auto()
    LUNG = auto()
    OEDEMA = auto()
    FATTY = auto()
    TUMOUR = auto()
    JOINT = auto()


SPACING = np.array([1.5, 1.0, 1.0])


class Canvas:
    """A map of tissues.

    Args:
        low, high: Corners in LPS millimetres; the middle of a voxel is at `low`.
    """

    def __init__(self, low, high):
        self.low = np.array(low, float)
        counts = np.floor((np.array(high) - self.low) / SPACING).astype(int) + 1
        self.labels = np.zeros(tuple(counts), np.uint8)

    def axis(self, n):
        """Return the millimetres of the voxels along one axis."""
        return (self.low[n] + SPACING[n] * np.arange(self.labels.shape[n])).astype(np.float32)

    def index(self, points_mm):
        """Return the fractional voxel indices of points."""
        return (points_mm - self.low) / SPACING

    def box(self, low, high):
        """Return the voxels between two corners: a view, and three open axes in millimetres."""
        first = np.floor((np.array(low) - self.low) / SPACING).astype(int)
        last = np.ceil((np.array(high) - self.low) / SPACING).astype(int) + 1
        cut = [
            slice(max(a, 0), max(min(b, n), 0))
            for a, b, n in zip(first, last, self.labels.shape, strict=True)
        ]
        x, y, z = (self.axis(n)[s] for n, s in enumerate(cut))
        return self.labels[tuple(cut)], (x[:, None, None], y[None, :, None], z[None, None, :])

    def cone(self, ends, radii, label, *, axes=None, squash=(1, 1, 1), over=None):
        """Paint a round cone between two ends; `squash` stretches the metric along `axes`.

        With `over` only those tissues change.
        """
        start, stop = np.array(ends[0], float), np.array(ends[1], float)
        axes = np.eye(3) if axes is None else axes
        reach = np.abs(axes) @ (max(radii) / np.array(squash, float)) + 1
        view, grid = self.box(np.minimum(start, stop) - reach, np.maximum(start, stop) + reach)
        if view.size == 0:
            return
        metric = (axes * squash).T
        away = _local(grid, start, metric)
        along = metric @ (stop - start)
        length = float(along @ along) or 1.0
        share = sum(np.float32(a) * d for a, d in zip(along, away, strict=True)) / length
        share = np.clip(share, 0, 1)
        gap = sum((d - np.float32(a) * share) ** 2 for a, d in zip(along, away, strict=True))
        depth = radii[0] + np.float32(radii[1] - radii[0]) * share - np.sqrt(gap)
        _paint(view, depth > 0, label, over)

    def quadric(self, centre, half, label, *, axes=None, power=2.0, over=None, rough=None):
        """Paint a superquadric: the sum of |p / half| ** power is below 1, or below 1 + rough."""
        axes = np.eye(3) if axes is None else axes
        reach = np.abs(axes) @ np.array(half, float) + 1
        view, grid = self.box(np.array(centre) - reach, np.array(centre) + reach)
        if view.size == 0:
            return
        away = _local(grid, centre, (axes / np.array(half, float)).T)
        level = sum(d * d if power == 2 else np.abs(d) ** power for d in away)
        if rough is not None:
            level = level + rough[np.ix_(*_places(self, grid))]
        _paint(view, level < 1, label, over)


def _places(canvas, grid):
    starts = [
        round(float((g.ravel()[0] - low) / mm))
        for g, low, mm in zip(grid, canvas.low, SPACING, strict=True)
    ]
    return [np.arange(start, start + g.size) for start, g in zip(starts, grid, strict=True)]


def local(grid, origin, axes):
    """Return the coordinates of open axes in a bone's own axes, three dense arrays."""
    return _local(grid, origin, axes.T)


def _local(grid, origin, metric):
    x, y, z = (g - np.float32(o) for g, o in zip(grid, origin, strict=True))
    row = metric.astype(np.float32)
    return [x * r[0] + y * r[1] + z * r[2] for r in row]


def _paint(view, where, label, over):
    if over is not None:
        where &= np.isin(view, [int(t) for t in over])
    np.copyto(view, np.uint8(label), where=where)


def smooth_noise(rng, shape, cells_mm):
    """Return a smooth random field of unit spread, a tensor product of cubic splines."""
    field = rng.standard_normal(
        [max(int(n * s / c), 1) + 3 for n, s, c in zip(shape, SPACING, cells_mm, strict=True)],
        dtype=np.float32,
    )
    for axis, n in enumerate(shape):
        field = np.moveaxis(np.tensordot(_basis(n, field.shape[axis]), field, (1, axis)), 0, axis)
    return np.ascontiguousarray(field / field[::4, ::8, ::8].std())


def _basis(count, cells):
    knots = np.arange(-3, cells + 1, dtype=float)
    places = np.linspace(0, cells - 3 - 1e-6, count)
    return BSpline.design_matrix(places, knots, 3).toarray().astype(np.float32)
