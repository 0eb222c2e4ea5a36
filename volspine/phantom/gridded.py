"""Gridded: a synthetic study on one patient grid, without DICOM and without TorchIO.

    scene -> the windows of its stacks that the grid reaches -> linear interpolation -> one grid

The rules are those of `volspine.volume.sample`: every stack is interpolated linearly, overlapping
stacks of a series are averaged by how deep a point lies inside them, and of several series of a
protocol the one that measured most comes first.

Shapes: C protocols, (X, Y, Z) voxels of a grid.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from volspine.anatomy import Protocol
from volspine.dicom.study import Series, Study
from volspine.geometry.stack import Stack
from volspine.phantom.scene import AS_FILED, Part, Place, Scan, Scene, rendered_together
from volspine.phantom.spec import Spec
from volspine.types import FloatArray
from volspine.volume.grid import Grid, coverage_mm
from volspine.volume.placement import measured

__all__ = ["GridExample", "localizer_example"]

MIN_GAIN = 0.2
"""A further series is merged if it adds at least this part of what the first one measured."""

_MIN_WEIGHT = 1e-4
"""Beyond the outermost slice centres, where values are only repeated, any other stack wins."""

_BOTH = (Protocol.SAGITTAL_T1, Protocol.SAGITTAL_T2)


class GridExample(NamedTuple):
    """A study on one patient grid; a batch of them collates.

    Attributes:
        images: (C, X, Y, Z) float32, stored values; 0 where not measured.
        masks: (C, X, Y, Z) bool; what was measured.
        landmarks_index: (25, 3) float32, fractional voxels of the grid.
        landmarks_mm: (25, 3) float64, LPS.
        grades: (25,) int64, of the measured geometry.
        labels: (25,) int64, as read; -1 where missing.
        affine_lps: (4, 4) float64, voxel to LPS millimetres.
    """

    images: torch.Tensor
    masks: torch.Tensor
    landmarks_index: torch.Tensor
    landmarks_mm: torch.Tensor
    grades: torch.Tensor
    labels: torch.Tensor
    affine_lps: torch.Tensor


def localizer_example(
    spec: Spec,
    grid: Grid | None = None,
    *,
    protocols: Sequence[Protocol] = _BOTH,
    scan: Scan = AS_FILED,
) -> GridExample:
    """Return a study on one patient grid, as `sample_study` would.

    Args:
        spec: Which study.
        grid: Placed in the middle of what the study covers if it has no centre.
        protocols: Channels wanted.
        scan: Which draw of coil and noise, and how finely painted.
    """
    scene = Scene(spec, scan)
    placed = (grid or Grid()).centered_on(_as_study(scene))
    layers = _grid_layers(scene, placed, protocols)
    return GridExample(
        images=torch.stack([image for image, _ in layers]),
        masks=torch.stack([mask for _, mask in layers]),
        landmarks_index=torch.from_numpy(placed.index_from_mm(scene.landmarks_mm)).float(),
        landmarks_mm=torch.from_numpy(scene.landmarks_mm),
        grades=torch.from_numpy(np.asarray(scene.truth.grades, dtype=np.int64)),
        labels=torch.from_numpy(np.asarray(scene.labels, dtype=np.int64)),
        affine_lps=torch.from_numpy(placed.affine_lps),
    )


def _as_study(scene: Scene) -> Study:
    """Return the study's geometry; its stacks have no voxels."""
    series = [Series("", "", place.plan.protocol, "", [place.stack]) for place in scene.places]
    return Study(scene.spec.study_id, series)


_Layer = tuple[torch.Tensor, torch.Tensor]


def _grid_layers(scene: Scene, grid: Grid, protocols: Sequence[Protocol]) -> list[_Layer]:
    """Return the image and the mask of each protocol."""
    wanted = [place for place in scene.places if place.plan.protocol in protocols]
    sums = {place.plan.series_id: _empty(grid) for place in wanted}
    for places in rendered_together(wanted):
        part = _covered_part(places[0].stack, grid)
        if part is None:
            continue
        box = _box(places[0], grid, part)
        for piece in scene.render(places, *box):
            total, weight = sums[piece.place.plan.series_id]
            values, share = _on_grid(piece, grid, part)
            total[part] += values * share
            weight[part] += share
    return [_merged(scene, sums, protocol, grid) for protocol in protocols]


