"""A dark sheet to write and draw on, in pixels from the top left; matplotlib underneath.

No pyplot and no global state: a canvas is made, drawn on and turned into a PNG.
"""

import io
from typing import Any

import numpy as np

from volspine.viewer.palette import BACKGROUND, INK, ColorArray

__all__ = ["Canvas"]

_DPI = 100.0


class Canvas:
    """A sheet of some pixels' width and height."""

    def __init__(self, size_px: tuple[int, int]) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        width, height = size_px
        self._figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor=BACKGROUND)
        self._sheet = FigureCanvasAgg(self._figure)
        axes = self._figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)
        axes.set_axis_off()
        self._axes: Any = axes

    def picture(
        self, pixels: ColorArray, box_px: tuple[float, float, float, float], *, smooth: bool = False
    ) -> None:
        """Put a picture of shape (rows, columns, 3) into a box: left, top, width, height."""
        left, top, width, height = box_px
        # imshow resets the limits and the aspect; the sheet's own must stay.
        limits = self._axes.get_xlim(), self._axes.get_ylim()
        self._axes.imshow(
            pixels,
            extent=(left, left + width, top + height, top),
            interpolation="bicubic" if smooth else "antialiased",
            aspect="auto",
            zorder=0,
        )
        self._axes.set_xlim(limits[0])
        self._axes.set_ylim(limits[1])

    def text(self, place_px: tuple[float, float], text: str, **look: Any) -> None:
        """Write; `look` is matplotlib's (`fontsize`, `color`, `ha`, `va`, `weight`)."""
        self._axes.text(*place_px, text, **{"color": INK, "fontsize": 11, "va": "center", **look})

    def line(self, points_px: list[tuple[float, float]], **look: Any) -> None:
        """Draw a line through points."""
        x, y = np.asarray(points_px, dtype=np.float64).T
        self._axes.plot(x, y, **{"color": INK, "linewidth": 1.0, **look})

    def circle(self, center_px: tuple[float, float], radius_px: float, **look: Any) -> None:
        """Draw a circle; `look` is matplotlib's (`facecolor`, `edgecolor`, `linewidth`)."""
        from matplotlib.patches import Circle

        self._axes.add_patch(Circle(center_px, radius_px, **{"zorder": 3, **look}))

    def png(self) -> bytes:
        """Return the sheet as a PNG file."""
        stream = io.BytesIO()
        self._figure.savefig(stream, format="png", dpi=_DPI, facecolor=BACKGROUND)
        return stream.getvalue()
