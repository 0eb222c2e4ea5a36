"""Focus: run a painter on the points that its structure can touch, and on no others.

Points of a sagittal slice come as a list, those of an axial one as rows and columns; the former are
gathered, the latter cut to a box. What is painted there is put back. Of slices that are painted
side by side, each looks as it would alone.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from volspine.phantom.painting import Box, Canvas, box_of, span
from volspine.phantom.section import Section

__all__ = ["Field", "focus"]

Array = NDArray[np.floating]
Painter = Callable[[Canvas, Section, Array], None]


def focus(
    canvas: Canvas,
    c: Section,
    u: Array,
    wanted: NDArray[np.bool_],
    painter: Painter,
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
        _focus_box(canvas, c, u, (wanted, painter))
        return
    index = _listed(wanted, c.layer)
    if index is None:
        painter(canvas, c, u)
    elif index.size:
        part = canvas.lift(index)
        painter(part, c.take(index), u[index])
        canvas.put(index, part)


def _listed(wanted: NDArray[np.bool_], layer: NDArray[np.int64]) -> NDArray[np.intp] | None:
    """Return which points of a list to paint, None for all; layers take turns in the list.

    A layer of which most points are wanted is painted whole, as it would be alone.
    """
    many = int(layer[-1]) + 1 if layer.size else 1
    whole = 3 * np.count_nonzero(wanted.reshape(-1, many), axis=0) > 2 * (wanted.size // many)
    if whole.all():
        return None
    if whole.any():
        wanted = wanted | np.tile(whole, wanted.size // many)
    return wanted.nonzero()[0]


def _focus_box(
    canvas: Canvas, c: Section, u: Array, what: tuple[NDArray[np.bool_], Painter]
) -> None:
    """Paint the box of the wanted points; where there are several layers, each in a box its own."""
    wanted, painter = what
    box = box_of(wanted)
    if box is None:
        return
    part, section = canvas.part(box), c.take(box[0] if len(c.segment) > 1 else slice(None))
    if (section.layer == section.layer[0]).all():
        painter(part, section, u[box])
        return
    before = part.copied()
    painter(part, section, u[box])
    part.restore(before, ~_own_boxes(wanted[box], section.layer[:, 0]))


def _own_boxes(wanted: NDArray[np.bool_], layer: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return the points that are in the box of their own layer; each row is of one, (rows,)."""
    inside = np.zeros_like(wanted)
    for rows in (np.flatnonzero(layer == one) for one in np.unique(layer)):
        own = box_of(wanted[rows])
        if own is not None:
            inside[rows[own[0]], own[1]] = True
    return inside


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
