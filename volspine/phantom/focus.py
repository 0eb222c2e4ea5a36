"""Focus: run a painter on the points that its structure can touch, and on no others.

Points of a sagittal slice come as a list, those of an axial one as rows and columns; the former are
gathered, the latter cut to a box. What is painted there is put back.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from volspine.phantom.painting import Box, Canvas, box_of, span
from volspine.phantom.section import Section

__all__ = ["Field", "focus"]

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


class Field:
    """The distance to something made of parts, each reckoned only where it can matter.

    Args:
        c: Section of the points.
        u: Distance left of the midline, or from it.
    """

    def __init__(self, c: Section, u: Array) -> None:
        self.section = c
        self.u = u
        self.far = np.abs(u)
        self.nearest = self.far.min(axis=0) if u.ndim > 1 else None
        self.least, self.most = (float(self.far.min()), float(self.far.max())) if u.size else (
            np.inf, -np.inf)  # fmt: skip

    def box(self, rows: NDArray[np.bool_], low: float, high: float) -> Box | None:
        """Return the box of wanted points, or None if there are none.

        Args:
            rows: Which of the section's points may be wanted.
            low: Points nearer to the midline are not.
            high: Points further from it are not.
        """
        if self.most < low or self.least > high:
            return None
        first = span(rows.reshape(len(rows), -1)[:, 0])
        if not first.stop:
            return None
        first = first if len(rows) > 1 else slice(None)
        return (first,) if self.nearest is None else (first, span(self.nearest <= high))

    def at(self, box: Box) -> tuple[Section, Array]:
        """Return section and `u` of a box."""
        rows = box[0] if len(self.section.segment) > 1 else slice(None)
        return self.section.take(rows), self.u[box]
