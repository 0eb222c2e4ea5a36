"""Cross-section of the spinal canal: its front wall, its roof, and the dural sac between them.

In a plane across the spine, with u to the left and v backwards, the canal lies between the wall
(vertebral bodies and discs, which bulge) and the roof (laminae, facets and the ligamentum flavum,
which thickens). The roof comes down to the lateral recess at both sides. The sac is an ellipse cut
by both surfaces, so it turns from oval to triangular to trefoil as they close in.

Everything takes arrays that broadcast, and serves measuring and painting alike.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CanalSection",
    "clamp",
    "plateau",
    "rear_profile",
    "roof",
    "sac_axes",
    "sac_centre",
    "sac_distance",
    "sac_reach",
    "sac_span",
    "sided",
    "smooth_max",
    "vault",
    "wall",
]

Array = NDArray[np.floating]

MARGIN_MM = 0.7
"""Dura and film of fat between the sac and the walls."""

WAIST = 0.06
"""How much narrower a vertebra is at its middle than at its endplates."""

OPEN_RECESS_MM = 8.0
"""Depth of the recess away from the discs."""


@dataclass
class CanalSection:
    """What decides the canal's cross-section at a point along the spine; arrays that broadcast.

    Attributes:
        at_disc: 1 at the middle of a disc, 0 near the middle of a vertebra.
        half_depth: Of body or disc, front to back.
        half_width: Of body or disc, side to side.
        canal_depth: Of the bony canal.
        sac_area: Of the uncompressed sac, mm2.
        bulge: Of the disc.
        flavum: Thickening of the ligamentum flavum.
        shrink: Factor of the sac's ellipse.
        recess_place: Distance from the midline of the recess.
        recess: Depths of the left and right recess.
        facet: How far the left and right facet push the roof forwards.
        focus: How far left of the midline the bulge is largest.
        aspect: Width over depth of the uncompressed sac.
    """

    at_disc: Array
    half_depth: Array
    half_width: Array
    canal_depth: Array
    sac_area: Array
    bulge: Array
    flavum: Array
    shrink: Array
    recess_place: Array
    recess: tuple[Array, Array]
    facet: tuple[Array, Array]
    focus: Array
    aspect: Array

    @cached_property
    def axes(self) -> tuple[Array, Array]:
        """Half width and half depth of the sac's ellipse."""
        scale = 1.0 + (self.shrink - 1.0) * self.at_disc
        b = np.sqrt(self.sac_area / (np.pi * self.aspect)) * scale
        return self.aspect * b, b

    @cached_property
    def centre(self) -> Array:
        """Depth v of the sac's centre."""
        return np.asarray(wall(self, np.zeros_like(self.half_depth)) + MARGIN_MM + self.axes[1])

    @cached_property
    def walls(self) -> tuple[Array, Array]:
        """Depth v of the front wall at the left and the right recess."""
        return wall(self, self.recess_place), wall(self, -self.recess_place)


def clamp(x: Array, low: float, high: float) -> Array:
    """Return values kept between two bounds; three times as fast as a maximum with a number."""
    return np.asarray(x).clip(low, high)


def sided(left: NDArray[np.bool_], on_left: Array, on_right: Array) -> Array:
    """Return each point's value of its own side; unlike `np.where`, of one shape if on one side."""
    if left.all():
        return on_left
    if not left.any():
        return on_right
    shape = np.broadcast_shapes(left.shape, on_left.shape, on_right.shape)
    values = np.empty(shape, dtype=on_left.dtype)
    values[...] = on_right
    np.copyto(values, on_left, where=left)
    return values


def plateau(x: Array, inner: float, outer: float) -> Array:
    """Return 1 where |x| is below `inner`, 0 beyond `outer`, smooth in between."""
    r = clamp((np.abs(x) - inner) / (outer - inner), 0.0, 1.0)
    return np.asarray(1.0 - r * r * (3.0 - 2.0 * r))


def rear_profile(c: CanalSection, u: Array) -> Array:
    """Return how far a body's hollow or a disc's bulge takes its back from the oval."""
    middle = np.exp(-(u * u) / 64.0)
    off = u - c.focus
    bulge = 0.7 + c.bulge * np.exp(-(off * off) / 40.0)
    return np.asarray(c.at_disc * bulge - 1.2 * (1.0 - c.at_disc) * middle)


def wall(c: CanalSection, u: Array) -> Array:
    """Return the depth v of the back of bodies and discs at a distance `u` from the midline."""
    q = clamp(np.abs(u) / c.half_width, 0.0, 0.99)
    return np.asarray(c.half_depth * np.cbrt(1.0 - q * q * q) + rear_profile(c, u))


