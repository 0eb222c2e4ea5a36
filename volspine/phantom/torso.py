"""The rest of the trunk, painted: skin, fat, organs, vessels and muscles around the spine.

Everything here varies slowly along the body, so it is painted once a slice, on the points of
`surroundings`, the back of the body before the front.
"""

import numpy as np
from numpy.typing import NDArray

from volspine.phantom.abdomen import paint_abdomen
from volspine.phantom.anatomy import Anatomy
from volspine.phantom.muscles import back_surface, paint_muscles
from volspine.phantom.painting import Canvas, box_of
from volspine.phantom.sacrum import paint_pelvis
from volspine.phantom.surroundings import Surroundings, texture
from volspine.phantom.tissues import Tissue

__all__ = ["Surroundings", "paint_torso", "texture"]

Array = NDArray[np.floating]


def paint_torso(canvas: Canvas, p: Surroundings, anatomy: Anatomy) -> None:
    """Paint skin, fat, the abdomen, muscles and vessels."""
    _paint_wall(canvas, p, anatomy)
    paint_abdomen(canvas, p, anatomy)
    paint_pelvis(canvas, p, anatomy)
    paint_muscles(canvas, p, anatomy)


_RIM_MM = 8.0
"""How near to an edge its pixels can reach, however coarse they are."""


def _paint_wall(canvas: Canvas, p: Surroundings, anatomy: Anatomy) -> None:
    """Paint skin, the fat under it with its septum, and the belly's muscles."""
    thick = anatomy.subject.dorsal_fat
    fascia = p.back - back_surface(p, anatomy)
    _paint_skin(canvas, p, fascia - thick, anatomy.subject.size)
    box = box_of(fascia > 0.5 * thick - 0.5 * _RIM_MM)
    if box is not None:
        part = p.part(box)
        ripple = 0.05 * thick * np.sin(0.11 * part.z + 0.09 * part.far)
        septum = np.abs(fascia[box] - 0.55 * thick - ripple) - 0.35
        canvas.part(box).paint(septum, Tissue.CAPSULE, 0.55)
    _paint_belly(canvas, p, anatomy.subject.size)


def _paint_skin(canvas: Canvas, p: Surroundings, behind: Array, size: float) -> None:
    """Paint skin and fat; only fat where skin is too far away to reckon with.

    Args:
        canvas: Where to paint.
        p: The points.
        behind: How far behind the skin of the back.
        size: Of the person.
    """
    rim = behind > -_RIM_MM
    beside, front = 178.0 * size, 165.0 * size
    if float(p.far.max()) > beside - _RIM_MM or float(p.back.min()) < _RIM_MM - front:
        sides = np.maximum(p.far - beside, -p.back - front)
        behind, rim = np.maximum(behind, sides), rim | (sides > -_RIM_MM)
    box = box_of(rim) or (slice(0, 0), slice(0, 0))
    for deep in _around(box):
        canvas.part(deep).fill(Tissue.FAT)
    part = canvas.part(box)
    part.paint(behind[box], Tissue.SKIN)
    part.paint(behind[box] + 2.4, Tissue.FAT)


def _around(box: tuple[slice, ...]) -> list[tuple[slice, ...]]:
    """Return boxes that make up all the rest of an image."""
    rows, columns = box
    return [(slice(None, rows.start), slice(None)), (slice(rows.stop, None), slice(None)),
            (rows, slice(None, columns.start)), (rows, slice(columns.stop, None))]  # fmt: skip


def _paint_belly(canvas: Canvas, p: Surroundings, size: float) -> None:
    """Paint the muscles of the belly where the image reaches so far."""
    wide, deep = 158.0 * size, 142.0 * size
    if float(p.far.max()) < wide - _RIM_MM - 5.0 and float(p.back.min()) > _RIM_MM + 5.0 - deep:
        return
    box = p.within(-np.inf, _RIM_MM - 8.0, np.inf)
    if box is not None:
        part = p.part(box)
        belly = np.maximum(part.far - wide, -part.back - deep)
        muscle = np.maximum(np.abs(belly) - 5.0, part.back + 8.0)
        canvas.part(box).paint(muscle, Tissue.MUSCLE, 0.9)
