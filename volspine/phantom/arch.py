"""The posterior arch, painted: pedicles, laminae, processes, facet joints and their ligaments.

Parts of one vertebra are joined before they are painted, so that marrow runs on from body to
process. The superior process of the vertebra below stands in front and to the side of the inferior
process of the vertebra above; the joint between them is curved and turned by the facet's angle.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from volspine.phantom.canal import clamp, sided, smooth_max, vault, wall
from volspine.phantom.focus import Field, focus
from volspine.phantom.painting import Canvas
from volspine.phantom.section import PEDICLE_BOTTOM_MM, Section
from volspine.phantom.tissues import Tissue

__all__ = ["ellipse", "paint_arch", "smooth_min"]

Array = NDArray[np.floating]

_TRANSVERSE = np.array([30, 30, 29, 26, 24, 36, 43, 48, 44, 42, 0, 0, 0, 0, 0], dtype=np.float32)
"""Reach of the transverse processes from the midline, T8 to S5, mm."""

_LAST_FACET = 9
"""Segment of L5/S1, the last with facet joints."""


def ellipse(x: Array, y: Array, a: Array | float, b: Array | float) -> Array:
    """Return the distance to an ellipse, exact on its axes, negative inside."""
    p, q = x / a, y / b
    return np.asarray((np.sqrt(p * p + q * q) - 1.0) * np.minimum(a, b, dtype=np.float32))


def smooth_min(a: Array, b: Array, width: float) -> Array:
    """Return a minimum that fills the corner where its arguments meet."""
    return np.asarray(-smooth_max(-a, -b, width))


def paint_arch(canvas: Canvas, c: Section, u: Array) -> None:
    """Paint pedicles, laminae, articular and spinous processes, and the ligaments between."""
    behind = c.v - c.half_depth - c.canal_depth < c.spinous + 8.0
    focus(canvas, c, u, behind & (np.abs(u) < 51.0), _paint_arch)


_BLEND_MM = 6.0
"""Distance from a part of an arch beyond which it no longer fills the corners of the others."""

_EDGE_MM = 1.5
"""Distance beyond which nothing is painted, with the widest pixels."""

_FAR = np.float32(99.0)


def _paint_arch(canvas: Canvas, c: Section, u: Array) -> None:
    field = Field(c, u)
    back = c.v - c.half_depth
    front = wall(c.canal(), u)
    _paint_window(canvas, field, back, front)
    _paint_interspinous(canvas, field, back)
    box = field.box((back > -10.0) & (back < 32.0), 0.0, 36.0)
    joint = None if box is None else _Joint.at(*field.at(box))
    in_body = front - c.v
    for below, lower in ((-c.above, 1), (c.below, 0)):
        arch = _vertebral_arch(field, back, (below, c.segment + lower))
        if joint is not None:
            process = joint.superior if lower else joint.inferior
            arch[box] = smooth_min(arch[box], process, 2.5)
        _paint_bone(canvas, arch, in_body)
    if box is not None and joint is not None:
        part = canvas.part(box)
        part.paint(joint.capsule, Tissue.CAPSULE)
        part.paint(joint.cleft, Tissue.JOINT, 0.6)


def _paint_bone(canvas: Canvas, distance: Array, in_body: Array) -> None:
    """Paint bone whose cortex ends where it meets the vertebral body."""
    canvas.paint(np.maximum(distance, in_body), Tissue.CORTEX)
    canvas.paint(distance + 0.9, Tissue.MARROW)


def _paint_window(canvas: Canvas, field: Field, back: Array, front: Array) -> None:
    """Paint the fat of the space between body, pedicles and joint, wider than the root's tunnel."""
    rows = (np.abs(back - 5.0) < 12.5 + 2.0 * _EDGE_MM) & (field.section.segment <= _LAST_FACET)
    box = field.box(rows, 9.0 - _EDGE_MM, 25.5 + _EDGE_MM)
    if box is None:
        return
    c, u = field.at(box)
    far = np.abs(u)
    hollow = ellipse(far - 17.0, c.v - c.half_depth - 5.0, 8.5, 12.5)
    edge = np.maximum(np.maximum(front[box], 0.45 * c.half_depth) - c.v, 9.0 - far)
    none = _FAR * (c.segment > _LAST_FACET)
    canvas.part(box).paint(smooth_max(hollow, edge, 2.0) + none, Tissue.EPIDURAL_FAT)


