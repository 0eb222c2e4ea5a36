"""Elements: from the bytes of a dataset to where each element lies, and to values as text.

A dataset is a run of elements: tag, type (VR), length, value (PS3.5, chapter 7). Only what is asked
for is read; everything else is stepped over, however long or deeply nested, without recursion and
with a few kilobytes of memory. Text is decoded without pydicom's validation, which costs time and
warns about the over-long decimals that scanners write every day.
"""

import io
import struct
import time
from collections.abc import Container, Iterator
from typing import NamedTuple

from volspine.dicom.limits import Limits
from volspine.errors import DicomReadError, LimitError

__all__ = [
    "DicomReader",
    "Element",
    "ElementStart",
    "Elements",
    "Encoding",
    "cut_short",
    "texts_of",
]

UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
_STARTS = {True: struct.Struct("<HH2sHI"), False: struct.Struct(">HH2sHI")}
"""Group, number, type, short length, long length; by whether the file is little endian."""
_SHORT = struct.Struct("<HH2sH")
_PLAIN = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN"}
    | {b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
)
_PIXELS = 0x7FE0
"""Group of the pixels, at which a header ends; what marks items is above it, too."""
_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d"}
_WINDOW = 1 << 14
_LARGEST_VALUE = 1 << 28
"""Bytes of one element that is kept: the functional groups of 4,096 frames take some 10 MB."""


class Encoding(NamedTuple):
    """How a dataset is written."""

    implicit: bool
    little: bool


class Element(NamedTuple):
    """The type of an element (empty where it is implicit) and its bytes, in some encoding."""

    vr: str
    value: bytes
    encoding: Encoding


Elements = dict[int, Element]
"""Elements by tag."""


class ElementStart(NamedTuple):
    """Where an element's value starts, and how long it says it is."""

    tag: int
    vr: str
    length: int
    offset: int


