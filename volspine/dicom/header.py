"""Header: the elements of one DICOM file before its pixels, decoded defensively.

pydicom finds the elements; their text is decoded here, strictly where a number decides geometry (a
decimal comma is an error, not a guess) and without pydicom's own validation, which costs time and
warns about the over-long decimals that scanners write every day.

"""

import math
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from volspine.dicom.files import ReadableFile
from volspine.errors import DicomReadError, GeometryError, LimitError, VolspineError

__all__ = ["WANTED", "Header", "PixelElement", "guarded"]

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
_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d"}
_IMPLICIT_VR = {
    "SamplesPerPixel": "US", "Rows": "US", "Columns": "US", "BitsAllocated": "US",
    "BitsStored": "US", "HighBit": "US", "PixelRepresentation": "US", "EffectiveEchoTime": "FD",
    "DiffusionBValue": "FD",
}  # fmt: skip


T = TypeVar("T")


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


def guarded(parse: Callable[[], T], path: str) -> T:
    """Return what `parse` gives; whatever pydicom raises becomes one kind of error.

    Raises:
        DicomReadError: If it fails in any way of its own.
        LimitError: If sequences are nested too deeply.
    """
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
