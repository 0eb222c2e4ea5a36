"""Zones: the runs of points in which column, arch and canal can be, and painting on one of them.

Where slices and sub-slices are painted side by side, each of these layers has the zones that it
would have alone, so that it looks the same whatever is painted beside it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volspine.phantom.painting import span
from volspine.phantom.section import Section

__all__ = ["Zone", "on_zone", "spans", "zones_of"]

Array = NDArray[np.float32]
Zone = tuple[Any, Section]
"""Where along the first axis of the points, a slice or indices, and the section there."""


def zones_of(c: Section) -> list[Zone]:
    """Return the whole section, then the parts where column, arch and canal can be.

    Args:
        c: Section of a list of points, or of the rows of axial slices.
    """
    front, vault = c.half_depth, c.half_depth + c.canal_depth
    wanted = (c.v < front + 9.0, c.v > 0.3 * front, (c.v > front - 9.0) & (c.v < vault + 6.0))
    zones: list[Zone] = [(slice(None), c)]
    for mask in wanted:
        where = spans(mask[:, 0], c.layer[:, 0]) if mask.ndim == 2 else span(mask)
        zones.append((where, c.take(where)))
    return zones


def spans(wanted: NDArray[np.bool_], layer: NDArray[np.int64]) -> slice | NDArray[np.int64]:
    """Return the indices from each layer's first wanted one to its last; a slice if unbroken.

    Args:
        wanted: Shape (N,).
        layer: To which layer each belongs, shape (N,).
    """
    inside = np.zeros_like(wanted)
    for own in (np.flatnonzero(layer == one) for one in np.unique(layer)):
        inside[own[span(wanted[own])]] = True
    found, whole = np.flatnonzero(inside), span(inside)
    return whole if found.size == whole.stop - whole.start else found


def on_zone(
    values: NDArray[Any],
    zone: Zone,
    u: Array,
    painter: Callable[[NDArray[Any], Section, Array], None],
) -> None:
    """Call a painter with the part of values, section and `u` that lies in a zone, in place.

    Args:
        values: Shape (C, ...).
        zone: Where.
        u: Distance left of the midline, of all points.
        painter: Paints in place.
    """
    where, section = zone
    across = u[where]
    if not across.size:
        return
    part = values[:, where]
    painter(part, section, across)
    if not isinstance(where, slice):  # a copy
        values[:, where] = part
