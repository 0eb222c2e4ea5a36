"""A series -> voxels on a cubic grid, and the faces that are seen of those that are left.

What is left of the body is what a cut leaves and what is brighter than a threshold:

    solid = body and kept and intensity > threshold

Shapes:
    I, J, K  voxels of the grid: right, front, head
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from volspine.anatomy import Protocol
from volspine.dicom.study import Series
from volspine.types import BoolArray, VoxelArray
from volspine.viewer.faces import visible_faces
from volspine.viewer.heat import Heat
from volspine.viewer.scene import Faces
from volspine.viewer.tissue import body_mask
from volspine.volume.grid import Grid, coverage_mm
from volspine.volume.normalize import normalize
from volspine.volume.sample import sample_series

__all__ = ["Volume", "grid_over", "volume_of", "voxel_layer"]

MAX_VOXELS = 6_000_000
"""The spacing grows until the series fits."""


@dataclass(frozen=True, eq=False)
class Volume:
    """A series on a cubic grid.

    Attributes:
        protocol: What it shows.
        image: Normalised, 0 to 1, shape (I, J, K).
        mask: What was measured.
        body: What is no air.
        grid: With its centre.
    """

    protocol: Protocol
    image: VoxelArray
    mask: BoolArray
    body: BoolArray
    grid: Grid

    def solid(self, threshold: float = 0.0) -> BoolArray:
        """Return the body, or what of it is brighter than a threshold above 0."""
        return self.body & (self.image > threshold) if threshold > 0 else self.body


def grid_over(series: Sequence[Series], *, spacing_mm: float | None = None) -> Grid:
    """Return a cubic grid over all that some series cover.

    Args:
        series: At least one.
        spacing_mm: Of the grid; the series' finest, but no less than 0.5 mm, if omitted. It grows
            where the grid would exceed `MAX_VOXELS`.
    """
    stacks = [stack for one in series for stack in one.stacks]
    for stack in stacks:
        _ = stack.voxels  # Decoding may drop slices, and with them coverage.
    low, high = coverage_mm(stacks)
    finest = min(float(stack.spacing_mm.min()) for stack in stacks)
    extent = high - low
    fitting = float((np.prod(extent) / MAX_VOXELS) ** (1 / 3))
    spacing = max(spacing_mm or max(finest, 0.5), fitting)
    i, j, k = (max(int(np.ceil(size / spacing)), 1) for size in extent)
    x, y, z = ((low + high) / 2).tolist()
    return Grid(spacing_mm=(spacing,) * 3, shape=(i, j, k), center_mm=(x, y, z))


def volume_of(series: Series, *, spacing_mm: float | None = None) -> Volume:
    """Return a series on a cubic grid over all that it covers; see `grid_over`."""
    grid = grid_over([series], spacing_mm=spacing_mm)
    raw, mask = sample_series(series, grid)
    image = normalize(raw, mask)
    body = body_mask(image, mask, axis=2 if series.protocol is Protocol.AXIAL_T2 else 0)
    return Volume(series.protocol, image, mask, body, grid)


def voxel_layer(
    volume: Volume,
    *,
    kept: BoolArray | None = None,
    threshold: float = 0.0,
    heat: Heat | None = None,
) -> Faces:
    """Return the faces of the voxels that are left.

    Args:
        volume: Whose voxels.
        kept: What a cut leaves, in a shape that goes with (I, J, K); everything if omitted.
        threshold: Of the intensity, 0 to 1; at 0 the whole body stays, its dark parts too.
        heat: Tints them.
    """
    solid = volume.solid(threshold)
    solid = solid if kept is None else solid & kept
    faces = visible_faces(volume.image, solid, volume.grid, volume.protocol)
    if heat is None:
        return faces
    places = faces.centers_mm.astype(np.float64)
    return replace(faces, colors=heat.tinted(faces.colors, places, volume.protocol))