def vault(c: CanalSection, u: Array) -> Array:
    """Return the depth v of the bony roof: laminae, and the fat pad between them at a disc."""
    pad = (2.0 * c.at_disc - 1.8 * (1.0 - c.at_disc)) * np.exp(-(u * u) / 20.0)
    slope = 0.55 * (np.sqrt(u * u + 4.0) - 2.0)
    return np.asarray(c.half_depth + c.canal_depth - slope + pad)


def roof(c: CanalSection, u: Array) -> Array:
    """Return the depth v of the back of the canal: laminae, flavum and facets.

    The flavum thickens on both sides of the midline and leaves a cleft between; a thick facet
    pushes in from behind and outside. Neither reaches further forwards than the recess is deep,
    so the recess keeps its depth whatever narrows the canal.
    """
    far, left, place = np.abs(u), u >= 0, c.recess_place
    fold = 0.35 + 0.65 * _rise(far, 0.12 * place, 0.55 * place)
    fold = fold - 0.4 * _rise(far, 0.6 * place, 0.95 * place)
    push = sided(left, *c.facet) * (0.2 + 0.8 * _rise(far, 0.1 * place, place))
    arch = vault(c, u) - c.at_disc * (c.flavum * fold + push)
    depth = sided(left, *c.recess)
    depth = OPEN_RECESS_MM + (depth - OPEN_RECESS_MM) * c.at_disc
    shoulder = clamp(place - 0.8 - far, 0.0, np.inf) * (2.6 + 0.5 * (OPEN_RECESS_MM - depth))
    outside = clamp(far - place, 0.0, np.inf)
    facet = sided(left, *c.walls) + depth + 0.1 * outside
    return np.asarray(np.minimum(np.maximum(arch, facet), facet + shoulder))


def _rise(x: Array, first: Array, last: Array) -> Array:
    """Return 0 before the first place, 1 behind the last, smooth in between."""
    r = clamp((x - first) / (last - first), 0.0, 1.0)
    return np.asarray(r * r * (3.0 - 2.0 * r))


def sac_axes(c: CanalSection) -> tuple[Array, Array]:
    """Return the half width and half depth of the sac's ellipse."""
    return c.axes


def sac_centre(c: CanalSection) -> Array:
    """Return the depth v of the sac's centre."""
    return c.centre


def sac_distance(
    c: CanalSection, u: Array, v: Array, between: tuple[Array, Array] | None = None
) -> Array:
    """Return the signed distance to the sac's surface, negative inside.

    Args:
        c: Cross-section.
        u: Distance left of the midline.
        v: Depth.
        between: Wall and roof at `u`, where they are known.
    """
    front, back = between or (wall(c, u), roof(c, u))
    a, b = sac_axes(c)
    p, q = u / a, (v - sac_centre(c)) / b
    radius = np.sqrt(p * p + q * q) + 1e-6
    ellipse = (radius - 1.0) * b
    walls = np.maximum(front + MARGIN_MM - v, 0.8 * (v - back + MARGIN_MM))
    return smooth_max(ellipse, walls, 1.2)


def sac_span(c: CanalSection, u: Array) -> tuple[Array, Array]:
    """Return the depths v of the front and the back of the sac at a distance `u`.

    The back lies in front of the front where the walls leave no room.
    """
    a, b = sac_axes(c)
    chord = b * np.sqrt(clamp(1.0 - (u / a) ** 2, 0.0, 1.0))
    front = np.maximum(sac_centre(c) - chord, wall(c, u) + MARGIN_MM)
    return front, np.minimum(sac_centre(c) + chord, roof(c, u) - MARGIN_MM)


def sac_reach(c: CanalSection, side: float) -> Array:
    """Return how far the sac reaches to a side with room for a root in it.

    Args:
        c: Cross-section.
        side: 1 for the left, -1 for the right.
    """
    a, _ = sac_axes(c)
    places = np.array([0.5, 0.7, 0.85], dtype=np.float32).reshape(3, *([1] * a.ndim))
    front, back = sac_span(c, np.asarray(a * (np.float32(side) * places)))
    reach = np.full_like(a, 0.35)
    for gain, room in zip((0.2, 0.2, 0.25), clamp((back - front) / 1.6, 0.0, 1.0), strict=True):
        reach = reach + np.float32(gain) * room
    return np.asarray(a * reach)


def smooth_max(a: Array, b: Array, width: float) -> Array:
    """Return a maximum that rounds the edge where its arguments meet."""
    h = np.asarray(np.abs(a - b))
    np.subtract(width, h, out=h)
    h.clip(0.0, np.inf, out=h)
    h *= h
    h *= 0.25 / width
    h += np.maximum(a, b)
    return h
