"""Solid voxels -> the faces between what is solid and what is not.

Shapes:
    I, J, K  voxels of a grid    N  faces
"""

import numpy as np

from volspine.anatomy import Protocol
from volspine.types import BoolArray, VoxelArray
from volspine.viewer.palette import color_of
from volspine.viewer.scene import Faces
from volspine.volume.grid import Grid

__all__ = ["visible_faces"]

_SHADES = {1: 1.0, -1: 0.62, 2: 0.55, -2: 0.78, 3: 0.88, -3: 0.5}
"""How brightly a face is lit, by where it looks: light from the left, the front and above."""


def visible_faces(image: VoxelArray, solid: BoolArray, grid: Grid, protocol: Protocol) -> Faces:
    """Return the faces of solid voxels that border on what is not solid.

    Args:
        image: Normalised, shape (I, J, K).
        solid: Shape (I, J, K).
        grid: With its centre.
        protocol: Chooses the colours.
    """
    padded = np.pad(solid, 1)
    index, normals = [], []
    for axis in range(3):
        for step in (1, -1):
            open_side = ~np.roll(padded, -step, axis)[1:-1, 1:-1, 1:-1]
            found = np.argwhere(solid & open_side)
            index.append(found)
            # The first two axes of the grid run against x and y.
            sign = step if axis == 2 else -step
            normals.append(np.full(len(found), sign * (axis + 1), dtype=np.int8))
    voxels, looks = np.concatenate(index), np.concatenate(normals)
    shade = np.select([looks == n for n in _SHADES], list(_SHADES.values()))
    colors = color_of(image[tuple(voxels.T)], protocol) * shade[:, None]
    return Faces(
        name=protocol.label,
        centers_mm=_face_centers(grid, voxels, looks),
        normals=looks,
        colors=colors.astype(np.uint8),
        spacing_mm=grid.spacing_mm,
    )


def _face_centers(
    grid: Grid, voxels: "np.typing.NDArray[np.int64]", looks: "np.typing.NDArray[np.int8]"
) -> VoxelArray:
    centers = grid.mm_from_index(voxels.astype(np.float64))
    axis = np.abs(looks).astype(np.int64) - 1
    rows = np.arange(len(centers))
    centers[rows, axis] += np.sign(looks) * np.asarray(grid.spacing_mm)[axis] / 2
    return centers.astype(np.float32)
