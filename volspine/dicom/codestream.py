"""Codestream: what a compressed image says of itself, before it is decoded.

Rows, columns and sign stand both in the DICOM header and in the compressed image. Where the two
contradict one another a decoder gives a picture all the same, garbled or turned; so they are
compared first. JPEG, JPEG-LS (ISO 10918-1, B.2.2; 14495-1, C.2.2) and JPEG 2000 (15444-1, A.5.1).
"""

import struct
from typing import NamedTuple

__all__ = ["CodedImage", "coded_image"]

_J2K_START = b"\xff\x4f\xff\x51"
_JPEG_START = b"\xff\xd8"
_NOT_FRAMES = (0xC4, 0xC8, 0xCC)


class CodedImage(NamedTuple):
    """Size and sign of a compressed image; a size of 0 is not known yet at its start."""

    rows: int
    columns: int
    is_signed: bool


def coded_image(data: bytes) -> CodedImage | None:
    """Return what a compressed image says of itself; None where it is of another kind.

    Example:
        >>> frame = bytes.fromhex("ffd8 ffc0 000b 08 0012 000e 01")
        >>> coded_image(frame)
        CodedImage(rows=18, columns=14, is_signed=False)
    """
    at = data.find(_J2K_START, 0, 4096)  # A JP2 file has boxes before it.
    try:
        if at >= 0:
            return _jpeg_2000(data, at)
        return _jpeg(data) if data[:2] == _JPEG_START else None
    except struct.error:
        return None


def _jpeg_2000(data: bytes, at: int) -> CodedImage:
    x1, y1, x0, y0 = struct.unpack(">4I", data[at + 8 : at + 24])
    depth = data[at + 42 : at + 43]
    return CodedImage(y1 - y0, x1 - x0, is_signed=bool(depth and depth[0] & 0x80))


def _jpeg(data: bytes) -> CodedImage | None:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        (length,) = struct.unpack(">H", data[at + 2 : at + 4])
        if (0xC0 <= marker <= 0xCF and marker not in _NOT_FRAMES) or marker == 0xF7:
            rows, columns = struct.unpack(">2H", data[at + 5 : at + 9])
            return CodedImage(rows, columns, is_signed=False)
        at += 2 + length
    return None
