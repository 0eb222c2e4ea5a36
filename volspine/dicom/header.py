"""Header: the elements of one DICOM file up to its pixels, read defensively.

pydicom finds the elements; their text is decoded here, strictly where a number decides geometry (a
decimal comma is an error, not a guess) and without pydicom's own validation, which costs time and
warns about the over-long decimals that scanners write every day.

The parse stops at the pixel data and notes where they lie, so that a slice can be read later
without parsing the file again.
"""

import io
import math
import struct
import time
import warnings
import zlib
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag

from volspine.dicom.files import ReadableFile
from volspine.dicom.limits import Limits
from volspine.errors import DicomReadError, GeometryError, LimitError, VolspineError

__all__ = ["Header", "PixelElement", "guarded", "is_dicom", "open_dataset", "read_header"]

DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
IMPLICIT_LITTLE = "1.2.840.10008.1.2"
BIG_ENDIAN = "1.2.840.10008.1.2.2"

_PREAMBLE = 132
_PIXEL_KEYWORDS = {
    0x7FE00008: "FloatPixelData",
    0x7FE00009: "DoubleFloatPixelData",
    0x7FE00010: "PixelData",
}
_UNDEFINED = 0xFFFFFFFF

WANTED = (
    "SpecificCharacterSet", "ImageType", "SOPClassUID", "SOPInstanceUID", "SeriesDescription",
    "ProtocolName", "Modality", "PatientID", "ScanningSequence", "SequenceVariant",
    "SequenceName", "PulseSequenceName", "RepetitionTime", "EchoTime", "InversionTime",
    "EchoNumbers", "EffectiveEchoTime", "BodyPartExamined", "StudyInstanceUID",
    "SeriesInstanceUID", "SeriesNumber", "AcquisitionNumber", "InstanceNumber",
    "ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID",
    "TemporalPositionIdentifier", "TriggerTime", "DiffusionBValue", "SamplesPerPixel",
    "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "PixelSpacing",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "RescaleIntercept",
    "RescaleSlope", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)  # fmt: skip
"""Keywords of the elements that are kept; everything else is skipped while parsing."""

