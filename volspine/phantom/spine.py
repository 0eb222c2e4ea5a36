"""The spine, painted: bodies and discs, and the canal with what runs in it.

Each function lays its structures on a canvas for points given by a section and a distance `u` left
of the midline. Nothing here decides a grade; the shapes that do are in `canal` and `foramen`.
"""

import numpy as np
from numpy.typing import NDArray

from volspine.phantom.arch import ellipse
from volspine.phantom.canal import (
    clamp,
    plateau,
    rear_profile,
    roof,
    sac_axes,
    sac_centre,
    sac_distance,
    sac_reach,
    sac_span,
    sided,
    smooth_max,
    wall,
)
from volspine.phantom.focus import Field, focus
from volspine.phantom.painting import Canvas
from volspine.phantom.section import Section
from volspine.phantom.subject import Subject
from volspine.phantom.tissues import Tissue

__all__ = ["paint_canal", "paint_cauda", "paint_column", "paint_cord"]

Array = NDArray[np.floating]

_WITHIN = np.float32(0.9)
"""Part of the sac in which the middles of roots lie."""

_ROOT_MM = 2.2
"""Distance from a root's middle beyond which nothing is painted, with the widest pixels."""

_AT_ONCE = 16_384
"""Numbers reckoned at one go; more no longer fit the nearest cache."""


def paint_column(canvas: Canvas, c: Section, u: Array) -> None:
    """Paint vertebral bodies and discs."""
    focus(canvas, c, u, np.abs(u) < c.half_width + 3.0, _paint_bodies)


def _paint_bodies(canvas: Canvas, c: Section, u: Array) -> None:
    field = Field(c, u)
    outline = _outline(c, u)
    across = (u / c.half_width) ** 2 + (c.v / c.half_depth) ** 2
    endplates = np.minimum(c.under, c.over) + 1.1 * clamp(1.0 - across, 0.0, 1.0)
    box = field.box(np.minimum(c.under, c.over) > -4.0, 0.0, np.inf)
    if box is not None:
        part = field.at(box)[0]
        rim = 0.9 * part.at_disc * clamp(-0.25 * part.v, 0.0, 1.0)
        disc = smooth_max(outline[box] - rim, -endplates[box] - 0.5, 1.0)
        canvas.part(box).paint(disc, Tissue.ANNULUS)
    box = field.box(np.abs(c.w) < 0.46 * c.disc_height, 0.0, 0.74 * float(c.half_width.max()))
    if box is not None:
        _paint_nucleus(canvas.part(box), *field.at(box))
    body = smooth_max(outline, endplates, 2.5)
    canvas.paint(body, Tissue.CORTEX)
    canvas.paint(body + 0.8, Tissue.MARROW)
    box = field.box(np.minimum(c.below, c.above) ** 2 < 7.0, 0.0, 7.0)
    if box is not None:
        _paint_vein(canvas.part(box), *field.at(box), body[box])


def _paint_vein(canvas: Canvas, c: Section, u: Array, body: Array) -> None:
    """Paint the vein that leaves the middle of a body at its back."""
    middle = np.minimum(c.below, c.above)
    into = c.half_depth - c.v
    vein = (u / 4.0) ** 2 + (middle / 1.6) ** 2 + (into / 9.0) ** 2
    canvas.paint(np.maximum((vein - 1.0) * 1.5, body + 0.3), Tissue.VEIN, 0.5)


def _paint_nucleus(canvas: Canvas, c: Section, u: Array) -> None:
    """Paint the nucleus, which fades into the annulus and has a dark cleft when it ages."""
    radius = (u / (0.74 * c.half_width)) ** 2 + ((c.v + 1.0) / (0.70 * c.half_depth)) ** 2
    tall = np.abs(c.w) / (0.46 * c.disc_height)
    core = clamp(2.6 * (1.0 - np.sqrt(radius + tall * tall)), 0.0, 1.0)
    cleft = 1.0 - 0.35 * np.exp(-((c.w / 1.3) ** 2))
    canvas.paint(np.full_like(core, -99.0), Tissue.NUCLEUS, core * cleft * c.hydration)


def _outline(c: Section, u: Array) -> Array:
    """Signed distance to the side of bodies and discs, across the spine."""
    behind = clamp(c.v, 0.0, np.inf)
    # One of the two terms is 0: the first behind, the second, which knows the bulge, in front.
    far = np.abs(c.v - behind) + clamp(behind - rear_profile(c.canal(), u), 0.0, np.inf) * (c.v > 0)
    p, q = np.abs(u) / c.half_width, far / c.half_depth
    radius = np.cbrt(p * p * p + q * q * q)
    size = np.sqrt(u * u + c.v * c.v) + 1e-3
    return np.asarray(size * (1.0 - 1.0 / clamp(radius, 0.05, np.inf)))


def paint_canal(canvas: Canvas, c: Section, u: Array) -> None:
    """Paint ligamentum flavum, epidural fat, the dural sac and the roots that descend in it."""
    focus(canvas, c, u, np.abs(u) < c.canal_half_width + 1.5, _paint_canal)


