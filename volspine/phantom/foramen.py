"""The neural foramina: a tunnel of fat around the exiting root, between two pedicles.

Around the root's axis the fat reaches `clearance` millimetres in each direction; where that falls
below a millimetre, disc, facet or pedicle touches the root. A severe narrowing flattens the root.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from volspine.phantom.anatomy import ROOT_PLANE_MM, Anatomy
from volspine.phantom.canal import clamp, plateau, smooth_max
from volspine.phantom.focus import focus
from volspine.phantom.narrowing import ANGLES
from volspine.phantom.painting import Canvas
from volspine.phantom.section import ROOT_RADIUS_MM, Section
from volspine.phantom.tissues import Tissue

__all__ = ["paint_foramina", "root_offset"]

Array = NDArray[np.floating]

TUNNEL_MM = 17.5
"""Middle of the tunnel, from the midline."""

_REACH_MM, _END_MM = 14.0, 36.0
"""How far a tunnel reaches from its axis, and how far to the side the root is painted."""


def root_offset(c: Section, u: Array) -> tuple[Array, Array]:
    """Return how far a point lies behind and below the axis of the exiting root.

    The root runs outwards, downwards and forwards at about 25 degrees. Depth leans with the spine
    and `below` with the vertebra; the second is taken along the first, so that round stays round.
    """
    out = clamp(np.abs(u) - ROOT_PLANE_MM, -9.0, 14.0)
    behind = c.v - (c.root_v - 0.3 * out)
    under = c.below - (c.root_below + 0.45 * out)
    return behind, under + c.root_lean * behind


def paint_foramina(canvas: Canvas, c: Section, u: Array, anatomy: Anatomy) -> None:
    """Paint the fat of the tunnel and the exiting root, both sides."""
    far = np.abs(u)
    behind, under = root_offset(c, u)
    near = behind * behind + under * under < _REACH_MM**2
    wanted = near & (far > 7.0) & (far < _END_MM + 1.0)
    focus(canvas, c, u, wanted, lambda p, part, w: _paint_tunnel(p, part, w, anatomy))


def _paint_tunnel(canvas: Canvas, c: Section, u: Array, anatomy: Anatomy) -> None:
    far = np.abs(u)
    behind, under = root_offset(c, u)
    radius = np.sqrt(behind * behind + under * under) + 1e-6
    shapes = anatomy.narrowing
    around = _Around.at(c, u, np.arctan2(under, behind))
    clearance, plug = around.read(shapes.clearance), around.read(shapes.plug)
    flat = shapes.flatness.astype(np.float32).ravel()[around.side]
    # On the axis itself any direction does, but there has to be one.
    root = root_radius(((behind + np.float32(1e-6)) / radius, under / radius), flat)
    # Tissue that crowds the root is thickest in the middle of the tunnel.
    away = clamp(np.abs(far - TUNNEL_MM) - 3.0, 0.0, np.inf) / 7.0
    open_ = np.sqrt(clamp(1.0 - away * away, 0.0, 1.0)) + 99.0 * clamp(1.0 - away, -np.inf, 0.0)
    crowd = radius - root - plug * open_ + np.float32(99.0) * (plug <= clearance)
    canvas.paint(crowd, Tissue.ANNULUS)
    # What crowds from behind is the facet with its capsule and the flavum, darker than a disc.
    canvas.paint(np.maximum(crowd, np.abs(under) - 0.8 * behind), Tissue.LIGAMENT, 0.8)
    canvas.paint(radius - root - clearance * open_, Tissue.EPIDURAL_FAT)
    # The ganglion lies in the tunnel; the root is thinner on its way in and out.
    slim = 1.3 * (1.0 - plateau(far - TUNNEL_MM, 3.5, 9.0))
    nerve = smooth_max(radius - root + slim, np.maximum(9.0 - far, far - _END_MM), 2.0)
    canvas.paint(nerve, Tissue.ROOT)


def root_radius(direction: tuple[Array, Array], flatness: Array) -> Array:
    """Return the root's radius in a direction, given by its cosine and sine behind and below.

    It is pressed from front and back.
    """
    a, b = ROOT_RADIUS_MM * np.sqrt(flatness), ROOT_RADIUS_MM / np.sqrt(flatness)
    return a * b / np.sqrt((b * direction[0]) ** 2 + (a * direction[1]) ** 2)


@dataclass(frozen=True)
class _Around:
    """How tables of directions, (S, 2, A), are read at points, each on its own side.

    Attributes:
        side: Segment and side of each point, as an index of both.
        first: The direction before it.
        share: How far it is on the way to the next one.
    """

    side: NDArray[np.intp]
    first: NDArray[np.intp]
    share: NDArray[np.float32]

    @classmethod
    def at(cls, c: Section, u: Array, angle: Array) -> "_Around":
        """Find the place of angles from -pi to pi among the directions."""
        place = angle * np.float32(ANGLES / (2 * np.pi))
        place = clamp(place + np.float32(ANGLES) * (place < 0), 0.0, ANGLES - 1e-3)
        first = place.astype(np.intp)
        share = place - first.astype(np.float32)
        return cls(2 * c.segment + (u < 0), first, share.astype(np.float32))

    def read(self, table: NDArray[np.float64]) -> Array:
        """Interpolate each point's row."""
        whole = table.astype(np.float32)
        closed = np.concatenate([whole, whole[..., :1]], axis=-1).ravel()
        index = self.side * (ANGLES + 1) + self.first
        near = closed.take(index)
        return np.asarray(near + (closed.take(index + 1) - near) * self.share, dtype=np.float32)
