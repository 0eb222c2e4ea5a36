"""Header: the elements of one DICOM file before its pixels, decoded defensively.

Text is decoded strictly where a number decides geometry: a decimal comma is an error, not a guess.
"""

import io
import math
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from pydicom.datadict import dictionary_VR, tag_for_keyword

from volspine.dicom.elements import DicomReader, Elements, texts_of
from volspine.dicom.files import ReadableFile
from volspine.dicom.limits import Limits
from volspine.errors import DicomReadError, GeometryError

__all__ = ["TAGS", "WANTED", "Header", "PixelElement", "decimal", "guarded", "item_texts"]

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
    "ContrastBolusAgent", "ContrastBolusAgentSequence", "ScanOptions", "StudyDescription",
)  # fmt: skip
"""Keywords of the elements that are kept; everything else is skipped while parsing."""

_NESTED = (
    "TemporalPositionIndex", "FrameAcquisitionNumber", "StackID", "FrameType",
    "ComplexImageComponent", "InversionTimes", "NominalCardiacTriggerDelayTime",
    "MetaboliteMapDescription", "PlanePositionSequence", "PlaneOrientationSequence",
    "PixelMeasuresSequence", "PixelValueTransformationSequence", "MREchoSequence",
    "MRTimingAndRelatedParametersSequence", "FrameContentSequence", "MRImageFrameTypeSequence",
    "MRModifierSequence", "MRDiffusionSequence", "CardiacSynchronizationSequence",
    "MRMetaboliteMapSequence",
)  # fmt: skip

TAGS: dict[str, int] = {keyword: tag_for_keyword(keyword) or 0 for keyword in (*WANTED, *_NESTED)}
"""Tag of every keyword that is read, at the top of a file or in its functional groups."""

_LASTING = frozenset(
    TAGS[keyword]
    for keyword in ("SOPClassUID", "PatientID", "PhotometricInterpretation", "RescaleSlope",
                    "RescaleIntercept", "SeriesNumber")
)  # fmt: skip

_VRS = {keyword: dictionary_VR(tag) for keyword, tag in TAGS.items()}

_DAMAGE = (struct.error, zlib.error, ValueError, EOFError, OSError, MemoryError, OverflowError)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PixelElement:
    """Where the pixels of a file lie.

    Attributes:
        keyword: `PixelData`, `FloatPixelData` or `DoubleFloatPixelData`.
        offset: Position of the value in the (inflated) file.
        length: Declared bytes; None where undefined, which means encapsulated frames.
        is_swapped: Whether bytes lie swapped in words: 8-bit pixels of a big endian file.
    """

    keyword: str
    offset: int
    length: int | None
    is_swapped: bool = False


@dataclass(frozen=True, slots=True)
class Header:
    """Elements of one file before its pixels.

    Attributes:
        file: The file.
        elements: Those of `WANTED` that the file has.
        limits: Caps on what is nested in them.
        transfer_syntax: As the file meta information says; guessed where it has none.
        media_class: Media Storage SOP Class UID of the file meta information.
        is_little_endian: Byte order of the dataset.
        pixels: Where the pixels lie; None where the file has none.
        size: Bytes of the file, inflated if it was deflated.
        notes: What was unusual and read all the same.
    """

    file: ReadableFile
    elements: Elements
    limits: Limits
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

    def summary(self) -> "Header":
        """Return what is asked of a header once its frames are known; the rest may go."""
        kept = {tag: self.elements[tag] for tag in _LASTING if tag in self.elements}
        return replace(self, elements=kept)

    def has(self, keyword: str) -> bool:
        """Return whether the file has an element, be it empty."""
        return TAGS[keyword] in self.elements

    def text(self, keyword: str) -> str:
        """Return the text of an element, stripped; empty where it is absent."""
        element = self.elements.get(TAGS[keyword])
        return "" if element is None else "\\".join(texts_of(element, _VRS[keyword])).strip()

    def numbers(self, keyword: str) -> tuple[float, ...] | None:
        """Return the numbers of an element; None where it is absent or empty.

        Raises:
            GeometryError: If it holds something that is not a number.
        """
        element = self.elements.get(TAGS[keyword])
        if element is None:
            return None
        texts = [text for text in texts_of(element, _VRS[keyword]) if text]
        try:
            return tuple(map(decimal, texts)) or None
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

    def sequence(self, keyword: str) -> list[Elements]:
        """Return the items of a sequence; empty where it is absent.

        Raises:
            DicomReadError: If it cannot be parsed.
        """
        return self.items(self.elements, keyword)

    def items(self, elements: Elements, keyword: str) -> list[Elements]:
        """Return the items of a sequence in some elements; empty where it is absent.

        Raises:
            DicomReadError: If it cannot be parsed.
        """
        element = elements.get(TAGS[keyword])
        if element is None:
            return []
        value = element.value
        reader = DicomReader(io.BytesIO(value), len(value), path=self.path, limits=self.limits)
        return guarded(lambda: list(reader.items(element.encoding)), self.path)


def item_texts(elements: Elements, keyword: str) -> list[str]:
    """Return the values of an element among others as text; empty where it is absent."""
    element = elements.get(TAGS[keyword])
    return [] if element is None else texts_of(element, _VRS[keyword])


def decimal(text: str) -> float:
    """Return a decimal string as a number.

    Raises:
        ValueError: If it is none; Python's digit groups (1_000) are none.
    """
    if "_" in text:
        raise ValueError(text)
    return float(text)


def guarded(parse: Callable[[], T], path: str) -> T:
    """Return what `parse` gives; what damaged bytes raise becomes one kind of error.

    Raises:
        DicomReadError: If it fails for its bytes.
    """
    try:
        return parse()
    except _DAMAGE as error:
        raise DicomReadError(
            f"the file cannot be parsed ({type(error).__name__})",
            remedy="export it again; it may be truncated",
            path=path,
            code="VS-DCM-002",
        ) from error
