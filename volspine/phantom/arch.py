"""The posterior arch, painted: pedicles, laminae, processes, facet joints and their ligaments.

Parts of one vertebra are joined before they are painted, so that marrow runs on from body to
process. The superior process of the vertebra below stands in front and to the side of the inferior
process of the vertebra above; the joint between them is curved and turned by the facet's angle.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from volspine.phantom.canal import clamp, smooth_max, vault, wall
from volspine.phantom.focus import focus
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


def _paint_arch(canvas: Canvas, c: Section, u: Array) -> None:
    far = np.abs(u)
    least = float(far.min())
    front = wall(c.canal(), u)
    if least < 26.0:
        _paint_window(canvas, c, far, front)
    if least < 4.0:
        _paint_interspinous(canvas, c, far)
    joint = _Joint.at(c, u) if least < 32.0 else None
    lower = _vertebral_arch(c, far, -c.above, c.segment + 1)
    if joint is not None:
        lower = smooth_min(lower, joint.superior, 2.5)
    _paint_bone(canvas, lower, front - c.v)
    upper = _vertebral_arch(c, far, c.below, c.segment)
    if joint is not None:
        upper = smooth_min(upper, joint.inferior, 2.5)
    _paint_bone(canvas, upper, front - c.v)
    if joint is not None:
        canvas.paint(joint.capsule, Tissue.CAPSULE)
        canvas.paint(joint.cleft, Tissue.JOINT, 0.6)


def _paint_bone(canvas: Canvas, distance: Array, in_body: Array) -> None:
    """Paint bone whose cortex ends where it meets the vertebral body."""
    canvas.paint(np.maximum(distance, in_body), Tissue.CORTEX)
    canvas.paint(distance + 0.9, Tissue.MARROW)


def _paint_window(canvas: Canvas, c: Section, far: Array, front: Array) -> None:
    """Paint the fat of the space between body, pedicles and joint, wider than the root's tunnel."""
    hollow = ellipse(far - 17.0, c.v - c.half_depth - 5.0, 8.5, 12.5)
    edge = np.maximum(np.maximum(front, 0.45 * c.half_depth) - c.v, 9.0 - far)
    none = np.float32(99.0) * (c.segment > _LAST_FACET)
    canvas.paint(smooth_max(hollow, edge, 2.0) + none, Tissue.EPIDURAL_FAT)


def _paint_interspinous(canvas: Canvas, c: Section, far: Array) -> None:
    """Paint the ligaments between spinous processes, streaked with fat, and the one over them."""
    reach = c.v - c.half_depth - c.canal_depth
    between = smooth_max(far - 2.4, np.maximum(1.5 - reach, reach - 0.92 * c.spinous - 2.0), 1.5)
    slant = 1.1 * c.w + 0.45 * reach
    streaks = 0.5 + 0.14 * np.sin(slant + 1.8 * np.sin(0.37 * c.arc)) + 0.1 * np.sin(0.43 * slant)
    canvas.paint(between, Tissue.LIGAMENT, np.asarray(streaks, dtype=np.float32))
    cord = np.maximum(far - 2.0, np.abs(reach - c.spinous - 3.5) - 1.0)
    canvas.paint(cord, Tissue.LIGAMENT, 0.9)


def _vertebral_arch(c: Section, far: Array, below: Array, index: NDArray[np.int64]) -> Array:
    """Return the distance to one vertebra's arch; `below` is how far under its middle, signed."""
    least = float(far.min())
    arch = _pedicle(c, far, below)
    tip = _TRANSVERSE[index]
    arch = smooth_min(arch, _transverse(c, far, below, tip), 3.0)
    if least < 24.0:
        plate = np.abs(c.v - vault(c.canal(), far) - 0.22 * (below - 4.0) - 3.2) - 3.2
        plate = np.maximum(plate, np.abs(below - 6.0) - 9.5)
        arch = smooth_min(arch, smooth_max(plate, far - 14.0, 2.5), 3.0)
        arch = smooth_min(arch, _isthmus(c, far, below), 3.0)
    if least < 8.0:
        arch = np.minimum(arch, _spinous(c, far, below))
    return np.asarray(arch)


