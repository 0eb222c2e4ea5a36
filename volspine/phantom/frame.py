"""Swept frame: from a point in the midsagittal plane to its place along and across the spine.

Every vertebra has a plane through its middle, given by a centre and a tilt in the (y, z) plane of
the body frame (y posterior, z cranial, x left, millimetres, origin at the middle of L3). A point
lies between two neighbouring planes; its signed distances to both say how far along the segment it
is, and a blended front-to-back axis gives its depth. Planes through the middle of the bodies, not
through the endplates, cross far outside the spine even where the lordosis is strong.

Legend:
    K  vertebrae, cranial to caudal, `VERTEBRAE`      segment i lies between vertebrae i and i + 1
    d  signed distance to a vertebra's plane, positive above it
    s  arc length along the centre curve, millimetres, growing caudally; 0 at the first vertebra
    v  depth, millimetres, growing posteriorly; 0 on the centre curve
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from volspine.types import FloatArray

__all__ = ["FIRST_SEGMENT", "VERTEBRAE", "Frame", "Placed", "build_frame"]

VERTEBRAE = (*(f"T{n}" for n in range(8, 13)), *(f"L{n}" for n in range(1, 6)),
             *(f"S{n}" for n in range(1, 6)))  # fmt: skip
"""Vertebrae of the model, cranial to caudal."""

FIRST_SEGMENT = VERTEBRAE.index("L1")
"""Segment of L1/L2; the graded levels are this one and the four below it."""

_ORIGIN = VERTEBRAE.index("L3")

_CLOSE_MM = 1e-9
"""How near to its place a point is left."""


@dataclass(frozen=True)
class Placed:
    """Points placed in the frame; all arrays have the shape of the points, float32.

    Attributes:
        segment: Index of the segment, 0 to K - 2.
        below: Distance below the middle of the segment's upper vertebra, mm.
        above: Distance above the middle of the segment's lower vertebra, mm.
        arc: Arc length s, mm.
        depth: Depth v, mm.
    """

    segment: NDArray[np.int64]
    below: NDArray[np.float32]
    above: NDArray[np.float32]
    arc: NDArray[np.float32]
    depth: NDArray[np.float32]

    def at(self, where: NDArray[np.bool_] | NDArray[np.int64] | slice) -> "Placed":
        """Return some of the points: those of a mask as a list, or a part of the first axis."""
        return Placed(
            self.segment[where],
            self.below[where],
            self.above[where],
            self.arc[where],
            self.depth[where],
        )


@dataclass(frozen=True)
class Frame:
    """Planes of the vertebrae in the (y, z) plane of the body frame.

    Attributes:
        centres_mm: Shape (K, 2); (y, z) of each vertebra's middle.
        tilts: Shape (K,), radians; how far a vertebra's upward normal leans backwards.
        arcs_mm: Shape (K,); arc length of each vertebra's middle.
        slips_mm: Shape (K - 1,); how far each vertebra has slipped forwards on the next, a step of
            the centre curve within the disc.
    """

    centres_mm: FloatArray
    tilts: FloatArray
    arcs_mm: FloatArray
    slips_mm: FloatArray

    @cached_property
    def normals(self) -> FloatArray:
        """Upward unit normals of the planes, shape (K, 2)."""
        return np.stack([np.sin(self.tilts), np.cos(self.tilts)], axis=1)

    @cached_property
    def _steps(self) -> FloatArray:
        """How far each lower vertebra lies behind where it would without a slip, (K - 1, 2)."""
        return _backwards(self.tilts) * self.slips_mm[:, None]

    def place(self, y_mm: NDArray[np.floating], z_mm: NDArray[np.floating]) -> Placed:
        """Place points of the midsagittal plane in the frame.

        Args:
            y_mm: Posterior coordinates, any shape.
            z_mm: Cranial coordinates, same shape.
        """
        shape = np.shape(y_mm)
        y, z = np.ravel(y_mm).astype(np.float64), np.ravel(z_mm).astype(np.float64)
        normal = self.normals
        offset = (normal * self.centres_mm).sum(axis=1)
        d = normal[:, :1] * y + normal[:, 1:] * z - offset[:, None]
        segment = np.clip((d < 0).sum(axis=0) - 1, 0, len(self.tilts) - 2)
        points = np.arange(y.size)
        below, above = -d[segment, points], d[segment + 1, points]
        t = np.clip(below / np.maximum(below + above, 1.0), -2.0, 3.0)
        centre, tilt = self._curve(segment, t)
        depth = (y - centre[0]) * np.cos(tilt) - (z - centre[1]) * np.sin(tilt)
        arc = self.arcs_mm[segment] + t * np.diff(self.arcs_mm)[segment]
        fields = (below, above, arc, depth)
        return Placed(segment.reshape(shape), *(_single(f, shape) for f in fields))

    def locate(self, segment: int, t: float, depth_mm: float) -> FloatArray:
        """Return the point (y, z) that `place` puts at fraction `t` of a segment and a depth.

        Args:
            segment: Index of the segment.
            t: 0 at the middle of its upper vertebra, 1 at that of its lower one.
            depth_mm: Depth v.
        """
        centre, tilt = self._curve(np.array([segment]), np.array([t]))
        angle = float(tilt[0])
        back = np.array([np.cos(angle), -np.sin(angle)])
        point = centre[:, 0] + depth_mm * back
        for _ in range(12):
            below, above, depth = self._local(segment, point)
            slip = t * (below + above) - below
            if max(abs(slip), abs(depth_mm - depth)) < _CLOSE_MM:
                break
            point = point + (depth_mm - depth) * back
            point = point - slip * np.array([np.sin(angle), np.cos(angle)])
        return np.asarray(point, dtype=np.float64)

    def _local(self, segment: int, point: FloatArray) -> tuple[float, float, float]:
        d = self.normals @ point - (self.normals * self.centres_mm).sum(axis=1)
        below, above = -float(d[segment]), float(d[segment + 1])
        t = np.array([below / (below + above)])
        centre, tilt = self._curve(np.array([segment]), t)
        offset = point - centre[:, 0]
        depth = offset[0] * np.cos(tilt[0]) - offset[1] * np.sin(tilt[0])
        return below, above, float(depth)

    def _curve(self, segment: NDArray[np.int64], t: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the centre curve's (y, z), shape (2, N), and its tilt, by a cubic Hermite."""
        length = np.diff(self.arcs_mm)[segment]
        down = -self.normals
        slip = self._steps[segment]
        p, q = self.centres_mm[segment], self.centres_mm[segment + 1] - slip
        m, n = down[segment] * length[:, None], down[segment + 1] * length[:, None]
        # Beyond the first and last plane the curve goes on straight.
        r = np.clip(t, 0.0, 1.0)[:, None]
        curve = p * (1 + 2 * r) * (1 - r) ** 2 + m * r * (1 - r) ** 2
        curve = curve + q * r**2 * (3 - 2 * r) + n * r**2 * (r - 1)
        # A slipped vertebra moves as a whole: all of the step lies between the endplates.
        curve = curve + slip * np.clip((r - 0.36) / 0.28, 0.0, 1.0)
        over = (t[:, None] - r) * length[:, None]
        curve = curve + over * np.where(over < 0, down[segment], down[segment + 1])
        tilt = self.tilts[segment] * (1 - r[:, 0]) + self.tilts[segment + 1] * r[:, 0]
        return curve.T, tilt


