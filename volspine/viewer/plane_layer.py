"""A volume -> one upright plane of it at its true place: a reformat to stand among voxels.

Each pixel of the plane is a vertex with the colour of its series; four neighbours that all show
tissue span two triangles. Air and what was not measured stay open, so a plane hides only what is
behind tissue.

Shapes:
    R, C  rows and columns of the plane
"""

import numpy as np
from numpy.typing import NDArray

from volspine.types import BoolArray, FloatArray
from volspine.viewer.heat import Heat
from volspine.viewer.palette import color_of
from volspine.viewer.panes import pane_at
from volspine.viewer.scene import Mesh, Sheet
from volspine.viewer.voxel_layer import Volume
from volspine.volume.grid import Grid

__all__ = ["plane_layer", "plane_number"]

_ACROSS = {"sagittal": 0, "coronal": 1, "axial": 2}


def plane_number(grid: Grid, plane: str, at_mm: FloatArray) -> int:
    """Return which plane of a grid is nearest to a point; the outermost if it lies beyond."""
    axis = _ACROSS[plane]
    place = float(grid.index_from_mm(at_mm)[axis])
    return int(np.clip(round(place), 0, grid.shape[axis] - 1))


def plane_layer(
    volume: Volume,
    plane: str,
    at_mm: FloatArray,
    *,
    threshold: float = 0.0,
    heat: Heat | None = None,
) -> Sheet:
    """Return the plane of a volume through a point.

    Args:
        volume: Whose plane.
        plane: `sagittal`, `coronal` or `axial`.
        at_mm: LPS millimetres, shape (3,); only the part across the plane counts.
        threshold: Of the intensity, 0 to 1; what is darker is left out.
        heat: Tints it.
    """
    number = plane_number(volume.grid, plane, at_mm)
    shown = pane_at(volume.image, volume.mask, volume.grid, plane=plane, index=number)
    places = shown.points_mm
    index = np.rint(volume.grid.index_from_mm(places)).astype(np.int64)
    seen = volume.solid(threshold)[tuple(np.moveaxis(index, -1, 0))]
    grey = volume.image[tuple(np.moveaxis(index, -1, 0))]
    colors = color_of(grey, volume.protocol).reshape(-1, 3)
    if heat is not None:
        colors = heat.tinted(colors, places.reshape(-1, 3), volume.protocol)
    squares = _squares(seen)
    used, triangles = np.unique(squares, return_inverse=True)
    mesh = Mesh(
        places.reshape(-1, 3)[used].astype(np.float32),
        colors[used],
        triangles.reshape(-1, 3).astype(np.int32),
    )
    return Sheet(f"{volume.protocol.label}, {plane}", mesh, max(volume.grid.spacing_mm))


def _squares(seen: BoolArray) -> NDArray[np.int64]:
    """Return the triangles (T, 3) between pixels (R, C) of which all four neighbours are seen."""
    number = np.arange(seen.size).reshape(seen.shape)
    full = seen[:-1, :-1] & seen[1:, :-1] & seen[:-1, 1:] & seen[1:, 1:]
    a, b = number[:-1, :-1][full], number[:-1, 1:][full]
    c, d = number[1:, 1:][full], number[1:, :-1][full]
    return np.concatenate([np.stack([a, d, c], axis=1), np.stack([a, c, b], axis=1)])
