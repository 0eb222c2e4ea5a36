"""Instances: from the header of a file to its frames, each with place, encoding and acquisition.

A frame is valid once it is an `Instance`: its position, orientation and spacing are finite and
present, its encoding is one that can be decoded, and its pixels are all in the file. Whatever is
not so raises the error that says what is wrong, and the file is set aside.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np

from volspine.dicom.functional import FrameGroups, frame_groups
from volspine.dicom.header import Header, decimal
from volspine.dicom.layout import PixelLayout, read_layout
from volspine.dicom.limits import Limits
from volspine.errors import GeometryError, PixelError
from volspine.geometry.affine import orthonormalize
from volspine.types import FloatArray

__all__ = ["Acquisition", "Instance", "read_instances", "why_not_an_image"]

T = TypeVar("T")

_NOT_IMAGES = {
    "1.2.840.10008.5.1.4.1.1.88": "a structured report",
    "1.2.840.10008.5.1.4.1.1.11": "a presentation state",
    "1.2.840.10008.5.1.4.1.1.104": "an encapsulated document",
    "1.2.840.10008.5.1.4.1.1.4.2": "spectroscopy",
    "1.2.840.10008.5.1.4.1.1.66": "a registration, segmentation or raw data object",
}
_SLICES = ("1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.2")
_MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_COLOUR = ("PALETTE", "RGB", "YBR", "HSV", "ARGB", "CMYK")

FARTHEST_MM = 1e6
"""Positions beyond a kilometre are no positions."""

LARGEST_SCALE = 1e30
"""Slopes and intercepts beyond this leave the range of 32-bit floats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquisition:
    """How a frame was acquired, as far as its header says; times in milliseconds."""

    description: str = ""
    sequence: str = ""
    image_type: tuple[str, ...] = ()
    repetition_time: float | None = None
    echo_time: float | None = None
    inversion_time: float | None = None
    number: str = ""
    temporal_position: str = ""
    echo_number: str = ""
    trigger_time: str = ""
    diffusion: str = ""
    component: str = ""
    stack_id: str = ""
    modality: str = ""
    body_part: str = ""
    study_description: str = ""
    contrast_agent: str = ""
    options: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One frame of one file.

    Attributes:
        header: The file's header.
        layout: How the file's pixels are encoded.
        frame: Index of the frame in the file, from 0.
        study_uid: StudyInstanceUID; empty where absent.
        series_uid: SeriesInstanceUID; empty where absent.
        sop_uid: SOPInstanceUID; empty where absent. Not unique across series.
        frame_of_reference: FrameOfReferenceUID; empty where absent.
        number: InstanceNumber; for reports only, never for order.
        origin_mm: Position of voxel (0, 0), LPS.
        directions: Shape (2, 3); unit vectors along growing column, then row index.
        spacing_mm: Distance between rows, then between columns.
        slope: Rescale slope.
        intercept: Rescale intercept.
        says_scale: Whether the file gives both; 1 and 0 are taken for what it does not.
        acquisition: How it was acquired.
    """

    header: Header
    layout: PixelLayout
    frame: int
    study_uid: str
    series_uid: str
    sop_uid: str
    frame_of_reference: str
    number: int | None
    origin_mm: tuple[float, ...]
    directions: FloatArray
    spacing_mm: tuple[float, float]
    slope: float
    intercept: float
    acquisition: Acquisition
    says_scale: bool = True

    @property
    def path(self) -> str:
        """Path of the file, as the user would say it: for errors."""
        return self.header.path

    @property
    def name(self) -> str:
        """Path of the file relative to the study: for repairs and faults."""
        return self.header.file.name


def why_not_an_image(header: Header) -> str | None:
    """Return why a readable DICOM file is no image of the kind that is read; None if it is one."""
    if header.media_class == _MEDIA_DIRECTORY:
        return "a DICOMDIR; its paths are not followed"
    sop_class = header.text("SOPClassUID")
    kind = _kind_without_image(sop_class)
    if kind is not None:
        return f"{kind}, not an image"
    if header.integer("Rows") is None and header.pixels is None:
        # A slice cut short inside its header must not pass for an object without an image.
        is_slice = (sop_class or header.media_class or _SLICES[0]).startswith(_SLICES)
        return None if is_slice else "a DICOM object without an image"
    is_colour = header.text("PhotometricInterpretation").upper().startswith(_COLOUR)
    if is_colour or (header.integer("SamplesPerPixel") or 1) > 1:
        return "a colour image (secondary capture or picture of a report)"
    has_place = header.has("ImagePositionPatient") or header.has("SharedFunctionalGroupsSequence")
    if sop_class.startswith(_SECONDARY_CAPTURE) and not has_place:
        return "a secondary capture without a place"
    return None


@lru_cache(maxsize=64)
def _kind_without_image(sop_class: str) -> str | None:
    for prefix, kind in _NOT_IMAGES.items():
        if sop_class == prefix or sop_class.startswith(prefix + "."):
            return kind
    return None


def read_instances(header: Header, limits: Limits) -> list[Instance]:
    """Return the frames of one image file.

    Raises:
        GeometryError: If position, orientation or spacing are missing or invalid.
        PixelError: If the pixels are missing, cut short, or of a kind that is not read.
        LimitError: If the file declares more than the limits allow.
    """
    layout = _shared(read_layout(header, limits))
    if "MOSAIC" in header.text("ImageType").split("\\"):
        raise GeometryError(
            "this is a mosaic: many slices tiled into one image, which has no single position",
            remedy="convert it to single slices or enhanced multi-frame first",
            path=header.path,
            code="VS-GEO-010",
        )
    groups = frame_groups(header, layout.frames)
    summary = header.summary()  # Thousands of headers would fill the memory.
    return [_instance(layout, frame, groups[frame], summary) for frame in range(layout.frames)]


def _instance(layout: PixelLayout, frame: int, groups: FrameGroups, summary: Header) -> Instance:
    header = groups.header
    slope, intercept, says_scale = _rescale(header, groups)
    return Instance(
        header=summary,
        layout=layout,
        frame=frame,
        study_uid=_shared(header.text("StudyInstanceUID")),
        series_uid=_shared(header.text("SeriesInstanceUID")),
        sop_uid=header.text("SOPInstanceUID"),
        frame_of_reference=_shared(header.text("FrameOfReferenceUID")),
        number=header.integer("InstanceNumber"),
        origin_mm=_position(header, groups, layout.frames),
        directions=_directions(header, groups),
        spacing_mm=_spacing(header, groups),
        slope=slope,
        intercept=intercept,
        acquisition=_shared(_acquisition(header, groups)),
        says_scale=says_scale,
    )


@lru_cache(maxsize=256)
def _shared(value: T) -> T:
    """Return an equal value that was seen before: slices repeat what their series says."""
    return value


def _numbers(header: Header, groups: FrameGroups, keyword: str) -> tuple[float, ...] | None:
    texts = groups.texts(keyword)
    if not texts:
        return header.numbers(keyword)
    try:
        return tuple(map(decimal, texts))
    except ValueError:
        return (math.nan,)


def _position(header: Header, groups: FrameGroups, frames: int) -> tuple[float, ...]:
    if frames > 1 and not groups.texts("ImagePositionPatient"):
        raise GeometryError(
            f"{frames} frames without a position for each",
            remedy="export as enhanced multi-frame with functional groups, or as single frames",
            path=header.path,
            code="VS-GEO-011",
        )
    position = _numbers(header, groups, "ImagePositionPatient")
    is_place = position is not None and all(abs(mm) < FARTHEST_MM for mm in position)
    if position is None or len(position) != 3 or not is_place:
        raise _invalid(header, "ImagePositionPatient", position, code="VS-GEO-001")
    return position


def _directions(header: Header, groups: FrameGroups) -> FloatArray:
    cosines = _numbers(header, groups, "ImageOrientationPatient")
    if cosines is None or len(cosines) != 6:
        raise _invalid(header, "ImageOrientationPatient", cosines, code="VS-GEO-002")
    try:
        return _orthonormal(cosines)
    except GeometryError as error:
        error.path = header.path
        raise


@lru_cache(maxsize=256)
def _orthonormal(cosines: tuple[float, ...]) -> FloatArray:
    """Slices of one stack share their orientation to the letter: compute it once."""
    return orthonormalize(np.array(cosines))


def _spacing(header: Header, groups: FrameGroups) -> tuple[float, float]:
    spacing = _numbers(header, groups, "PixelSpacing")
    if spacing is None or len(spacing) != 2 or not all(1e-3 < mm < 1e3 for mm in spacing):
        raise _invalid(header, "PixelSpacing", spacing, code="VS-GEO-004")
    return spacing[0], spacing[1]


def _invalid(
    header: Header, keyword: str, value: tuple[float, ...] | None, *, code: str
) -> GeometryError:
    finding = "is missing" if value is None else f"is invalid: {value}"
    return GeometryError(
        f"{keyword} {finding}, so where its voxels lie cannot be known",
        remedy="export the series again with its geometry",
        path=header.path,
        code=code,
    )


def _rescale(header: Header, groups: FrameGroups) -> tuple[float, float, bool]:
    """Return slope, intercept and whether both are given."""
    slope = _numbers(header, groups, "RescaleSlope")
    intercept = _numbers(header, groups, "RescaleIntercept")
    scale = (slope or (1.0,))[0], (intercept or (0.0,))[0]
    if not all(abs(value) < LARGEST_SCALE for value in scale):
        raise PixelError(
            "RescaleSlope or RescaleIntercept is not finite",
            remedy="export the series again",
            path=header.path,
            code="VS-PIX-004",
        )
    return *scale, slope is not None and intercept is not None


def _acquisition(header: Header, groups: FrameGroups) -> Acquisition:
    def either(keyword: str, classic: str) -> str:
        return "\\".join(groups.texts(keyword)) or header.text(classic)

    description = (header.text("SeriesDescription"), header.text("ProtocolName"))
    sequence = ("ScanningSequence", "SequenceVariant", "SequenceName", "PulseSequenceName")
    return Acquisition(
        description=description[0] or description[1],
        sequence=" ".join(filter(None, map(header.text, sequence))),
        image_type=tuple(either("FrameType", "ImageType").split("\\")),
        repetition_time=_time(either("RepetitionTime", "RepetitionTime")),
        echo_time=_time(either("EffectiveEchoTime", "EchoTime")),
        inversion_time=_time(either("InversionTimes", "InversionTime")),
        number=either("FrameAcquisitionNumber", "AcquisitionNumber"),
        temporal_position=either("TemporalPositionIndex", "TemporalPositionIdentifier"),
        echo_number=header.text("EchoNumbers"),
        trigger_time=either("NominalCardiacTriggerDelayTime", "TriggerTime"),
        diffusion=either("DiffusionBValue", "DiffusionBValue"),
        component=" ".join(
            (*groups.texts("ComplexImageComponent"), *groups.texts("MetaboliteMapDescription"))
        ),
        stack_id="\\".join(groups.texts("StackID")),
        modality=header.text("Modality") or _modality_of(header.text("SOPClassUID")),
        body_part=header.text("BodyPartExamined"),
        study_description=header.text("StudyDescription"),
        contrast_agent=_contrast_agent(header),
        options=header.text("ScanOptions"),
    )


def _contrast_agent(header: Header) -> str:
    """Return what was given, or that something was: enhanced files have a sequence for it."""
    nested = "unnamed" if header.has("ContrastBolusAgentSequence") else ""
    return header.text("ContrastBolusAgent") or nested


def _modality_of(sop_class: str) -> str:
    """Return CT for the classes of CT images; other classes are taken at their word."""
    is_ct = sop_class == _SLICES[1] or sop_class.startswith(_SLICES[1] + ".")
    return "CT" if is_ct else ""


def _time(text: str) -> float | None:
    try:
        value = float(text.partition("\\")[0])
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None