def _empty(grid: Grid) -> _Layer:
    return torch.zeros(grid.shape), torch.zeros(grid.shape)


def _merged(scene: Scene, sums: dict[str, _Layer], protocol: Protocol, grid: Grid) -> _Layer:
    """Lay the series of a protocol over one another; what measured most, then finest, first."""
    series = {p.plan.series_id: p.stack for p in scene.of(protocol)}
    order = sorted(
        series,
        key=lambda name: (-int((sums[name][1] > 0).sum()), float(series[name].spacing_mm.prod())),
    )
    image, mask = torch.zeros(grid.shape), torch.zeros(grid.shape, dtype=torch.bool)
    first = 0
    for total, weight in (sums[name] for name in order):
        new = (weight > 0) & ~mask
        gain = int(new.sum())
        if gain > MIN_GAIN * first:
            image[new] = total[new] / weight[new]
            mask |= new
            first = first or gain
    return image, mask


_GridPart = tuple[slice, slice, slice]


def _covered_part(stack: Stack, grid: Grid) -> _GridPart | None:
    """Return the box of grid voxels that a stack reaches into; None if there is none."""
    corners = grid.index_from_mm(np.stack(coverage_mm([stack])))
    low = np.maximum(np.ceil(corners.min(axis=0) - 0.01).astype(int), 0)
    high = np.minimum(np.floor(corners.max(axis=0) + 0.01).astype(int), np.array(grid.shape) - 1)
    if np.any(high < low):
        return None
    i, j, k = (slice(int(a), int(b) + 1) for a, b in zip(low, high, strict=True))
    return i, j, k


def _stack_from_grid(stack: Stack, grid: Grid, part: _GridPart) -> FloatArray:
    """Return the affine from a voxel of a part of the grid to a voxel of the stack, (4, 4)."""
    shift = np.eye(4)
    shift[:3, 3] = [p.start for p in part]
    return np.asarray(np.linalg.solve(stack.affine_lps, grid.affine_lps @ shift))


def _box(place: Place, grid: Grid, part: _GridPart) -> tuple[FloatArray, FloatArray]:
    """Return the lowest and highest acquired pixel and slice that a part of the grid needs."""
    size = np.array([p.stop - p.start for p in part])
    corners = np.indices((2, 2, 2)).reshape(3, -1).T * (size - 1)
    affine = _stack_from_grid(place.stack, grid, part)
    index = corners @ affine[:3, :3].T + affine[:3, 3]
    index[:, :2] *= place.acquired_per_stored
    return index.min(axis=0), index.max(axis=0)


def _on_grid(piece: Part, grid: Grid, part: _GridPart) -> _Layer:
    """Return values and weights: 0 outside, 1 from one slice inside the stack's ends on."""
    stack = piece.place.stack
    shape = (part[0].stop - part[0].start, part[1].stop - part[1].start,
             part[2].stop - part[2].start)  # fmt: skip
    affine = _stack_from_grid(stack, grid, part)
    column, row, depth = (measured(affine[a], stack.shape[a], shape) for a in range(3))
    weight = np.clip(depth - 0.5, _MIN_WEIGHT, 1.0) * (depth > 0) * ((column > 0) & (row > 0))
    rulers = [torch.arange(n, dtype=torch.float64).reshape([-1 if a == b else 1 for b in range(3)])
              for a, n in enumerate(shape)]  # fmt: skip
    index = tuple(sum((float(c) * r for c, r in zip(line, rulers, strict=False)),
                      start=torch.tensor(float(line[3]))) for line in affine[:3])  # fmt: skip
    share = torch.from_numpy(np.broadcast_to(weight, shape).astype(np.float32))
    return piece.at(index), share
