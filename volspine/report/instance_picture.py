"""One instance as a picture, just as it is stored: an array of intensities -> PNG.

Nothing is turned, flipped, cut or resampled: pixel (x, y) of the picture is column x and row y of
the instance, which is what marks in tables count in. Intensities become 8 bits per picture, from
their 1st to their 99.5th percentile. The pixel spacing stands in the file (chunk pHYs, pixels per
metre), so pixels that are not square are known to be so.

An annotated picture has a ring around each mark, its number beside it, letters for what lies at the
edges, and a panel to the right that says what each number is. The picture's own pixels stay where
they were. Rings and letters are white within black, so that they are seen on any grey and by any
eye. No text lies on a mark: each finds a place that is free.

Shapes:
    I, J  columns, rows
"""

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from volspine.grades import RESEARCH_USE
from volspine.report.upright import grey_bytes
from volspine.types import VoxelArray

__all__ = ["PANEL_PX", "DrawnMark", "annotated_png", "plain_png", "ring_radius", "stamp_of"]

PANEL_PX = 236
"""Width of the panel beside an annotated picture."""

STAMP = "volspine"
"""Keyword of the text chunk that says how a picture was made."""

_LINE_PX, _FONT_PX, _EDGE_PX = 16, 13, 4
_WARNING = RESEARCH_USE.replace(". ", ".\n").splitlines()
_Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class DrawnMark:
    """A mark as it is drawn.

    Attributes:
        x: Column, in pixels as stored.
        y: Row.
        lines: What the panel says of it.
    """

    x: float
    y: float
    lines: tuple[str, ...]


def plain_png(pixels: VoxelArray, spacing_mm: tuple[float, float], *, stamp: str = "") -> bytes:
    """Return an instance as a grey picture of its own size.

    Args:
        pixels: Shape (I, J).
        spacing_mm: Between columns and between rows.
        stamp: How it was made, kept in the file.
    """
    return _encoded(Image.fromarray(grey_bytes(pixels.T)), spacing_mm, stamp)


def annotated_png(
    pixels: VoxelArray,
    spacing_mm: tuple[float, float],
    *,
    edges: tuple[str, str, str, str],
    marks: Sequence[DrawnMark],
    title: Sequence[str],
    stamp: str = "",
) -> bytes:
    """Return an instance with its marks drawn in and a panel to the right of it.

    Args:
        pixels: Shape (I, J).
        spacing_mm: Between columns and between rows.
        edges: What lies at the left, right, top and bottom edge: R, L, A, P, S or I.
        marks: What was marked; one beyond the picture stands in the panel only.
        title: First lines of the panel.
        stamp: How it was made, kept in the file.
    """
    picture = Image.fromarray(grey_bytes(pixels.T))
    lines = [*title, "", *_listed(marks, picture.size), "", *_WARNING]
    height = max(picture.height, _LINE_PX * len(lines) + 2 * _EDGE_PX)
    sheet = Image.new("L", (picture.width + PANEL_PX, height))
    sheet.paste(picture, (0, 0))
    pen = ImageDraw.Draw(sheet)
    _draw_marks(pen, marks, edges, picture.size)
    font = _font()
    for number, line in enumerate(lines):
        place = (picture.width + 2 * _EDGE_PX, _EDGE_PX + _LINE_PX * number)
        pen.text(place, line, fill=255, font=font)
    return _encoded(sheet, spacing_mm, stamp)


def ring_radius(size: tuple[int, int]) -> int:
    """Return how far from a mark its ring is drawn, in pixels, for a picture's width and height."""
    return max(4, min(12, round(min(size) / 40)))


def stamp_of(png: Image.Image) -> str:
    """Return the stamp of a picture that was opened; empty where it has none."""
    return str(png.info.get(STAMP, ""))


@lru_cache(maxsize=1)
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_FONT_PX)  # Unpacks its letters each time it is called.


