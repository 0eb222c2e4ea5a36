"""Parse: from the bytes of a file to its header, without believing what they declare.

The parse stops at the pixel data and notes where they lie, so that a slice can be read later
without parsing the file again. The encoding is seen from the first element, since files with a
wrong transfer syntax circulate. Deflated datasets are inflated under a cap.
"""

import io
import struct
import zlib
from typing import NamedTuple

from volspine.dicom.elements import UNDEFINED, DicomReader, Elements, ElementStart, Encoding
from volspine.dicom.files import ReadableFile
from volspine.dicom.header import TAGS, WANTED, Header, PixelElement, guarded
from volspine.dicom.limits import Limits

__all__ = ["is_dicom", "open_dataset", "read_elements", "read_header"]

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
_SPECIFIC = frozenset(TAGS[keyword] for keyword in WANTED)


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


def _parse(file: ReadableFile, stream: io.BufferedIOBase, head: bytes, limits: Limits) -> Header:
    has_preamble = head[128:132] == b"DICM"
    stream.seek(_PREAMBLE if has_preamble else 0)
    meta = _read_meta(stream)
    notes = [] if has_preamble else ["read without the DICOM preamble"]
    size = file.size
    if meta.syntax == DEFLATED:
        data = _inflate(stream, file, limits)
        stream, size = io.BytesIO(data), len(data)
    encoding = _encoding(stream, meta.syntax)
    if meta.syntax and encoding != _stated_encoding(meta.syntax):
        notes.append("the transfer syntax in the file is not the stated one")
    begin = stream.tell()
    reader = DicomReader(stream, size, path=file.path, limits=limits)
    elements, pixels = _scan(reader, begin, encoding)
    return Header(
        file=file,
        elements=elements,
        limits=limits,
        transfer_syntax=meta.syntax or (EXPLICIT_LITTLE if encoding.little else BIG_ENDIAN),
        media_class=meta.media_class,
        is_little_endian=encoding.little,
        pixels=pixels,
        size=size,
        notes=tuple(notes),
    )


def read_elements(header: Header, tags: frozenset[int]) -> Elements:
    """Return other elements of a file whose header was read before.

    Raises:
        VolspineError: If the file cannot be read or parsed any more.
    """
    with open_dataset(header, header.limits) as stream:
        if header.transfer_syntax != DEFLATED:
            _skip_meta(stream)
        begin = stream.tell()
        encoding = _encoding(stream, header.transfer_syntax)
        reader = DicomReader(stream, header.size, path=header.path, limits=header.limits)
        return guarded(lambda: _scan(reader, begin, encoding, tags)[0], header.path)


def _scan(
    reader: DicomReader, at: int, encoding: Encoding, tags: frozenset[int] = _SPECIFIC
) -> tuple[Elements, PixelElement | None]:
    """Return the wanted elements up to the pixels, and where those lie."""
    found: Elements = {}
    while (start := reader.start(at, encoding)) is not None:
        if start.tag in _PIXEL_KEYWORDS:
            return found, _pixel_element(start, encoding)
        end = reader.end(start, encoding)
        if start.tag in tags:
            found[start.tag] = reader.element(start, end, encoding)
        at = reader.skip(end, encoding, tags)
    return found, None


def _pixel_element(start: ElementStart, encoding: Encoding) -> PixelElement:
    return PixelElement(
        _PIXEL_KEYWORDS[start.tag],
        start.offset,
        None if start.length == UNDEFINED else start.length,
        is_swapped=not encoding.little and start.vr != "OB",
    )


class _Meta(NamedTuple):
    syntax: str
    media_class: str


def _read_meta(stream: io.BufferedIOBase) -> _Meta:
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


def _encoding(stream: io.BufferedIOBase, stated: str) -> Encoding:
    """Return the encoding of the dataset, from its first element.

    The first element of an image is in group 8, so its bytes give both away; anything else leaves
    the stated encoding in place.
    """
    here = stream.tell()
    start = stream.read(6)
    stream.seek(here)
    if len(start) < 6 or start[:2] not in (b"\x08\x00", b"\x00\x08"):
        return _stated_encoding(stated)
    is_explicit = start[4:6].isalpha() and start[4:6].isupper()
    return Encoding(implicit=not is_explicit, little=start[0] == 8)


def _stated_encoding(syntax: str) -> Encoding:
    return Encoding(implicit=syntax == IMPLICIT_LITTLE, little=syntax != BIG_ENDIAN)


def _inflate(stream: io.BufferedIOBase, file: ReadableFile, limits: Limits) -> bytes:
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


def open_dataset(header: Header, limits: Limits) -> io.BufferedIOBase:
    """Return a stream in which the offset of `header.pixels` is right: inflated if need be."""
    stream = header.file.open()
    if header.transfer_syntax != DEFLATED:
        return stream
    with stream:
        _skip_meta(stream)
        return io.BytesIO(_inflate(stream, header.file, limits))


def _skip_meta(stream: io.BufferedIOBase) -> None:
    head = stream.read(_PREAMBLE)
    stream.seek(_PREAMBLE if head[128:132] == b"DICM" else 0)
    _read_meta(stream)
