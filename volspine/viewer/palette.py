"""Intensities and grades -> colours, and where tissue begins.

Each protocol has a map of its own, dark to light, so that overlapping series can be told apart. A
grade has the colour of a traffic light, chosen to stay apart for colour-blind eyes as well.
"""

import numpy as np
from numpy.typing import NDArray

from volspine.anatomy import Grade, Protocol
from volspine.types import FloatArray, VoxelArray

__all__ = [
    "BACKGROUND",
    "FRAME_COLOR",
    "GRADE_COLORS",
    "GRADE_SIZES",
    "HEAT_COLOR",
    "INK",
    "RIGHT_COLOR",
    "UNKNOWN_COLOR",
    "ColorArray",
    "color_of",
    "tissue_threshold",
]

ColorArray = NDArray[np.uint8]
"""Red, green, blue along the last axis."""

BACKGROUND = "#0b0e14"
INK = "#d7dde8"
RIGHT_COLOR = "#ffb454"
"""The patient's right side, wherever it is marked."""

FRAME_COLOR = "#5ea1ff"
"""The frame of a level, and the planes that cross."""

GRADE_COLORS = {Grade.NORMAL_MILD: "#3ddc97", Grade.MODERATE: "#ffc53d", Grade.SEVERE: "#ff4d5e"}
GRADE_SIZES = {Grade.NORMAL_MILD: 0.8, Grade.MODERATE: 1.0, Grade.SEVERE: 1.25}
"""How much larger a grade is drawn than others, so that it reads without colour too."""

HEAT_COLOR = "#ff2fd6"
"""What a grade looked at; no series, grade or side has this colour."""

UNKNOWN_COLOR = "#6b7587"
"""A target that was imputed or not graded."""

_STOPS = {
    Protocol.SAGITTAL_T1: ("#0d0a0b", "#4a2f27", "#a8734f", "#e9c79b", "#fff6e6"),
    Protocol.SAGITTAL_T2: ("#07090d", "#2c3646", "#6f8096", "#bfcbd8", "#fbfdff"),
    Protocol.AXIAL_T2: ("#041014", "#0e4150", "#1f8a99", "#7fd6d0", "#f2fffb"),
    Protocol.OTHER: ("#08080a", "#38383f", "#7d7d86", "#c2c2c8", "#ffffff"),
}
_NUM_BINS = 256


def color_of(intensity: VoxelArray, protocol: Protocol) -> ColorArray:
    """Return a colour for each intensity; 0 and below is darkest, 1 and above lightest.

    Args:
        intensity: Normalised; any shape (...).
        protocol: Chooses the map.

    Returns:
        Shape (..., 3).
    """
    stops = np.array([rgb(stop) for stop in _STOPS[protocol]], dtype=np.float64)
    place = np.linspace(0, 1, len(stops))
    ramp = np.linspace(0, 1, _NUM_BINS)
    table = np.stack([np.interp(ramp, place, stops[:, c]) for c in range(3)], axis=1)
    step = np.clip(np.nan_to_num(intensity) * (_NUM_BINS - 1), 0, _NUM_BINS - 1).astype(np.uint8)
    return np.asarray(np.rint(table).astype(np.uint8)[step])


def rgb(text: str) -> tuple[int, int, int]:
    """Return the three bytes of a colour written `#rrggbb`.

    Example:
        >>> rgb("#ff8000")
        (255, 128, 0)
    """
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def tissue_threshold(intensity: VoxelArray | FloatArray) -> float:
    """Return the intensity that best divides air from tissue (Otsu, 1979).

    The square root is divided, since tissue far from the coil is dark and would else count as air.

    Args:
        intensity: Normalised, any shape; 0 where nothing was measured is ignored.

    Returns:
        0 if nothing, or only one value, was measured.
    """
    values = np.sqrt(intensity[intensity > 0].astype(np.float64))
    if values.size == 0 or values.min() == values.max():
        return 0.0
    counts, edges = np.histogram(values, bins=_NUM_BINS)
    centers = (edges[1:] + edges[:-1]) / 2
    below, total = np.cumsum(counts), counts.sum()
    mass = np.cumsum(counts * centers)
    above = np.maximum(total - below, 1)
    between = below * above * (mass / np.maximum(below, 1) - (mass[-1] - mass) / above) ** 2
    return float(centers[int(between[:-1].argmax())] ** 2)
