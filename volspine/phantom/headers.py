"""Headers: what the DICOM files of a synthetic study say, beside their pixels.

A series' attributes are of two kinds: those that all its instances share, and the few that differ
from one to the next. Two profiles: `rsna` holds what the public challenge's files hold and nothing
else; `full` holds every attribute that the MR Image object demands (DICOM PS3.3, A.4, C.8.3.1) and
says that the image is synthetic. Descriptions in `full` follow the habits of three vendors; the
manufacturer is never theirs.
"""

import hashlib
from functools import lru_cache

import numpy as np
from pydicom.uid import MRImageStorage
from pydicom.valuerep import format_number_as_ds

from volspine.phantom.plan import SeriesPlan
from volspine.phantom.spec import Header
from volspine.phantom.study import Acquired

__all__ = ["Attributes", "Text", "instance_attributes", "series_attributes"]

Attributes = dict[str, object]
"""Values by DICOM keyword."""

Text = str | list[str]
"""One or several values of an attribute that is text."""

_DATE, _TIME = "20240101", "120000"

_DESCRIPTIONS = {
    ("sagittal", "T1"): ("t1_tse_sag", "SAG T1", "T1W_TSE"),
    ("sagittal", "T2"): ("t2_tse_sag", "SAG T2 FSE", "T2W_TSE_SAG"),
    ("sagittal", "STIR"): ("t2_tirm_sag", "SAG STIR", "STIR_longTE"),
    ("axial", "T2"): ("t2_tse_tra", "AX T2", "T2W_TSE_AX"),
    ("axial", "STIR"): ("t2_tirm_tra", "AX T2 STIR", "T2W_STIR_AX"),
    ("stacks", "T2"): ("t2_tse_tra_msma", "OBL AX T2 FSE", "T2W_TSE_AX"),
    ("stacks", "STIR"): ("t2_tirm_tra_msma", "OBL AX T2 STIR", "T2W_STIR_AX"),
}


def series_attributes(made: Acquired, number: int) -> Attributes:
    """Return what the headers of one series share.

    Args:
        made: The study.
        number: Position of the series in the plan.
    """
    plan, is_full = made.plan.series[number], made.truth.spec.header is Header.FULL
    shared: Attributes = {
        "ContentDate": _DATE,
        "ContentTime": _TIME,
        "PatientID": made.truth.spec.study_id,
        "PatientPosition": made.plan.position,
        "SliceThickness": _decimal(plan.thickness_mm),
        "PixelSpacing": [_decimal(plan.pixel_mm)] * 2,
        **_identity(made, plan),
        **_spacing(made, plan),
        **_pixels(plan),
        **_scale(made, number),
    }
    return {**shared, **_full(made, number)} if is_full else shared


def instance_attributes(made: Acquired, number: int, index: int) -> dict[str, Text]:
    """Return what differs from one instance of a series to the next, window excepted; all text.

    Args:
        made: The study.
        number: Position of the series in the plan.
        index: Of the slice in the series.
    """
    plan, pose = made.plan.series[number], made.plan.pose
    spec, instance = made.truth.spec, made.filing.series[number].numbers[index]
    first = pose.to_patient(plan.first_pixel(index))
    across, down = (pose.rotation @ axis for axis in plan.axes(index))
    is_full = spec.header is Header.FULL
    uid = _uid(spec.study_id, plan.series_id, instance) if is_full else None
    return {
        "SOPInstanceUID": uid or f"{spec.study_id}.1.{instance}",
        "InstanceNumber": str(instance),
        "ImagePositionPatient": [_decimal(x) for x in first],
        "ImageOrientationPatient": [_decimal(x) for x in (*across, *down)],
        "SliceLocation": _decimal(float(first @ np.cross(across, down))),
    }


def _uid(*parts: object) -> str:
    """Return a UID under the root for UUIDs, the same for the same parts."""
    digest = hashlib.sha256("/".join(str(p) for p in parts).encode()).digest()[:16]
    return f"2.25.{int.from_bytes(digest, 'big')}"


@lru_cache(maxsize=256)  # slices of a stack share most of theirs
def _decimal(value: float) -> str:
    """Return a decimal string of at most 16 characters; -0 is 0."""
    return str(format_number_as_ds(float(value) + 0.0))


def _identity(made: Acquired, plan: SeriesPlan) -> Attributes:
    """Bare numbers in the `rsna` profile, proper UIDs in the `full` one."""
    study = made.truth.spec.study_id
    if made.truth.spec.header is Header.FULL:
        return {
            "StudyInstanceUID": _uid(study),
            "SeriesInstanceUID": _uid(study, plan.series_id),
            "FrameOfReferenceUID": _uid(study, "frame"),
            "SeriesDescription": _description(made, plan),
        }
    return {
        "StudyInstanceUID": study,
        "SeriesInstanceUID": f"{study}.{plan.series_id}",
        "FrameOfReferenceUID": f"{study}.1",
        "SeriesDescription": "T1" if plan.sequence.name == "T1" else "T2",
    }


