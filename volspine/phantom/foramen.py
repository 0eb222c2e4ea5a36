"""The neural foramina: a tunnel of fat around the exiting root, between two pedicles.

Around the root's axis the fat reaches `clearance` millimetres in each direction; where that falls
below a millimetre, disc, facet or pedicle touches the root. A severe narrowing flattens the root.
"""

import numpy as np
from numpy.typing import NDArray

from volspine.phantom.anatomy import ROOT_PLANE_MM, Anatomy
from volspine.phantom.narrowing import ANGLES
from volspine.phantom.painting import Canvas
from volspine.phantom.section import PEDICLE_BOTTOM_MM, ROOT_RADIUS_MM, Section
from volspine.phantom.tissues import Tissue

__all__ = ["paint_foramina", "root_offset"]

Array = NDArray[np.floating]

INNER_MM, OUTER_MM = 12.0, 23.5
"""Where the tunnel begins and ends, from the midline."""


def root_offset(c: Section, u: Array) -> tuple[Array, Array]:
    """Return how far a point lies behind and below the axis of the exiting root.

    The root runs outwards, downwards and forwards at about 25 degrees.
    """
    out = np.clip(np.abs(u) - ROOT_PLANE_MM, -9.0, 14.0)
    return c.v - (c.root_v - 0.3 * out), c.below - (c.root_below + 0.45 * out)


def paint_foramina(canvas: Canvas, c: Section, u: Array, anatomy: Anatomy) -> None:
    """Paint the fat of the tunnel and the exiting root, both sides."""
    far = np.abs(u)
    behind, under = root_offset(c, u)
    radius = np.sqrt(behind * behind + under * under) + 1e-6
    angle = np.arctan2(under, behind)
    left = u >= 0
    shapes = anatomy.narrowing
    clearance = np.where(left, _around(shapes.clearance[:, 0], c, angle),
                         _around(shapes.clearance[:, 1], c, angle))  # fmt: skip
    flat = np.where(left, shapes.flatness[c.segment, 0], shapes.flatness[c.segment, 1])
    root = root_radius(angle, flat)
    tunnel = np.maximum(np.abs(far - 0.5 * (INNER_MM + OUTER_MM)) - 0.5 * (OUTER_MM - INNER_MM),
                        0.0)  # fmt: skip
    window = _window(c, far)
    canvas.paint(window, Tissue.CAPSULE)
    hole = radius - root - clearance
    ends = np.maximum(INNER_MM - far, far - OUTER_MM)
    canvas.paint(np.maximum(hole, ends), Tissue.EPIDURAL_FAT)
    del tunnel
    nerve = np.maximum(radius - root, np.maximum(8.0 - far, far - 34.0))
    canvas.paint(nerve, Tissue.ROOT)


def root_radius(angle: Array, flatness: Array) -> Array:
    """Return the root's radius in a direction; pressed from front and back."""
    a, b = ROOT_RADIUS_MM * np.sqrt(flatness), ROOT_RADIUS_MM / np.sqrt(flatness)
    return a * b / np.sqrt((b * np.cos(angle)) ** 2 + (a * np.sin(angle)) ** 2)


def _window(c: Section, far: Array) -> Array:
    """Signed distance to the window between two pedicles that disc and ligament fill."""
    tall = np.maximum(PEDICLE_BOTTOM_MM - c.below, 0.42 * c.height - c.above)
    deep = np.maximum(c.root_v - 6.0 - c.v, c.v - c.root_v - 7.5)
    return np.maximum(np.maximum(tall, deep), np.maximum(INNER_MM - far, far - OUTER_MM))


def _around(table: NDArray[np.float64], c: Section, angle: Array) -> Array:
    """Interpolate each point's segment row of a table of directions at an angle."""
    place = (angle * (ANGLES / (2 * np.pi))) % ANGLES
    first = np.floor(place).astype(np.int64)
    share = place - first
    row = np.broadcast_to(c.segment, angle.shape)
    near, far = table[row, first % ANGLES], table[row, (first + 1) % ANGLES]
    return np.asarray(near * (1 - share) + far * share, dtype=np.float32)