def _pedicle(c: Section, far: Array, below: Array) -> Array:
    top, bottom = -0.42 * c.height, np.float32(PEDICLE_BOTTOM_MM)
    back = c.v - c.half_depth
    half = 0.5 * c.pedicle * (0.84 + 0.0025 * clamp(back - 3.0, -12.0, 12.0) ** 2)
    far = far - c.canal_half_width - 0.5 * c.pedicle
    bar = ellipse(far, below - 0.5 * (top + bottom), half, 0.5 * (bottom - top))
    return smooth_max(bar, np.maximum(-0.35 * c.half_depth - back, back - 13.0), 6.0)


def _transverse(c: Section, far: Array, below: Array, tip: Array) -> Array:
    """Distance to a transverse process: flat, rising a little, blunt at its end."""
    out = far - 16.0
    beam = ellipse(c.v - c.half_depth - 9.0 - 0.12 * out, below + 3.5 + 0.06 * out, 3.4, 5.5)
    return smooth_max(beam, np.maximum(far - tip, 11.0 - far), 4.0)


def _isthmus(c: Section, far: Array, below: Array) -> Array:
    """Distance to the bar between the articular processes, which leans backwards as it descends."""
    place = c.canal_half_width + 3.0
    along = clamp((below + 5.0) / 17.0, 0.0, 1.0)
    x, y = c.v - c.half_depth - 9.5 - 6.5 * along, below + 5.0 - 17.0 * along
    return smooth_max(np.sqrt(x * x + y * y) - 3.9, np.abs(far - place) - 5.5, 3.0)


def _spinous(c: Section, far: Array, below: Array) -> Array:
    reach = c.v - c.half_depth - c.canal_depth - 3.0
    centre = 8.0 + 0.2 * reach
    tall = np.abs(below - centre) - (6.0 + 0.16 * reach - 0.002 * reach * reach)
    long = np.maximum(-1.0 - reach, reach - c.spinous)
    thick = 1.7 + 0.06 * reach + 2.0 * np.exp(-0.35 * np.maximum(reach, 0.0))
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
        angle = np.where(left, c.facet_left, c.facet_right)
        depth = np.where(left, c.recess_left, c.recess_right)
        space = np.where(left, c.joint_left, c.joint_right)
        push = np.where(left, c.push_left, c.push_right)
        worn = clamp(7.0 - depth, 0.0, 5.5) * 0.5 + 0.3 * push
        x = np.abs(u) - c.canal_half_width - 3.0
        y = c.v - c.half_depth - 13.0 + worn
        sin, cos = np.sin(angle), np.cos(angle)
        along, across = x * sin + y * cos, x * cos - y * sin
        bent = across + 0.035 * (along - 1.0) ** 2
        none = np.float32(99.0) * (c.segment > _LAST_FACET)
        up = np.maximum(-1.0 - c.w, 0.0) / 9.0 + np.maximum(c.w - 8.0, 0.0) / 9.0
        down = np.maximum(c.w, 0.0) / 10.5 + np.maximum(-10.0 - c.w, 0.0) / 8.0
        superior = _egg(along - 0.3, bent - 2.6, up, (7.6 + 0.35 * worn, 5.4 + 0.45 * worn))
        inferior = _egg(along - 1.2, bent + 2.9, down, (7.2 + 0.25 * worn, 5.4 + 0.2 * worn))
        slit = ellipse(along - 0.5, c.w - 0.5, 6.5, 9.0) + none
        return cls(
            superior=smooth_max(superior, 0.7 - bent, 1.0) + none,
            inferior=smooth_max(inferior, bent + 0.7, 1.0) + none,
            capsule=np.maximum(np.abs(bent) - 0.4 - 0.7 * space, slit),
            cleft=np.maximum(np.abs(bent) - 0.75 * space + 0.4, slit + 0.8),
        )


def _egg(x: Array, y: Array, z: Array, axes: tuple[Array, Array]) -> Array:
    """Return the distance to an ellipsoid whose third coordinate is scaled already."""
    p, q = x / axes[0], y / axes[1]
    return np.asarray((np.sqrt(p * p + q * q + z * z) - 1.0) * axes[1])
