"""The point-cloud way that this library replaces, re-stated from its description.

Every pixel above zero becomes a point in millimetres of the patient and is copied along its slice's
thickness, one copy a millimetre; the points of a study are gathered and stretched over a cube of
256 cells a side, of which each keeps the largest value that met there. Nothing of this is how one
should do it, and nothing of it is slower here than its description makes it: all is vectorised.

Shapes:
    N  points
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread

__all__ = ["CELLS", "gridded_cloud"]

CELLS = 256


def gridded_cloud(folders: Sequence[Path]) -> tuple[list[np.ndarray], np.ndarray]:
    """Return a cube for each series, and the affine that all share, index to LPS millimetres."""
    clouds = [_cloud(folder) for folder in folders]
    points = np.concatenate([cloud[0] for cloud in clouds])
    low, high = points.min(axis=0), points.max(axis=0)
    step = (high - low) / (CELLS - 1)
    cells = np.rint((points - low) / step).astype(np.int64)
    cubes, begin = [], 0
    for _, values in clouds:
        mine = cells[begin : begin + len(values)]
        cube = np.zeros((CELLS,) * 3, dtype=np.float32)
        np.maximum.at(cube, (mine[:, 0], mine[:, 1], mine[:, 2]), values)
        cubes.append(cube)
        begin += len(values)
    affine = np.diag([*step, 1.0])
    affine[:3, 3] = low
    return cubes, affine


def _cloud(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the points of a series, (N, 3), and their values, (N,)."""
    slices = [_points(dcmread(path)) for path in sorted(folder.iterdir())]
    return np.concatenate([p for p, _ in slices]), np.concatenate([v for _, v in slices])


def _points(ds: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return the points of a slice and their values."""
    pixels = ds.pixel_array.astype(np.float32)
    rows, columns = np.nonzero(pixels)
    along_row, along_column = np.array(ds.ImageOrientationPatient, float).reshape(2, 3)
    normal = np.cross(along_row, along_column)
    plane = (
        np.array(ds.ImagePositionPatient, float)
        + columns[:, None] * float(ds.PixelSpacing[1]) * along_row
        + rows[:, None] * float(ds.PixelSpacing[0]) * along_column
    )
    thickness = float(ds.SliceThickness)
    copies = max(round(thickness), 1)
    offsets = (np.arange(copies) - (copies - 1) / 2) * thickness / copies
    points = (plane[None] + offsets[:, None, None] * normal).reshape(-1, 3)
    return points, np.tile(pixels[rows, columns], copies)
