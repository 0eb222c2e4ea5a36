"""Where a body is cut open, so that what matters is in sight.

Without heat the cut goes through the midline and leaves the patient's right half; with heat it goes
through the hottest place, and what would hide it is left out.

Shapes:
    I, J, K  voxels of the grid: right, front, head
"""

import numpy as np

from volspine.anatomy import Protocol
from volspine.grades import StudyGrades
from volspine.types import BoolArray, FloatArray
from volspine.viewer.findings import level_points
from volspine.viewer.heat import Heat
from volspine.volume.grid import Grid

__all__ = ["kept_voxels", "midline_mm"]


def kept_voxels(
    protocol: Protocol, grid: Grid, grades: StudyGrades | None, heat: Heat | None
) -> tuple[BoolArray, str]:
    """Return which voxels of a grid are left by the cut, (I, 1, 1) or (1, 1, K), and its name."""
    if heat is not None and protocol is Protocol.AXIAL_T2:
        return _places(grid, 2) <= heat.place_mm(protocol)[2], ", cut open above the heat"
    if heat is not None:
        return _places(grid, 0) <= heat.cut_x_mm((protocol,)), ", cut open at the heat"
    return _places(grid, 0) <= midline_mm(grid, grades), ", left half cut away"


def _places(grid: Grid, axis: int) -> FloatArray:
    """Return x, y or z of the voxels along an axis, in a shape that goes with the grid's."""
    shape = [1, 1, 1]
    shape[axis] = grid.shape[axis]
    index = np.indices(shape).reshape(3, -1).T.astype(np.float64)
    return np.asarray(grid.mm_from_index(index)[:, axis].reshape(shape))


def midline_mm(grid: Grid, grades: StudyGrades | None) -> float:
    """Return the x of the canal where it was located, else of the grid's middle."""
    places = [] if grades is None else list(level_points(grades).values())
    if places:
        return float(np.mean([place[0] for place in places]))
    middle = (np.array(grid.shape, dtype=np.float64) - 1) / 2
    return float(grid.mm_from_index(middle)[0])
