"""A ladder of qualities: the slices of a study -> JPEG files that together stay below a size.

All slices take the same rung, so that none looks worse than its neighbours: the first rung of

    longest edge   512  512  448  384  320  256  256  192  160  128   pixels
    JPEG quality    88   78   75   72   68   62   50   45   40   35

whose files fit. A slice that is smaller than a rung is never enlarged. Encoding takes about half a
millisecond a slice, so trying a few rungs costs less than measuring what they would give.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

__all__ = ["RUNGS", "Rung", "encoded_within"]

Grey = np.ndarray[tuple[int, int], np.dtype[np.uint8]]


@dataclass(frozen=True)
class Rung:
    """How slices are encoded: longest edge in pixels, and JPEG quality."""

    edge: int
    quality: int


RUNGS = tuple(
    Rung(edge, quality)
    for edge, quality in (
        (512, 88),
        (512, 78),
        (448, 75),
        (384, 72),
        (320, 68),
        (256, 62),
        (256, 50),
        (192, 45),
        (160, 40),
        (128, 35),
    )
)
"""From the best."""


def encoded_within(slices: Sequence[Grey], num_bytes: int) -> tuple[list[bytes], Rung]:
    """Return slices as JPEG files, and how they were encoded.

    Args:
        slices: Shape (rows, columns) each.
        num_bytes: What all files together may take. The last rung is taken even if they take more.
    """
    best = _encoded(slices, RUNGS[0], num_bytes)
    if best is not None:
        return best, RUNGS[0]
    low, high, found = 1, len(RUNGS) - 1, None  # Each rung's files are smaller than the last one's.
    while low < high:
        middle = (low + high) // 2
        files = _encoded(slices, RUNGS[middle], num_bytes)
        low, high = (low, middle) if files is not None else (middle + 1, high)
        found = files if files is not None else found
    if low < len(RUNGS) - 1 and found is not None:
        return found, RUNGS[low]
    return _encoded(slices, RUNGS[-1], None) or [], RUNGS[-1]


def _encoded(slices: Sequence[Grey], rung: Rung, num_bytes: int | None) -> list[bytes] | None:
    """Return files, or None as soon as they are too many bytes."""
    files, used = [], 0
    for pixels in slices:
        stream = io.BytesIO()
        _fitted(pixels, rung.edge).save(stream, format="JPEG", quality=rung.quality)
        files.append(stream.getvalue())
        used += len(files[-1])
        if num_bytes is not None and used > num_bytes:
            return None
    return files


def _fitted(pixels: Grey, edge: int) -> Image.Image:
    picture, longest = Image.fromarray(pixels), max(pixels.shape)
    if longest <= edge:
        return picture
    width, height = (max(1, round(n * edge / longest)) for n in picture.size)
    return picture.resize((width, height), Image.Resampling.BOX, reducing_gap=2.0)