def _listed(marks: Sequence[DrawnMark], size: tuple[int, int]) -> Iterator[str]:
    for number, mark in enumerate(marks, start=1):
        first, *rest = mark.lines
        yield f"{number}  {first}"
        yield from (f"    {line}" for line in rest)
        if not _is_inside(mark, size):
            yield "    (beyond the picture)"


def _is_inside(mark: DrawnMark, size: tuple[int, int]) -> bool:
    return -0.5 <= mark.x <= size[0] - 0.5 and -0.5 <= mark.y <= size[1] - 0.5


def _draw_marks(
    pen: ImageDraw.ImageDraw,
    marks: Sequence[DrawnMark],
    edges: tuple[str, str, str, str],
    size: tuple[int, int],
) -> None:
    radius = ring_radius(size)
    inside = [(n, mark) for n, mark in enumerate(marks, start=1) if _is_inside(mark, size)]
    taken: list[_Box] = [_around(mark.x, mark.y, radius + 2) for _, mark in inside]
    for _, mark in inside:
        _ring(pen, mark, radius)
    for letter, places in zip(edges, _edge_places(size), strict=True):
        _write(pen, letter, places, taken, size=size)
    for number, mark in inside:
        _write(pen, str(number), _places_beside(mark, radius), taken, size=size)


def _ring(pen: ImageDraw.ImageDraw, mark: DrawnMark, radius: int) -> None:
    for reach, grey, width in ((radius + 1, 0, 3), (radius, 255, 1)):
        pen.ellipse(_around(mark.x, mark.y, reach), outline=grey, width=width)


def _around(x: float, y: float, reach: float) -> _Box:
    return x - reach, y - reach, x + reach, y + reach


def _edge_places(size: tuple[int, int]) -> Iterator[list[tuple[float, float]]]:
    """Yield where the letter of each edge may stand: at its middle, or away from it along it."""
    width, height = size
    inset = _FONT_PX * 0.7
    shifts = [sign * step for step in range(0, max(size) // 2, 4) for sign in (1, -1)]
    for x in (inset, width - inset):
        yield [(x, height / 2 + shift) for shift in shifts]
    for y in (inset, height - inset):
        yield [(width / 2 + shift, y) for shift in shifts]


def _places_beside(mark: DrawnMark, radius: int) -> list[tuple[float, float]]:
    """Return where a mark's number may stand: to the right first, then around, then farther off."""
    first = radius + _FONT_PX * 0.8
    return [
        (mark.x + reach * math.cos(turn), mark.y + reach * math.sin(turn))
        for reach in (first, 1.4 * first, 2 * first, 3 * first)
        for turn in (0, math.pi, -0.8, 0.8, math.pi + 0.8, math.pi - 0.8, -1.57, 1.57)
    ]


def _write(
    pen: ImageDraw.ImageDraw,
    text: str,
    places: Sequence[tuple[float, float]],
    taken: list[_Box],
    *,
    size: tuple[int, int],
) -> None:
    """Write a text at the first place that is free and inside; leave it out if none is."""
    font = _font()
    for place in places:
        left, top, right, bottom = pen.textbbox(place, text, font=font, anchor="mm", stroke_width=2)
        is_inside = left >= 0 and top >= 0 and right <= size[0] and bottom <= size[1]
        if is_inside and not any(_overlap((left, top, right, bottom), box) for box in taken):
            pen.text(place, text, fill=255, font=font, anchor="mm", stroke_width=2, stroke_fill=0)
            taken.append((left, top, right, bottom))
            return


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _encoded(picture: Image.Image, spacing_mm: tuple[float, float], stamp: str) -> bytes:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Disclaimer", RESEARCH_USE)
    if stamp:
        notes.add_text(STAMP, stamp)
    stream = io.BytesIO()
    dots = (25.4 / spacing_mm[0], 25.4 / spacing_mm[1])
    picture.save(stream, format="PNG", dpi=dots, pnginfo=notes)
    return stream.getvalue()