class DicomReader:
    """Walks over the elements of a stream.

    Args:
        stream: Readable and seekable.
        size: Bytes of the stream.
        path: What errors name.
        limits: Caps on depth and time.
    """

    def __init__(self, stream: io.BufferedIOBase, size: int, *, path: str, limits: Limits) -> None:
        self._stream, self._size, self._path, self._limits = stream, size, path, limits
        self._base, self._data = 0, b""
        self._started = time.monotonic()

    def start(self, at: int, encoding: Encoding) -> ElementStart | None:
        """Return the element that starts at a position; None at the end of the stream."""
        head = self._window(at, 12)
        if len(head) < 12:
            if len(head) < 8:
                return None
            head = head.ljust(12, b"\0")
        group, number, vr, short, long = _STARTS[encoding.little].unpack(head)
        tag = group << 16 | number
        if encoding.implicit or group == 0xFFFE or not (vr.isalpha() and vr.isupper()):
            length = int.from_bytes(head[4:8], "little" if encoding.little else "big")
            return ElementStart(tag, "", length, at + 8)
        if vr in _LONG:
            return ElementStart(tag, vr.decode("ascii"), long, at + 12)
        return ElementStart(tag, vr.decode("ascii"), short, at + 8)

    def skip(self, at: int, encoding: Encoding, wanted: Container[int]) -> int:
        """Return the position after the plain elements from a position on that nobody wants.

        Plain is what explicit little endian says in eight bytes, of a known type, and what lies in
        the window. Whatever else comes is left to `start`: half the elements of a slice are plain
        and unwanted, and are stepped over here without a call for each.
        """
        if encoding.implicit or not encoding.little:
            return at
        data, base = self._data, self._base
        last = min(len(data), self._size - base) - 12
        low = at - base
        while 0 <= low <= last:
            group, number, vr, length = _SHORT.unpack_from(data, low)
            tag = group << 16 | number
            is_plain = vr in _PLAIN and group < _PIXELS and low + 8 + length <= last
            if tag in wanted or not is_plain:
                break
            low += 8 + length
        return base + low

    def end(self, start: ElementStart, encoding: Encoding) -> int:
        """Return the position after an element.

        Raises:
            DicomReadError: If it leads out of the stream.
            LimitError: If sequences are nested too deeply, or time is up.
        """
        if start.length == UNDEFINED:
            return self._after_nested(start, encoding)
        end = start.offset + start.length
        if end > self._size:
            raise cut_short(self._path)
        return end

    def element(self, start: ElementStart, end: int, encoding: Encoding) -> Element:
        """Return the element that lies between two positions."""
        length = end - start.offset
        if length > _LARGEST_VALUE:
            raise LimitError(
                f"an element of the header holds {length:,} bytes",
                remedy="set this file aside: it is damaged or hostile",
                path=self._path,
                code="VS-LIM-003",
            )
        inner = Encoding(implicit=True, little=True) if start.vr == "UN" else encoding
        return Element(start.vr, self._window(start.offset, length)[:length], inner)

    def items(self, encoding: Encoding) -> Iterator[Elements]:
        """Yield the items of a sequence that fills the stream."""
        at = 0
        while (start := self.start(at, encoding)) is not None and start.tag == _ITEM:
            ends_at = self._size if start.length == UNDEFINED else self.end(start, encoding)
            found, at = self._elements(start.offset, ends_at, encoding)
            yield found

    def _elements(self, at: int, ends_at: int, encoding: Encoding) -> tuple[Elements, int]:
        """Return the elements of an item and the position after it."""
        found: Elements = {}
        while at < ends_at:
            start = self.start(at, encoding)
            if start is None or start.tag == _ITEM_END:
                return found, at + 8
            at = self.end(start, encoding)
            found[start.tag] = self.element(start, at, encoding)
        return found, at

    def _after_nested(self, outer: ElementStart, encoding: Encoding) -> int:
        """Return the position after a value of undefined length, whatever is nested in it."""
        # One entry a sequence or an item that is open: whether it is an item, and its encoding.
        is_implicit = encoding.implicit or outer.vr == "UN"
        inside = [(False, encoding._replace(implicit=is_implicit))]
        at = outer.offset
        while inside:
            is_item, current = inside[-1]
            start = self.start(at, current)
            if start is None:
                raise cut_short(self._path)
            at = start.offset
            if start.tag == (_ITEM_END if is_item else _SEQUENCE_END):
                inside.pop()
            elif start.length == UNDEFINED:
                is_implicit = current.implicit or start.vr == "UN"
                inside.append((not is_item, current._replace(implicit=is_implicit)))
                self._check_depth(len(inside))
            else:
                at = self.end(start, current)
        return at

    def _check_depth(self, levels: int) -> None:
        if levels > 2 * self._limits.depth:
            raise LimitError(
                f"sequences are nested more than {self._limits.depth} deep",
                remedy="set this file aside: it is damaged or hostile",
                path=self._path,
                code="VS-LIM-002",
            )

    def _window(self, at: int, length: int) -> bytes:
        """Return bytes from a position on; fewer at the end of the stream."""
        low = at - self._base
        if low < 0 or low + length > len(self._data):
            self._check_time()
            self._stream.seek(at)
            self._base, self._data, low = at, self._stream.read(max(length, _WINDOW)), 0
        return self._data[low : low + length]

    def _check_time(self) -> None:
        spent = time.monotonic() - self._started
        self._limits.check("seconds", spent, path=self._path, what="time to parse in seconds")


def cut_short(path: str) -> DicomReadError:
    """Return the error of an element that leads out of its file."""
    return DicomReadError(
        "the file is cut short or damaged: an element leads out of it",
        remedy="export it again; it may be truncated",
        path=path,
        code="VS-DCM-004",
    )


def texts_of(element: Element, vr: str) -> list[str]:
    """Return the values of an element as text.

    Args:
        element: The element.
        vr: Its type by the dictionary. The file's own counts only among binary types: digits
            that a file calls binary would turn into another number.

    Example:
        >>> explicit = Encoding(implicit=False, little=True)
        >>> texts_of(Element("US", bytes([18, 0]), explicit), "US")
        ['18']
        >>> texts_of(Element("DS", b"2.5" + bytes([92]) + b"3 ", explicit), "DS")
        ['2.5', '3']
    """
    stated = element.vr if element.vr in _BINARY else vr
    if vr in _BINARY:
        return _unpack(element.value, _BINARY[stated], little=element.encoding.little)
    return [part.strip(" \0\r\n\t") for part in element.value.decode("latin-1").split("\\")]


def _unpack(value: bytes, code: str, *, little: bool) -> list[str]:
    count = len(value) // struct.calcsize(code)
    whole = value[: count * struct.calcsize(code)]
    return [repr(part) for part in struct.unpack(f"{'<' if little else '>'}{count}{code}", whole)]
