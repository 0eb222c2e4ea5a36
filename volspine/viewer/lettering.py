"""Letters that stand in space and face the viewer: sides, and names of levels.

Open3D's plain window writes no text. A letter is a few strokes on a sheet 4 wide and 6 high, each a
flat ribbon in the plane that is across the line of sight.

Shapes:
    V  vertices      T  triangles
"""

import itertools
from typing import NamedTuple

import numpy as np

from volspine.types import FloatArray
from volspine.viewer.palette import INK, RIGHT_COLOR, rgb
from volspine.viewer.scene import Mesh, Scene

__all__ = ["Label", "labels_of", "lettered"]

_BOWL = "00 06 36 45 44 33 03"
_STROKES: dict[str, tuple[str, ...]] = {
    "R": (_BOWL, "23 40"),
    "P": (_BOWL,),
    "L": ("06 00 40",),
    "A": ("00 26 40", "12 32"),
    "S": ("45 36 16 05 04 13 33 42 41 30 10 01",),
    "I": ("20 26", "10 30", "16 36"),
    "1": ("15 26 20", "10 30"),
    "2": ("05 16 36 45 44 00 40",),
    "3": ("05 16 36 45 44 33 42 41 30 10 01", "23 33"),
    "4": ("30 36 02 42",),
    "5": ("46 06 03 33 42 41 30 10 01",),
    "/": ("00 46",),
}
"""Of each letter its strokes: places on the sheet, across from the left and up from the foot."""

_ADVANCE, _HEIGHT, _HALF_STROKE = 5.5, 6.0, 0.5
_MARGIN_MM = 16.0

_WAYS = {"R": (0, -1), "L": (0, 1), "A": (1, -1), "P": (1, 1), "I": (2, -1), "S": (2, 1)}
"""For each side the LPS axis and the way along it."""


class Label(NamedTuple):
    """A text at a place.

    Attributes:
        text: Of the letters of sides and levels.
        place_mm: Its middle, LPS.
        height_mm: Of its letters.
        color: `#rrggbb`.
    """

    text: str
    place_mm: FloatArray
    height_mm: float
    color: str


def labels_of(scene: Scene) -> tuple[Label, ...]:
    """Return the sides around a scene, the patient's right standing out, and the located levels."""
    low, high = scene.bounds_mm
    made = []
    for text, (axis, way) in _WAYS.items():
        place = scene.center_mm.copy()
        place[axis] += way * ((high - low)[axis] / 2 + _MARGIN_MM)
        # Where the body neither hides a letter nor is hidden by it, seen from the left and above.
        place[2] = {0: high[2] + _MARGIN_MM, 1: low[2], 2: place[2] + way * _MARGIN_MM}[axis]
        is_right = text == "R"
        made.append(
            Label(text, place, 15.0 if is_right else 10.0, RIGHT_COLOR if is_right else INK)
        )
    for name, point in scene.level_points_mm.items():
        behind = np.array([point[0], high[1] + _MARGIN_MM, point[2]])
        made.append(Label(name, behind, 7.0, INK))
    return tuple(made)


def lettered(labels: tuple[Label, ...], rotation: FloatArray) -> Mesh:
    """Return all labels as ribbons that face a camera.

    Args:
        labels: What stands where.
        rotation: Rows: to the right, down and forward of the camera, in LPS; shape (3, 3).
    """
    right, up = rotation[0], -rotation[1]
    vertices, colors = [], []
    for label in labels:
        flat = _flat(label.text)
        scale = label.height_mm / _HEIGHT
        vertices.append(label.place_mm + scale * (flat[:, :1] * right + flat[:, 1:] * up))
        colors.append(np.tile(np.array(rgb(label.color), np.uint8), (len(flat), 1)))
    placed = np.concatenate([np.zeros((0, 3)), *vertices]).astype(np.float32)
    base = np.arange(0, len(placed), 4)[:, None]
    triangles = np.concatenate([base + np.array([0, 1, 2]), base + np.array([0, 2, 3])])
    tints = np.concatenate([np.zeros((0, 3), np.uint8), *colors])
    return Mesh(placed, tints, triangles.astype(np.int32))


def _flat(text: str) -> FloatArray:
    """Return the corners of the strokes of a text, four each, about its middle, (V, 2)."""
    corners = []
    for number, letter in enumerate(text):
        for stroke in _STROKES[letter]:
            line = np.array([_place(pair, number) for pair in stroke.split()])
            corners += [_ribbon(a, b) for a, b in itertools.pairwise(line)]
    middle = np.array([((len(text) - 1) * _ADVANCE + 4) / 2, _HEIGHT / 2])
    return np.asarray(np.concatenate(corners) - middle, dtype=np.float64)


def _place(pair: str, number: int) -> tuple[float, float]:
    """Return where two digits are on the sheet of a letter of some number."""
    return int(pair[0]) + number * _ADVANCE, float(pair[1])


def _ribbon(start: FloatArray, end: FloatArray) -> FloatArray:
    """Return the four corners of a stroke, a little longer than it so that bends are closed."""
    along = _HALF_STROKE * (end - start) / np.linalg.norm(end - start)
    across = np.array([-along[1], along[0]])
    a, b = start - along, end + along
    return np.stack([a - across, b - across, b + across, a + across])
