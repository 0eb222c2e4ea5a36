"""What every voxel of a ramp holds: 4000 + 4x + 3y + 5z of its place, in LPS millimetres."""

import json
from pathlib import Path

import numpy as np

__all__ = ["OFFSET", "SLOPES", "level_of", "places_of"]

OFFSET, SLOPES = 4000.0, np.array([4.0, 3.0, 5.0])
"""Of the ramp: its value at the origin, and by how much it grows in a millimetre of x, y and z."""


def level_of(points_mm: np.ndarray) -> np.ndarray:
    """Return what the ramp is at LPS points, shape (..., 3)."""
    return np.asarray(OFFSET + points_mm @ SLOPES)


def places_of(folder: Path) -> dict[str, list[list[list[float]]]]:
    """Return where the stacks of each protocol lie; see `truth.json`."""
    found: dict[str, list[list[list[float]]]] = json.loads((folder / "truth.json").read_text())
    return found
