"""Layout: how the pixels of a file are encoded, checked against the file before any are read."""

from dataclasses import dataclass

from volspine.dicom.header import Header, PixelElement
from volspine.dicom.limits import Limits
from volspine.errors import PixelError

__all__ = ["NATIVE_SYNTAXES", "PixelLayout", "read_layout"]

NATIVE_SYNTAXES = frozenset(
    {
        "1.2.840.10008.1.2",
        "1.2.840.10008.1.2.1",
        "1.2.840.10008.1.2.2",
        "1.2.840.10008.1.2.1.99",
    }
)
"""Transfer syntaxes whose pixels are not compressed."""

_RLE = "1.2.840.10008.1.2.5"
_FLOAT_BITS = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelLayout:
    """How one file stores its frames.

    Attributes:
        rows: Rows of a frame.
        columns: Columns of a frame.
        frames: Frames of the file.
        bits_allocated: 8, 16 or 32; 32 or 64 for floating point.
        bits_stored: Bits that carry the value.
        high_bit: Highest bit of the value.
        is_signed: Whether the value is in two's complement.
        is_float: Whether the value is IEEE floating point.
        is_inverted: Whether the smallest value is white (MONOCHROME1).
        is_native: Whether frames lie uncompressed, one after another.
        keeps_words: Whether decoding gives words as they were packed (uncompressed or RLE);
            other codecs give the value alone.
        element: Where the pixels lie.
    """

    rows: int
    columns: int
    frames: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool
    is_float: bool
    is_inverted: bool
    is_native: bool
    keeps_words: bool
    element: PixelElement

    @property
    def has_low_unused_bits(self) -> bool:
        """Whether the value starts above the lowest bit of its word; old, and not allowed today."""
        return not self.is_float and self.high_bit + 1 > self.bits_stored

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame, decoded but not yet widened."""
        return self.rows * self.columns * self.bits_allocated // 8


def read_layout(header: Header, limits: Limits) -> PixelLayout:
    """Return how a file stores its pixels.

    Raises:
        LimitError: If it declares a matrix, frames or bytes beyond the limits.
        PixelError: If pixels are missing, cut short, or of a kind that is not read.
    """
    rows, columns = _dimension(header, "Rows"), _dimension(header, "Columns")
    frames = header.integer("NumberOfFrames") or 1
    for value, what in ((rows, "Rows"), (columns, "Columns")):
        limits.check("matrix", value, path=header.path, what=what)
    limits.check("frames", frames, path=header.path, what="NumberOfFrames")
    if header.pixels is None:
        raise _broken(header, "there is no pixel data", code="VS-PIX-001")
    layout = _describe(header, header.pixels, rows=rows, columns=columns, frames=max(frames, 1))
    _check_extent(header, layout, limits)
    return layout


def _describe(
    header: Header, element: PixelElement, *, rows: int, columns: int, frames: int
) -> PixelLayout:
    is_float = element.keyword in _FLOAT_BITS
    allocated = _FLOAT_BITS.get(element.keyword) or _required(header, "BitsAllocated")
    stored = header.integer("BitsStored") or allocated
    high = header.integer("HighBit")
    layout = PixelLayout(
        rows=rows,
        columns=columns,
        frames=frames,
        bits_allocated=allocated,
        bits_stored=allocated if is_float else stored,
        high_bit=stored - 1 if high is None else high,
        is_signed=not is_float and _is_signed(header),
        is_float=is_float,
        is_inverted=header.text("PhotometricInterpretation").upper() == "MONOCHROME1",
        is_native=element.length is not None,
        keeps_words=element.length is not None or header.transfer_syntax == _RLE,
        element=element,
    )
    _check_kind(header, layout)
    return layout


def _is_signed(header: Header) -> bool:
    value = _required(header, "PixelRepresentation")
    if value not in (0, 1):
        raise _broken(header, f"PixelRepresentation is {value}", code="VS-PIX-003")
    return value == 1


def _required(header: Header, keyword: str) -> int:
    value = header.integer(keyword)
    if value is None:
        raise _broken(header, f"{keyword} is missing", code="VS-PIX-003")
    return value


def _dimension(header: Header, keyword: str) -> int:
    value = header.integer(keyword)
    if value is None or value < 1:
        raise _broken(header, f"{keyword} is {'missing' if value is None else value}")
    return value


def _check_kind(header: Header, layout: PixelLayout) -> None:
    bits = layout.bits_allocated
    if not layout.is_float and bits not in (8, 16, 32):
        raise _broken(header, f"BitsAllocated is {bits}", code="VS-PIX-003")
    fits = layout.bits_stored <= layout.high_bit + 1 <= bits
    if not layout.is_float and not fits:
        raise _broken(
            header,
            f"BitsAllocated {bits}, BitsStored {layout.bits_stored} and HighBit "
            f"{layout.high_bit} contradict one another",
            code="VS-PIX-003",
        )
    photometric = header.text("PhotometricInterpretation").upper()
    if photometric and not photometric.startswith("MONOCHROME"):
        raise _broken(header, "the image is not greyscale", code="VS-PIX-003")
    if header.transfer_syntax in NATIVE_SYNTAXES and not layout.is_native:
        raise _broken(
            header, "compressed pixel data under an uncompressed transfer syntax", code="VS-PIX-005"
        )


def _check_extent(header: Header, layout: PixelLayout, limits: Limits) -> None:
    """Refuse pixels that are not all there, and sizes that only a hostile file declares."""
    declared = layout.frame_bytes * layout.frames
    there = max(header.size - layout.element.offset, 0)
    if layout.is_native:
        limits.check("file_bytes", declared, path=header.path, what="declared bytes of pixels")
        length = layout.element.length or 0
        if min(length, there) < declared:
            raise _broken(
                header,
                f"pixel data is cut short: {min(length, there)} of {declared} bytes",
                code="VS-PIX-002",
            )
        # Less than a line is padding; a line or more means that the matrix is another one.
        line = min(layout.rows, layout.columns) * layout.bits_allocated // 8
        if length - declared >= max(line, 3):
            raise _broken(
                header,
                f"there are {length} bytes of pixels where {declared} are declared",
                code="VS-PIX-002",
            )
        return
    limits.check_inflation(declared, there, path=header.path, what="pixel data")


def _broken(header: Header, finding: str, *, code: str = "VS-PIX-001") -> PixelError:
    return PixelError(
        finding,
        remedy="export the file again; it may be damaged",
        path=header.path,
        code=code,
    )
