"""Painting: tissues laid over one another, back to front, with an edge of one pixel.

A canvas holds several sequences at once, since the blend of two tissues at an edge is the same
share in each. A label canvas holds the index of the topmost tissue instead.
"""

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from volspine.phantom.tissues import Tissue

__all__ = ["Canvas", "LabelCanvas", "SignalCanvas"]

Array = NDArray[np.floating]


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
        share = np.clip(0.5 - distance * np.float32(1.0 / self.pixel_mm), 0.0, 1.0)
        share = share.astype(np.float32, copy=False) * opacity
        for n, signal in enumerate(self.signals[:, tissue]):
            self.values[n] += share * (signal - self.values[n])


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
