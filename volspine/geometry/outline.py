"""The places of the targets -> one rectangle a level, to be drawn where its disc should lie.

A rectangle lies in the plane of the level's frame, around disc and canal as far as an average adult
has them; its size says nothing about the patient. It shows at a glance whether a level was found,
how it is turned, and what it is called.
"""

import numpy as np

from volspine.anatomy import LEVELS, Level
from volspine.errors import GeometryError
from volspine.geometry.window import LevelFrame, frames_along, sideways
from volspine.landmarks import CHAIN
from volspine.types import Float, FloatArray

__all__ = ["disc_outline", "disc_outlines"]

HALF_WIDTH_MM = 24.0
FRONT_MM, BACK_MM = -42.0, 9.0
"""From the middle of the canal: a disc is about 50 mm wide and 35 mm deep, a canal 15 mm."""

_CORNERS = np.array(
    [
        [HALF_WIDTH_MM, BACK_MM, 0.0],
        [HALF_WIDTH_MM, FRONT_MM, 0.0],
        [-HALF_WIDTH_MM, FRONT_MM, 0.0],
        [-HALF_WIDTH_MM, BACK_MM, 0.0],
        [HALF_WIDTH_MM, BACK_MM, 0.0],
    ]
)


def disc_outline(frame: LevelFrame) -> FloatArray:
    """Return the closed rectangle of a level, LPS millimetres, shape (5, 3).

    From the left back corner to the left front one, the right ones, and back.
    """
    return frame.patient(_CORNERS)


def disc_outlines(points_mm: Float[np.ndarray, "25 3"]) -> dict[Level, FloatArray]:
    """Return the rectangle of each level whose canal has a place.

    Args:
        points_mm: Of the targets, LPS; NaN where not located.

    Returns:
        Level to (5, 3) LPS millimetres; empty where the points can be of no spine.
    """
    chain = np.full((len(CHAIN), 3), np.nan)
    chain[1:-1] = points_mm[: len(LEVELS)]
    try:
        frames = frames_along(chain, sideways(points_mm))
    except GeometryError:
        return {}
    return {frame.level: disc_outline(frame) for frame in frames if frame is not None}