def _paint_interspinous(canvas: Canvas, field: Field, back: Array) -> None:
    """Paint the ligaments between spinous processes, streaked with fat, and the one over them."""
    box = field.box(back > field.section.canal_depth - _EDGE_MM, 0.0, 2.4 + _EDGE_MM)
    if box is None:
        return
    c, u = field.at(box)
    far, reach, canvas = np.abs(u), c.v - c.half_depth - c.canal_depth, canvas.part(box)
    between = smooth_max(far - 2.4, np.maximum(1.5 - reach, reach - 0.92 * c.spinous - 2.0), 1.5)
    slant = 1.1 * c.w + 0.45 * reach
    streaks = 0.5 + 0.14 * np.sin(slant + 1.8 * np.sin(0.37 * c.arc)) + 0.1 * np.sin(0.43 * slant)
    canvas.paint(between, Tissue.LIGAMENT, np.asarray(streaks, dtype=np.float32))
    cord = np.maximum(far - 2.0, np.abs(reach - c.spinous - 3.5) - 1.0)
    canvas.paint(cord, Tissue.LIGAMENT, 0.9)


_Vertebra = tuple[Array, NDArray[np.int64]]
"""How far points lie under the middle of a vertebra, signed, and its index."""


def _vertebral_arch(field: Field, back: Array, vertebra: _Vertebra) -> Array:
    """Return the distance to one vertebra's arch; its parts are joined where they come near."""
    arch = np.full(field.u.shape, _FAR, dtype=np.float32)
    for find, part, width in (
        (_near_pedicle, _pedicle, 0.0),
        (_near_transverse, _transverse, 3.0),
        (_near_lamina, _lamina, 3.0),
        (_near_isthmus, _isthmus, 3.0),
        (_near_spinous, _spinous, 0.0),
    ):
        box = field.box(*find(field.section, back, vertebra))
        if box is not None:
            c, u = field.at(box)
            rows = box[0] if len(back) > 1 else slice(None)
            distance = part(c, np.abs(u), (vertebra[0][rows], vertebra[1][rows]))
            join = smooth_min if width else _least
            arch[box] = join(arch[box], distance, width)
    return arch


def _least(a: Array, b: Array, width: float) -> Array:
    """Return the minimum, without filling the corner."""
    del width
    return np.asarray(np.minimum(a, b))


_Where = tuple[NDArray[np.bool_], float, float]
"""Points that may be near a part, and its least and largest distance from the midline."""


def _near_pedicle(c: Section, back: Array, vertebra: _Vertebra) -> _Where:
    half = 0.42 * c.pedicle
    tall = 0.5 * (np.float32(PEDICLE_BOTTOM_MM) + 0.42 * c.height)
    reach = tall * (1.0 + _BLEND_MM / np.minimum(half, tall))
    rows = np.abs(vertebra[0] - np.float32(PEDICLE_BOTTOM_MM) + tall) < reach
    rows &= (back < 13.0 + _BLEND_MM) & (back > -0.35 * c.half_depth - _BLEND_MM)
    low, high = float(c.canal_half_width.min()), float((c.canal_half_width + 1.2 * c.pedicle).max())
    return rows, low - _BLEND_MM, high + _BLEND_MM


def _pedicle(c: Section, far: Array, vertebra: _Vertebra) -> Array:
    top, bottom = -0.42 * c.height, np.float32(PEDICLE_BOTTOM_MM)
    back, below = c.v - c.half_depth, vertebra[0]
    half = 0.5 * c.pedicle * (0.84 + 0.0025 * clamp(back - 3.0, -12.0, 12.0) ** 2)
    far = far - c.canal_half_width - 0.5 * c.pedicle
    bar = ellipse(far, below - 0.5 * (top + bottom), half, 0.5 * (bottom - top))
    return smooth_max(bar, np.maximum(-0.35 * c.half_depth - back, back - 13.0), 6.0)


def _near_transverse(c: Section, back: Array, vertebra: _Vertebra) -> _Where:
    del c
    tip = _TRANSVERSE[vertebra[1]]
    rows = (np.abs(back - 10.6) < 12.5) & (np.abs(vertebra[0] + 4.3) < 17.0) & (tip > 0)
    return rows, 11.0 - _BLEND_MM, float(tip.max()) + _BLEND_MM


def _transverse(c: Section, far: Array, vertebra: _Vertebra) -> Array:
    """Distance to a transverse process: flat, rising a little, blunt at its end."""
    below, tip = vertebra[0], _TRANSVERSE[vertebra[1]]
    out = far - 16.0
    beam = ellipse(c.v - c.half_depth - 9.0 - 0.12 * out, below + 3.5 + 0.06 * out, 3.4, 5.5)
    return smooth_max(beam, np.maximum(far - tip, 11.0 - far), 4.0)


def _near_lamina(c: Section, back: Array, vertebra: _Vertebra) -> _Where:
    rows = (np.abs(back - c.canal_depth + 1.5) < 20.0) & (np.abs(vertebra[0] - 6.0) < 15.5)
    return rows, 0.0, 14.0 + _BLEND_MM


def _lamina(c: Section, far: Array, vertebra: _Vertebra) -> Array:
    below = vertebra[0]
    plate = np.abs(c.v - vault(c.canal(), far) - 0.22 * (below - 4.0) - 3.2) - 3.2
    plate = np.maximum(plate, np.abs(below - 6.0) - 9.5)
    return smooth_max(plate, far - 14.0, 2.5)