def _single(values: FloatArray, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return values.astype(np.float32).reshape(shape)


def _backwards(tilts: FloatArray) -> FloatArray:
    """Return the unit vector (y, z) to the back in the middle of each segment, (K - 1, 2)."""
    middle = (tilts[:-1] + tilts[1:]) / 2
    return np.stack([np.cos(middle), -np.sin(middle)], axis=1)


def build_frame(
    heights_mm: FloatArray,
    discs_mm: FloatArray,
    bends: FloatArray,
    pitch: float,
    *,
    slips_mm: FloatArray | None = None,
) -> Frame:
    """Chain vertebrae and discs into a frame with its origin at the middle of L3.

    Args:
        heights_mm: Shape (K,); heights of the vertebrae.
        discs_mm: Shape (K - 1,); heights of the discs.
        bends: Shape (K - 1,), radians; lordosis of each segment.
        pitch: Tilt of L3, radians; positive leans its top backwards.
        slips_mm: Shape (K - 1,); how far each vertebra has slipped forwards on the next; None: not.
    """
    slips = np.zeros(len(discs_mm)) if slips_mm is None else slips_mm
    tilts = np.concatenate([[0.0], -np.cumsum(bends)])
    tilts = tilts - tilts[_ORIGIN] + pitch
    steps = heights_mm[:-1] / 2 + discs_mm + heights_mm[1:] / 2
    middle = (tilts[:-1] + tilts[1:]) / 2
    moves = -np.stack([np.sin(middle), np.cos(middle)], axis=1) * steps[:, None]
    moves = moves + _backwards(tilts) * slips[:, None]
    centres = np.concatenate([np.zeros((1, 2)), np.cumsum(moves, axis=0)])
    arcs = np.concatenate([[0.0], np.cumsum(steps)])
    return Frame(centres - centres[_ORIGIN], tilts, arcs, slips)