def _paint_canal(canvas: Canvas, c: Section, u: Array) -> None:
    canal = c.canal()
    far, front, back = np.abs(u), wall(canal, u), roof(canal, u)
    low = smooth_max(front - c.v, far - c.canal_half_width, 3.0)
    # The flavum thins out on the front of the joint and towards both laminae.
    aside = clamp((far - c.recess_place + 3.0) / 5.5, 0.0, 1.0)
    thick = (3.2 + 0.8 * c.flavum) * (1.0 - 0.75 * aside * aside * (3.0 - 2.0 * aside))
    thick = thick * plateau(c.w + 1.0, 6.0, 13.0)
    near = far - c.recess_place - 2.5
    flavum = np.maximum(np.maximum(low, near), 0.5 * np.maximum(c.v - back - thick, back - c.v))
    canvas.paint(flavum, Tissue.LIGAMENT)
    inside = np.maximum(low, 0.5 * (c.v - back))  # the roof is steep: less than a distance in v
    canvas.paint(inside, Tissue.EPIDURAL_FAT)
    canvas.paint(np.maximum(inside, np.abs(c.v - front - 0.3) - 0.4), Tissue.CORTEX, 0.7)
    sac = sac_distance(canal, u, c.v, (front, back))
    canvas.paint(sac - 0.35, Tissue.CAPSULE, 0.5)
    canvas.paint(sac, Tissue.CSF)
    _paint_traversing(canvas, c, u, front)


def _paint_traversing(canvas: Canvas, c: Section, u: Array, front: Array) -> None:
    """Paint the root that crosses the recess on its way to the next foramen."""
    depth = sided(u >= 0, c.recess_left, c.recess_right)
    depth = 8.0 + (depth - 8.0) * c.at_disc
    tall = np.minimum(1.7, 0.42 * depth)
    drift = clamp(c.w, -8.0, 12.0) * 0.12
    middle = np.minimum(0.5 * depth, tall + 0.7)
    root = ellipse(np.abs(u) - c.recess_place - drift, c.v - front - middle,
                    2.9 - 0.5 * tall, tall)  # fmt: skip
    canvas.paint(np.maximum(root, np.abs(c.w - 3.0) - 9.0), Tissue.ROOT)


def paint_cauda(canvas: Canvas, c: Section, u: Array, subject: Subject) -> None:
    """Paint the roots of the cauda equina inside the sac; they crowd as it shrinks."""
    a, b = sac_axes(c.canal())
    wanted = (np.abs(u) < a) & (np.abs(c.v - sac_centre(c.canal())) < b)
    focus(canvas, c, u, wanted, lambda p, part, w: _paint_roots(p, part, w, subject))


def _paint_roots(canvas: Canvas, c: Section, u: Array, subject: Subject) -> None:
    """Paint the roots where the unit disc that they are drawn in comes to lie within the sac."""
    canal = c.canal()
    sides = [sac_reach(canal, side) if found.any() else u[:0]
             for side, found in ((1.0, u >= 0), (-1.0, u < 0))]  # fmt: skip
    reach = sided(u >= 0, *sides)
    front, back = sac_span(canal, u)
    half = clamp(0.5 * (back - front), 0.1, np.inf)
    x = u / reach
    tall = half / np.sqrt(clamp(1.0 - x * x, 0.05, 1.0))
    below = c.v - 0.5 * (front + back)
    share = clamp((_vertebra(c) - 5.0) / 5.0, 0.0, 1.0)
    places = _roots_near(subject, u, reach, share)
    if not places.shape[1]:
        return
    nearest = np.full_like(x, np.float32(1e6))
    some = max(_AT_ONCE // x.size, 1)
    for first in range(0, places.shape[1], some):
        high, low = places[:, first : first + some].reshape(2, -1, 2, *[1] * x.ndim)
        across = u - reach * (high[:, 0] + (low[:, 0] - high[:, 0]) * share)
        across *= across
        deep = below - tall * (high[:, 1] + (low[:, 1] - high[:, 1]) * share)
        deep *= deep
        across += deep
        np.minimum(nearest, across.min(axis=0), out=nearest)
    canvas.paint(np.sqrt(nearest) - np.minimum(0.62, 0.8 * half), Tissue.ROOT, 0.9)


def _roots_near(subject: Subject, u: Array, reach: Array, share: Array) -> Array:
    """Return where in the unit disc those roots run that come near the points, (2, R, 2)."""
    places = _WITHIN * subject.roots.astype(np.float32)
    ends = np.array([share.min(), share.max()], dtype=np.float32)[:, None]
    across = places[0, :, 0] + (places[1, :, 0] - places[0, :, 0]) * ends
    across = np.concatenate([across * reach.min(), across * reach.max()])
    near = (across.min(axis=0) < u.max() + _ROOT_MM) & (across.max(axis=0) > u.min() - _ROOT_MM)
    return np.asarray(places[:, near])


def paint_cord(canvas: Canvas, c: Section, u: Array, subject: Subject) -> None:
    """Paint the cord, which tapers to its tip behind L1."""
    left = clamp((subject.conus - _vertebra(c)) / 1.2, 0.0, 1.0)
    if not left.any():
        return
    taper = np.sqrt(left)
    canal = c.canal()
    radius = np.sqrt((u / 4.6) ** 2 + ((c.v - sac_centre(canal) - 1.0) / 3.5) ** 2)
    canvas.paint((radius - taper) * 3.5 + np.float32(4.0) * (left <= 0), Tissue.CORD)


def _vertebra(c: Section) -> Array:
    """Place along the spine, counted in vertebrae from the first."""
    return np.asarray(c.segment + c.below / np.maximum(c.below + c.above, 1.0), dtype=np.float32)
