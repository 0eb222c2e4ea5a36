"""A part of a slice and its marks -> encoded pictures: one for a file, one for the page.

The file has everything drawn in and a caption below, since it travels alone. The picture of the
page bears letters and scale; the page lays place and square over it, where they can be taken away.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from PIL import Image, ImageDraw, ImageFont

from volspine.report.marks import draw_corners, draw_place, letter_picture
from volspine.report.upright import View, grey_bytes

__all__ = ["WIDTH_PX", "KeyPicture", "Marks", "picture_size"]

WIDTH_PX = 420
"""Width of a key image."""

_CAPTION_PX, _LINE_PX = 13, 17
_QUALITY = 88
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Marks:
    """What is to be drawn in a picture, in millimetres from its upper left corner.

    Attributes:
        place_mm: Where the target is; None where it was not located.
        side_mm: Of the square about it that was looked at; None where that is not known.
        is_here: Whether the place lies in the slice; it is drawn shorter where it lies beside it.
    """

    place_mm: tuple[float, float] | None = None
    side_mm: float | None = None
    is_here: bool = True


@dataclass(frozen=True)
class KeyPicture:
    """What is drawn.

    Attributes:
        view: The part of a slice.
        window: What is shown black and white.
        tag: Where the slice lies, for a corner; may be empty.
        marks: Place and square.
    """

    view: View
    window: tuple[float, float]
    tag: str
    marks: Marks

    def jpeg(self) -> bytes:
        """Return the picture with letters and scale, in grey."""
        stream = io.BytesIO()
        self._lettered.save(stream, format="JPEG", quality=_QUALITY)
        return stream.getvalue()

    def png(self, lines: tuple[str, ...]) -> bytes:
        """Return the picture with all marks, and lines of text below."""
        width, height = picture_size(self.view)
        font = ImageFont.load_default(_CAPTION_PX)
        written = [part for line in lines for part in _wrapped(line, font)]
        sheet = Image.new("RGB", (width, height + 6 + _LINE_PX * len(written)))
        sheet.paste(self._lettered, (0, 0))
        pen = ImageDraw.Draw(sheet)
        self._mark(pen)
        for number, line in enumerate(written):
            pen.text((6, height + 3 + _LINE_PX * number), line, fill="white", font=font)
        stream = io.BytesIO()
        sheet.save(stream, format="PNG", compress_level=1)  # 25 pictures in half a second.
        return stream.getvalue()

    @cached_property
    def _lettered(self) -> Image.Image:
        size = picture_size(self.view)
        picture = Image.fromarray(grey_bytes(self.view.pixels, self.window)).resize(size)
        scale = size[0] / self.view.size_mm[0]
        pen = ImageDraw.Draw(picture)
        letter_picture(pen, self.view.edges, size, px_per_mm=scale, tag=self.tag)
        return picture

    def _mark(self, pen: ImageDraw.ImageDraw) -> None:
        if self.marks.place_mm is None:
            return
        scale = picture_size(self.view)[0] / self.view.size_mm[0]
        x, y = (mm * scale for mm in self.marks.place_mm)
        if self.marks.side_mm is not None:
            side = self.marks.side_mm * scale
            draw_corners(pen, (x, y), (side, side))
        draw_place(pen, (x, y), is_here=self.marks.is_here)


def picture_size(view: View) -> tuple[int, int]:
    """Return width and height of the picture of a view in pixels, without its caption."""
    width, height = view.size_mm
    return WIDTH_PX, max(1, round(height * WIDTH_PX / width))


def _wrapped(text: str, font: _Font) -> Iterator[str]:
    """Yield a text in lines that are no wider than the picture."""
    line = ""
    for word in text.split():
        longer = f"{line} {word}".lstrip()
        if line and font.getlength(longer) > WIDTH_PX - 12:
            yield line
            longer = word
        line = longer
    yield line
