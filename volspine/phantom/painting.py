"""Painting: tissues laid over one another, back to front, with an edge of one pixel.

A canvas holds several sequences at once, since the blend of two tissues at an edge is the same
share in each. A label canvas holds the index of the topmost tissue instead. Most structures cover a
small part of a canvas, so only the part that a structure touches is blended.
"""

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from volspine.phantom.tissues import Tissue

__all__ = ["Box", "Canvas", "LabelCanvas", "SignalCanvas", "box_of", "span"]

Array = NDArray[np.floating]
Box = tuple[slice, ...]

_SMALL = 3000
"""Points below which looking for those that are touched costs more than painting all."""


@runtime_checkable
class Canvas(Protocol):
    """Something that tissues can be painted on."""

    def paint(self, distance: Array, tissue: Tissue, opacity: Array | float = 1.0) -> None:
        """Lay a tissue over what is there.

        Args:
            distance: Signed distance to the tissue's surface, mm, negative inside.
            tissue: What to paint.
            opacity: 1 covers, 0 does nothing.
        """

    def fill(self, tissue: Tissue) -> None:
        """Cover everything."""

    def part(self, box: Box) -> "Canvas":
        """Return a canvas over a box of the points; what is painted there is painted here."""

    def lift(self, index: NDArray[np.intp]) -> "Canvas":
        """Return a canvas over a copy of some points of a list."""

    def put(self, index: NDArray[np.intp], part: Any) -> None:
        """Put back what `lift` returned, as it was painted meanwhile."""

    def copied(self) -> NDArray[Any]:
        """Return a copy of what is there."""

    def restore(self, before: NDArray[Any], where: NDArray[np.bool_]) -> None:
        """Undo on some points what was painted since `copied` returned `before`."""


class SignalCanvas:
    """Signals of several sequences.

    Args:
        values: Shape (sequences, ...), float32; painted in place.
        signals: Shape (sequences, tissues).
        pixel_mm: Width of an edge.
    """

    def __init__(
        self, values: NDArray[np.float32], signals: NDArray[np.float32], pixel_mm: float
    ) -> None:
        self.values = values
        self.signals = signals
        self.pixel_mm = pixel_mm

    def paint(self, distance: Array, tissue: Tissue, opacity: Array | float = 1.0) -> None:
        """Blend a tissue's signals over the values."""
        where: Any = _touched(distance < 0.5 * self.pixel_mm, self.values.shape[1:])
        if where is None:
            return
        share = np.multiply(distance[where], np.float32(-1.0 / self.pixel_mm), dtype=np.float32)
        share += np.float32(0.5)
        share.clip(0.0, 1.0, out=share)
        if isinstance(opacity, np.ndarray):
            share = np.asarray(share * np.broadcast_to(opacity, distance.shape)[where], np.float32)
        elif opacity != 1.0:
            share *= np.float32(opacity)
        for values, signal in zip(self.values, self.signals[:, tissue], strict=True):
            part = values[where]
            change = signal - part
            change *= share
            change += part
            values[where] = change

    def fill(self, tissue: Tissue) -> None:
        """Cover everything."""
        for values, signal in zip(self.values, self.signals[:, tissue], strict=True):
            values[...] = signal

    def part(self, box: Box) -> "SignalCanvas":
        """Return a canvas over a box of the points."""
        return SignalCanvas(self.values[(slice(None), *box)], self.signals, self.pixel_mm)

    def lift(self, index: NDArray[np.intp]) -> "SignalCanvas":
        """Return a canvas over a copy of some points of a list."""
        return SignalCanvas(self.values[:, index], self.signals, self.pixel_mm)

    def put(self, index: NDArray[np.intp], part: Any) -> None:
        """Put back what `lift` returned."""
        self.values[:, index] = part.values

    def copied(self) -> NDArray[Any]:
        """Return a copy of what is there."""
        return self.values.copy()

    def restore(self, before: NDArray[Any], where: NDArray[np.bool_]) -> None:
        """Undo on some points what was painted since."""
        np.copyto(self.values, before, where=where)


class LabelCanvas:
    """Index of the topmost tissue at every point.

    Args:
        values: Integer array, painted in place.
    """

    def __init__(self, values: NDArray[np.integer]) -> None:
        self.values = values

    def paint(self, distance: Array, tissue: Tissue, opacity: Array | float = 1.0) -> None:
        """Write the tissue's index where it covers more than half."""
        inside = np.broadcast_to((distance < 0) & (np.asarray(opacity) > 0.5), self.values.shape)
        self.values[inside] = int(tissue)

    def fill(self, tissue: Tissue) -> None:
        """Cover everything."""
        self.values[...] = int(tissue)

    def part(self, box: Box) -> "LabelCanvas":
        """Return a canvas over a box of the points."""
        return LabelCanvas(self.values[box])

    def lift(self, index: NDArray[np.intp]) -> "LabelCanvas":
        """Return a canvas over a copy of some points of a list."""
        return LabelCanvas(self.values[index])

    def put(self, index: NDArray[np.intp], part: Any) -> None:
        """Put back what `lift` returned."""
        self.values[index] = part.values

    def copied(self) -> NDArray[Any]:
        """Return a copy of what is there."""
        return self.values.copy()

    def restore(self, before: NDArray[Any], where: NDArray[np.bool_]) -> None:
        """Undo on some points what was painted since."""
        np.copyto(self.values, before, where=where)


def _touched(near: NDArray[np.bool_], shape: tuple[int, ...]) -> Any:
    """Return an index of the points that a tissue touches, or None if there are none.

    Args:
        near: Which it touches.
        shape: Of the canvas, to which `near` broadcasts.
    """
    if near.shape != shape or (near.ndim > 1 and near.size < _SMALL):
        return ... if near.any() else None
    if near.ndim == 1:
        index = near.nonzero()[0]
        return None if not index.size else index if 3 * index.size < near.size else slice(None)
    return box_of(near)


def box_of(wanted: NDArray[np.bool_]) -> Box | None:
    """Return the smallest box, one slice an axis, that holds every wanted point, or None."""
    if wanted.ndim != 2:
        others = [tuple(n for n in range(wanted.ndim) if n != axis) for axis in range(wanted.ndim)]
        slices = tuple(span(np.asarray(wanted.any(axis=axes))) for axes in others)
        return slices if all(s.stop for s in slices) else None
    rows = span(np.logical_or.reduce(wanted, axis=1))
    if not rows.stop:
        return None
    return rows, span(np.logical_or.reduce(wanted[rows], axis=0))


def span(wanted: NDArray[np.bool_]) -> slice:
    """Return the shortest slice that holds every wanted index; empty if there is none."""
    first = int(wanted.argmax()) if wanted.size else 0
    if not wanted.size or not wanted[first]:
        return slice(0, 0)
    return slice(first, wanted.size - int(wanted[::-1].argmax()))
