"""Marks drawn into a picture: letters, a scale bar, where a slice lies, a place, a square.

What tells sides and sizes is drawn into the pixels themselves, white with a black edge, so that no
copy of a picture can lose it. A place is four short lines that leave its middle free; a square is
its four corners. Both are drawn so that the finding stays to be seen.
"""

from PIL import ImageDraw, ImageFont

from volspine.report.upright import letter_edges

__all__ = ["BAR_MM", "draw_corners", "draw_place", "letter_picture"]

BAR_MM = (100.0, 50.0, 20.0, 10.0)
"""Lengths of a scale bar; the longest that takes a third of the width at most is drawn."""

_LETTERING_PX = 24
_INK, _EDGE = "white", "black"


def letter_picture(
    pen: ImageDraw.ImageDraw,
    edges: tuple[str, str, str, str],
    size: tuple[int, int],
    *,
    px_per_mm: float,
    tag: str = "",
) -> None:
    """Write what lies at each edge, a scale bar, and where the slice lies.

    Args:
        pen: Draws into the picture.
        edges: What lies at the left, right, top and bottom edge.
        size: Width and height of the picture in pixels.
        px_per_mm: Its scale.
        tag: Where the slice lies; nothing if empty.
    """
    letter_edges(pen, edges, size)
    font = ImageFont.load_default(_LETTERING_PX)
    pen.text((7, 5), tag, fill=_INK, font=font, stroke_width=2, stroke_fill=_EDGE)
    length = next((mm for mm in BAR_MM if mm * px_per_mm <= size[0] / 3), None)
    if length is None:
        return
    left, bottom, wide = 9, size[1] - 9, round(length * px_per_mm)
    for width, colour in ((5, _EDGE), (2, _INK)):
        pen.line((left, bottom, left + wide, bottom), fill=colour, width=width)
        for x in (left, left + wide):
            pen.line((x, bottom - 4, x, bottom + 4), fill=colour, width=width)
    label = f"{length / 10:.0f} cm"
    place = (left + 3, bottom - 6)
    pen.text(place, label, fill=_INK, font=font, anchor="lb", stroke_width=2, stroke_fill=_EDGE)


def draw_place(
    pen: ImageDraw.ImageDraw, place: tuple[float, float], *, is_here: bool = True
) -> None:
    """Point at a place, in pixels, from four sides; with half the length if it is not here."""
    (x, y), end = place, 17 if is_here else 12
    for across, down in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        ends = (x + 8 * across, y + 8 * down, x + end * across, y + end * down)
        pen.line(ends, fill="black", width=4)
        pen.line(ends, fill="yellow", width=2)


def draw_corners(
    pen: ImageDraw.ImageDraw, place: tuple[float, float], side: tuple[float, float]
) -> None:
    """Draw the corners of a rectangle.

    Args:
        pen: Draws into the picture.
        place: Its middle, in pixels.
        side: Its width and height.
    """
    arms = [length * 0.2 for length in side]
    for across in (-1, 1):
        for down in (-1, 1):
            x, y = place[0] + across * side[0] / 2, place[1] + down * side[1] / 2
            ends = ((x - across * arms[0], y), (x, y), (x, y - down * arms[1]))
            pen.line(ends, fill="black", width=3)
            pen.line(ends, fill="#7fd4ff", width=1)