_TAGS = {keyword: tag_for_keyword(keyword) for keyword in WANTED}
_SPECIFIC: list[BaseTag | int] = [tag for tag in _TAGS.values() if tag is not None]
_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d"}
_IMPLICIT_VR = {
    "SamplesPerPixel": "US", "Rows": "US", "Columns": "US", "BitsAllocated": "US",
    "BitsStored": "US", "HighBit": "US", "PixelRepresentation": "US", "EffectiveEchoTime": "FD",
    "DiffusionBValue": "FD",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PixelElement:
    """Where the pixels of a file lie.

    Attributes:
        keyword: `PixelData`, `FloatPixelData` or `DoubleFloatPixelData`.
        offset: Position of the value in the (inflated) file.
        length: Declared bytes; None where undefined, which means encapsulated frames.
    """

    keyword: str
    offset: int
    length: int | None


@dataclass(frozen=True, slots=True)
class Header:
    """Elements of one file before its pixels.

    Attributes:
        file: The file.
        dataset: Raw elements; values are decoded by `text`, `number` and `numbers`.
        transfer_syntax: As the file meta information says; guessed where it has none.
        media_class: Media Storage SOP Class UID of the file meta information.
        is_little_endian: Byte order of the dataset.
        pixels: Where the pixels lie; None where the file has none.
        size: Bytes of the file, inflated if it was deflated.
        notes: What was unusual and read all the same.
    """

    file: ReadableFile
    dataset: Dataset
    transfer_syntax: str
    media_class: str
    is_little_endian: bool
    pixels: PixelElement | None
    size: int
    notes: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Path of the file, as the user would say it."""
        return self.file.path

    def text(self, keyword: str) -> str:
        """Return the text of an element, stripped; empty where it is absent."""
        return "\\".join(self._values(keyword)).strip()

    def numbers(self, keyword: str) -> tuple[float, ...] | None:
        """Return the numbers of an element; None where it is absent or empty.

        Raises:
            GeometryError: If it holds something that is not a number.
        """
        texts = [text for text in self._values(keyword) if text]
        try:
            return tuple(float(text) for text in texts) or None
        except ValueError:
            raise GeometryError(
                f"{keyword} is not a list of decimal numbers"
                + (" (decimal comma)" if any("," in text for text in texts) else ""),
                remedy="export the file again with decimal points",
                path=self.path,
                code="VS-GEO-006",
            ) from None

    def number(self, keyword: str) -> float | None:
        """Return the first number of an element; None where absent or not a number."""
        try:
            values = self.numbers(keyword)
        except GeometryError:
            return None
        return values[0] if values else None

    def integer(self, keyword: str) -> int | None:
        """Return the first number of an element as an integer; None where it is not one."""
        value = self.number(keyword)
        return int(value) if value is not None and math.isfinite(value) else None

    def sequence(self, keyword: str) -> list[Dataset]:
        """Return the items of a sequence; empty where it is absent.

        Raises:
            DicomReadError: If it cannot be parsed.
        """
        return guarded(lambda: list(self.dataset.get(keyword) or []), self.path)

    def _values(self, keyword: str) -> list[str]:
        element = self.dataset._dict.get(BaseTag(_TAGS[keyword] or 0))  # noqa: SLF001  raw value
        value = getattr(element, "value", None)
        if value is None:
            return []
        if not isinstance(value, bytes):
            return [str(part) for part in (value if isinstance(value, list) else [value])]
        vr = getattr(element, "VR", None) or _IMPLICIT_VR.get(keyword, "")
        if vr in _BINARY:
            return _unpack(value, _BINARY[vr], little=self.is_little_endian)
        return [part.strip(" \0\r\n\t") for part in value.decode("latin-1").split("\\")]


def _unpack(value: bytes, code: str, *, little: bool) -> list[str]:
    size = struct.calcsize(code)
    count = len(value) // size
    return [
        repr(part)
        for part in struct.unpack(f"{'<' if little else '>'}{count}{code}", value[: count * size])
    ]


def is_dicom(head: bytes) -> bool:
    """Return whether the first bytes of a file look like DICOM, with or without its preamble.

    Example:
        >>> is_dicom(bytes(128) + b"DICM"), is_dicom(b"# A readme")
        (True, False)
    """
    if head[128:132] == b"DICM":
        return True
    if len(head) < 8:
        return False
    group, element, length = struct.unpack("<HHI", head[:8])
    starts_low = group in (0x0002, 0x0008) and element <= 0x0070
    is_explicit = head[4:6].isalpha() and head[4:6].isupper()
    return starts_low and (is_explicit or length <= 256)


def read_header(file: ReadableFile, limits: Limits) -> Header | None:
    """Return the header of a DICOM file; None if the file is not DICOM.

    Args:
        file: The file; opened and closed here.
        limits: Caps on size, time, depth and inflation.

    Raises:
        DicomReadError: If it is DICOM but cannot be parsed.
        LimitError: If it is beyond a limit.
    """
    if file.size < 8:
        return None
    limits.check("file_bytes", file.size, path=file.path, what="file size in bytes")
    with file.open() as stream:
        head = stream.read(_PREAMBLE)
        if not is_dicom(head):
            return None
        return guarded(lambda: _parse(file, stream, head, limits), file.path)


def guarded(parse: Any, path: str) -> Any:
    """Return what `parse` gives; whatever pydicom raises becomes one kind of error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return parse()
    except VolspineError:
        raise
    except RecursionError as error:
        raise LimitError(
            "sequences are nested too deeply",
            remedy="set this file aside: it is damaged or hostile",
            path=path,
            code="VS-LIM-002",
        ) from error
    except Exception as error:
        raise DicomReadError(
            f"the file cannot be parsed ({type(error).__name__})",
            remedy="export it again; it may be truncated",
            path=path,
            code="VS-DCM-002",
        ) from error


def _parse(file: ReadableFile, stream: BinaryIO, head: bytes, limits: Limits) -> Header:
    has_preamble = head[128:132] == b"DICM"
    stream.seek(_PREAMBLE if has_preamble else 0)
    meta = _read_meta(stream)
    notes = [] if has_preamble else ["read without the DICOM preamble"]
    size = file.size
    if meta.syntax == DEFLATED:
        data = _inflate(stream, file, limits)
        stream, size = io.BytesIO(data), len(data)
    implicit, little = _encoding(stream, meta.syntax)
    if meta.syntax and (implicit, little) != _stated_encoding(meta.syntax):
        notes.append("the transfer syntax in the file is not the stated one")
    watch = _Watch(stream, limits, file.path)
    dataset = read_dataset(
        stream, implicit, little, stop_when=watch, specific_tags=_SPECIFIC
    )
    syntax = meta.syntax or (EXPLICIT_LITTLE if little else BIG_ENDIAN)
    return Header(
        file, dataset, syntax, meta.media_class, little, watch.found, size, tuple(notes)
    )


class _Meta(NamedTuple):
    syntax: str
    media_class: str


def _read_meta(stream: BinaryIO) -> _Meta:
    """Read the file meta information, which is explicit little endian always."""
    values = {0x0010: "", 0x0002: ""}
    while len(start := stream.read(8)) == 8:
        group, element, vr, length = struct.unpack("<HH2sH", start)
        if group != 0x0002:
            stream.seek(-8, io.SEEK_CUR)
            break
        if vr in (b"OB", b"UN", b"OW", b"SQ", b"UT"):
            (length,) = struct.unpack("<I", stream.read(4))
        values[element] = stream.read(min(length, 1 << 16)).decode("latin-1").strip(" \0")
    return _Meta(values[0x0010], values[0x0002])


def _encoding(stream: BinaryIO, stated: str) -> tuple[bool, bool]:
    """Return whether the dataset is implicit, and little endian, from its first element.

    The first element of an image is in group 8, so its bytes give both away; anything else leaves
    the stated encoding in place.
    """
    here = stream.tell()
    start = stream.read(6)
    stream.seek(here)
    if len(start) < 6 or start[:2] not in (b"\x08\x00", b"\x00\x08"):
        return _stated_encoding(stated)
    is_explicit = start[4:6].isalpha() and start[4:6].isupper()
    return not is_explicit, start[0] == 8


def _stated_encoding(syntax: str) -> tuple[bool, bool]:
    return syntax == IMPLICIT_LITTLE, syntax != BIG_ENDIAN


def _inflate(stream: BinaryIO, file: ReadableFile, limits: Limits) -> bytes:
    """Return a deflated dataset, decompressed under the caps."""
    inflater, parts, total = zlib.decompressobj(-zlib.MAX_WBITS), [], 0
    pending = stream.read()
    while pending and not inflater.eof:
        part = inflater.decompress(pending, 1 << 22)
        pending = inflater.unconsumed_tail
        total += len(part)
        limits.check_inflation(total, file.size, path=file.path, what="deflated dataset")
        parts.append(part)
    return b"".join(parts)


class _Watch:
    """Stops the parse at the pixels, and at the limit of time."""

    def __init__(self, stream: BinaryIO, limits: Limits, path: str) -> None:
        self._stream, self._limits, self._path = stream, limits, path
        self._started = time.monotonic()
        self.found: PixelElement | None = None

    def __call__(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        seconds = time.monotonic() - self._started
        self._limits.check("seconds", seconds, path=self._path, what="time to parse in seconds")
        keyword = _PIXEL_KEYWORDS.get(tag)
        if keyword is not None:
            declared = None if length == _UNDEFINED else length
            self.found = PixelElement(keyword, self._stream.tell(), declared)
        return tag >= 0x7FE00000


def open_dataset(header: Header, limits: Limits) -> BinaryIO:
    """Return a stream in which the offset of `header.pixels` is right: inflated if need be."""
    stream = header.file.open()
    if header.transfer_syntax != DEFLATED:
        return stream
    with stream:
        head = stream.read(_PREAMBLE)
        stream.seek(_PREAMBLE if head[128:132] == b"DICM" else 0)
        _read_meta(stream)
        return io.BytesIO(_inflate(stream, header.file, limits))
