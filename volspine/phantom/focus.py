"""Focus: run a painter on the points that its structure can touch, and on no others.

Points of a sagittal slice come as a list, those of an axial one as rows and columns; the former are
gathered, the latter cut to a box. What is painted there is put back.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from volspine.phantom.painting import Canvas, box_of
from volspine.phantom.section import Section

__all__ = ["focus"]

Array = NDArray[np.floating]


def focus(
    canvas: Canvas,
    c: Section,
    u: Array,
    wanted: NDArray[np.bool_],
    painter: Callable[[Canvas, Section, Array], None],
) -> None:
    """Call a painter with the wanted points of a canvas and its section.

    Args:
        canvas: Over points of the shape of `u`.
        c: Their section; its arrays broadcast to the same shape.
        u: Distance left of the midline.
        wanted: Points of interest, of the shape of `u`; a few more may be painted.
        painter: Takes the part of canvas, section and `u`.
    """
    if u.ndim > 1:
        box = box_of(wanted)
        if box is not None:
            rows = box[0] if len(c.segment) > 1 else slice(None)
            painter(canvas.part(box), c.take(rows), u[box])
        return
    index = wanted.nonzero()[0]
    if 3 * index.size > 2 * u.size:
        painter(canvas, c, u)
    elif index.size:
        part = canvas.lift(index)
        painter(part, c.take(index), u[index])
        canvas.put(index, part)