def _near_isthmus(c: Section, back: Array, vertebra: _Vertebra) -> _Where:
    rows = (np.abs(back - 12.8) < 13.5) & (np.abs(vertebra[0] - 3.5) < 18.5)
    wide = c.canal_half_width + 3.0
    reach = 5.5 + _BLEND_MM
    return rows, float(wide.min()) - reach, float(wide.max()) + reach


def _isthmus(c: Section, far: Array, vertebra: _Vertebra) -> Array:
    """Distance to the bar between the articular processes, which leans backwards as it descends."""
    place, below = c.canal_half_width + 3.0, vertebra[0]
    along = clamp((below + 5.0) / 17.0, 0.0, 1.0)
    x, y = c.v - c.half_depth - 9.5 - 6.5 * along, below + 5.0 - 17.0 * along
    return smooth_max(np.sqrt(x * x + y * y) - 3.9, np.abs(far - place) - 5.5, 3.0)


def _near_spinous(c: Section, back: Array, vertebra: _Vertebra) -> _Where:
    reach = back - c.canal_depth - 3.0
    rows = (reach > -1.0 - _BLEND_MM) & (reach < c.spinous + _BLEND_MM)
    rows &= np.abs(vertebra[0] - 8.0 - 0.2 * reach) < 6.0 + 0.16 * reach + _BLEND_MM
    return rows, 0.0, 2.0 + _BLEND_MM


def _spinous(c: Section, far: Array, vertebra: _Vertebra) -> Array:
    below = vertebra[0]
    reach = c.v - c.half_depth - c.canal_depth - 3.0
    centre = 8.0 + 0.2 * reach
    tall = np.abs(below - centre) - (6.0 + 0.16 * reach - 0.002 * reach * reach)
    long = np.maximum(-1.0 - reach, reach - c.spinous)
    thick = 1.7 + 0.06 * reach + 2.0 * np.exp(-0.35 * clamp(reach, 0.0, np.inf))
    return smooth_max(smooth_max(tall, long, 5.0), far - thick, 2.0)


@dataclass(frozen=True)
class _Joint:
    """A facet joint as distances, mm.

    Attributes:
        superior: To the superior process of the vertebra below.
        inferior: To the inferior process of the vertebra above.
        capsule: To the joint with its cartilage.
        cleft: To the fluid in it.
    """

    superior: Array
    inferior: Array
    capsule: Array
    cleft: Array

    @classmethod
    def at(cls, c: Section, u: Array) -> "_Joint":
        """Place the joint behind the recess that it narrows, turned by its angle."""
        left = u >= 0
        angle = sided(left, c.facet_left, c.facet_right)
        depth = sided(left, c.recess_left, c.recess_right)
        space = sided(left, c.joint_left, c.joint_right)
        push = sided(left, c.push_left, c.push_right)
        worn = clamp(7.0 - depth, 0.0, 5.5) * 0.5 + 0.3 * push
        x = np.abs(u) - c.canal_half_width - 3.0
        y = c.v - c.half_depth - 13.0 + worn
        sin, cos = np.sin(angle), np.cos(angle)
        along, across = x * sin + y * cos, x * cos - y * sin
        bent = across + 0.035 * (along - 1.0) ** 2
        none = _FAR * (c.segment > _LAST_FACET)
        up = (_beyond(-1.0 - c.w) + _beyond(c.w - 8.0)) / 9.0
        down = _beyond(c.w) / 10.5 + _beyond(-10.0 - c.w) / 8.0
        superior = _egg(along - 0.3, bent - 2.6, up, (7.6 + 0.35 * worn, 5.4 + 0.45 * worn))
        inferior = _egg(along - 1.2, bent + 2.9, down, (7.2 + 0.25 * worn, 5.4 + 0.2 * worn))
        slit = ellipse(along - 0.5, c.w - 0.5, 6.5, 9.0) + none
        return cls(
            superior=smooth_max(superior, 0.7 - bent, 1.0) + none,
            inferior=smooth_max(inferior, bent + 0.7, 1.0) + none,
            capsule=np.maximum(np.abs(bent) - 0.4 - 0.7 * space, slit),
            cleft=np.maximum(np.abs(bent) - 0.75 * space + 0.4, slit + 0.8),
        )


def _beyond(x: Array) -> Array:
    return clamp(x, 0.0, np.inf)


def _egg(x: Array, y: Array, z: Array, axes: tuple[Array, Array]) -> Array:
    """Return the distance to an ellipsoid whose third coordinate is scaled already."""
    p, q = x / axes[0], y / axes[1]
    return np.asarray((np.sqrt(p * p + q * q + z * z) - 1.0) * axes[1])