def _description(made: Acquired, plan: SeriesPlan) -> str:
    plane = "sagittal" if plan.is_sagittal else "stacks" if len(set(plan.stacks)) > 1 else "axial"
    return _DESCRIPTIONS[plane, plan.sequence.name][made.filing.style]


def _spacing(made: Acquired, plan: SeriesPlan) -> Attributes:
    """Return the distance between slices; some scanners store the gap, and some files nothing."""
    filing, is_full = made.filing, made.truth.spec.header is Header.FULL
    if not (filing.says_spacing or is_full):
        return {}
    is_gap = filing.spacing_is_gap and not is_full
    value = plan.spacing_mm - plan.thickness_mm if is_gap else plan.spacing_mm
    return {"SpacingBetweenSlices": _decimal(round(value, 6))}


def _pixels(plan: SeriesPlan) -> Attributes:
    return {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": plan.matrix[0],
        "Columns": plan.matrix[1],
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
    }


def _scale(made: Acquired, number: int) -> Attributes:
    if not made.filing.says_scale:
        return {}
    filing = made.filing.series[number]
    return {
        "RescaleIntercept": _decimal(filing.intercept),
        "RescaleSlope": _decimal(filing.slope),
    }


def _full(made: Acquired, number: int) -> Attributes:
    """What a conformant MR object adds; it says that the image is synthetic."""
    return {
        "SOPClassUID": MRImageStorage,
        "ImageType": ["DERIVED", "SECONDARY", "OTHER"],
        "DerivationDescription": "Computed from a geometric model; not an image of a patient",
        "ImageComments": "Synthetic; research use only",
        "BurnedInAnnotation": "NO",
        "LossyImageCompression": "00",
        "Manufacturer": "volspine phantom",
        "ManufacturerModelName": "synthetic",
        "PositionReferenceIndicator": "",
        **_person(made),
        "Modality": "MR",
        "BodyPartExamined": "LSPINE",
        "SeriesNumber": str(number + 1),
        "AcquisitionNumber": str(number + 1),
        "SeriesDate": _DATE,
        "SeriesTime": _TIME,
        **_sequence(made.plan.series[number]),
    }


def _person(made: Acquired) -> Attributes:
    subject, study = made.truth.anatomy.subject, made.truth.spec.study_id
    return {
        "PatientName": f"PHANTOM^{study}",
        "PatientBirthDate": "",
        "PatientSex": "F" if subject.female else "M",
        "PatientAge": f"{round(subject.age):03d}Y",
        "StudyDate": _DATE,
        "StudyTime": _TIME,
        "StudyID": "1",
        "StudyDescription": "Synthetic lumbar spine",
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
    }


def _sequence(plan: SeriesPlan) -> Attributes:
    """How the image is made to look as if acquired; TR is of the whole train."""
    sequence = plan.sequence
    is_gradient = sequence.flip_rad is not None
    kinds = ["GR" if is_gradient else "SE"] + ["IR"] * (sequence.inversion_ms is not None)
    flip = 180.0 if sequence.flip_rad is None else float(np.rad2deg(sequence.flip_rad))
    inversion: Attributes = {}
    if sequence.inversion_ms is not None:
        inversion = {"InversionTime": _decimal(round(sequence.inversion_ms, 1))}
    return {
        **inversion,
        **_encoding(plan),
        "ScanningSequence": kinds,
        "SequenceVariant": "SP" if is_gradient else "SK",
        "ScanOptions": "",
        "MRAcquisitionType": "2D",
        "EchoTrainLength": str(max(sequence.echoes, 1)),
        "RepetitionTime": _decimal(round(sequence.repetition_ms, 1)),
        "EchoTime": _decimal(round(sequence.echo_ms, 1)),
        "EchoNumbers": "1",
        "NumberOfAverages": "2",
        "ImagedNucleus": "1H",
        "ImagingFrequency": _decimal(round(42.577 * sequence.field_t, 3)),
        "MagneticFieldStrength": _decimal(sequence.field_t),
        "FlipAngle": _decimal(round(flip)),
        "VariableFlipAngleFlag": "N",
        "PixelBandwidth": "200",
    }


def _encoding(plan: SeriesPlan) -> Attributes:
    """How the plane is measured: frequency along one axis, phase along the other."""
    high, wide = plan.acquired
    along_columns = plan.phase_axis == 0
    phase, frequency = (high, wide) if along_columns else (wide, high)
    return {
        "PercentSampling": _decimal(round(100 * plan.phase_share, 3)),
        "PercentPhaseFieldOfView": _decimal(round(100 * phase / frequency, 3)),
        "NumberOfPhaseEncodingSteps": str(plan.lines[plan.phase_axis]),
        # Frequency rows, frequency columns, phase rows, phase columns.
        "AcquisitionMatrix": [0, wide, high, 0] if along_columns else [high, 0, 0, wide],
        "InPlanePhaseEncodingDirection": "COL" if along_columns else "ROW",
    }
