"""Grades as DICOM: a Comprehensive 3D SR in the study's own Study Instance UID (TID 1500).

One measurement group a target: its tracking identifier, where in the body it is, the grade as a
qualitative evaluation, the three probabilities as measurements, and where the target was located,
its point as SCOORD3D (LPS millimetres in the frame of reference of the images). What was filled in
says so. Terms that no public vocabulary has are in the private scheme `99VOLSPINE`.

A structured report belongs to a patient, so unlike every other output it repeats the identifiers
of the study.
"""

import io
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image

from volspine import __version__
from volspine._optional import require
from volspine.anatomy import PROTOCOLS, TARGETS, Grade, Side, Target
from volspine.dicom.study import Series, Source, Study
from volspine.errors import ConfigurationError
from volspine.grades import StudyGrades
from volspine.report.keyimages import KeyImage
from volspine.report.manifest import notices

__all__ = ["require_highdicom", "secondary_captures", "structured_report"]

SCHEME = "99VOLSPINE"
"""Coding scheme of our own terms."""

_SERIES_NUMBER = 9001
_BIPED = {"S": "H", "I": "F"}  # DICOM says head and foot.


def structured_report(study: Study, grades: StudyGrades) -> bytes:
    """Return the report as a DICOM file.

    Args:
        study: What was graded; its graded series are the evidence.
        grades: Of the same study.

    Raises:
        MissingExtraError: If highdicom is not installed.
        ConfigurationError: If the study has no identifiers that a report can repeat, as NIfTI, or
            was refused.
    """
    hd = require_highdicom()
    evidence = _checked_evidence(study, grades)
    frame = _frame_of_reference(study)
    report = hd.sr.MeasurementReport(
        observation_context=_observer(hd, study),
        procedure_reported=_term("lumbar_stenosis_grading", "Lumbar stenosis grading"),
        imaging_measurements=[_group(hd, grades, t, frame) for t in range(len(TARGETS))],
    )
    report[0].ContentSequence.append(_comment(hd, " ".join(notices(grades))))
    document = hd.sr.Comprehensive3DSR(
        evidence=evidence,
        content=report[0],
        series_number=_SERIES_NUMBER,
        series_instance_uid=_uid(study, grades, "series"),
        sop_instance_uid=_uid(study, grades, "instance"),
        instance_number=1,
        manufacturer="volspine",
        is_complete=True,
        series_description="volspine: research use only",
    )
    stream = io.BytesIO()
    document.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def secondary_captures(
    study: Study, grades: StudyGrades, images: Sequence[KeyImage]
) -> Iterator[tuple[str, bytes]]:
    """Yield the key images as DICOM files of the study, each with its file name.

    Args:
        study: What was graded.
        grades: Of the same study.
        images: Its key images.

    Raises:
        MissingExtraError: If highdicom is not installed.
        ConfigurationError: As for `structured_report`.
    """
    hd = require_highdicom()
    header = _checked_evidence(study, grades)[0]
    for number, image in enumerate(images, start=1):
        with Image.open(io.BytesIO(image.png)) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        capture = hd.sc.SCImage.from_ref_dataset(
            header,
            pixel_array=pixels,
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            patient_orientation=tuple(_BIPED.get(e, e) for e in (image.edges[1], image.edges[3])),
            series_instance_uid=_uid(study, grades, "captures"),
            series_number=_SERIES_NUMBER + 1,
            sop_instance_uid=_uid(study, grades, image.target.name),
            instance_number=number,
            manufacturer="volspine",
            series_description="volspine: research use only",
        )
        capture.ImageComments = " ".join(notices(grades))
        stream = io.BytesIO()
        capture.save_as(stream, enforce_file_format=True)
        yield f"sc_{image.target.level.value}_{image.target.condition.term}.dcm", stream.getvalue()


def require_highdicom() -> ModuleType:
    """Return highdicom.

    Raises:
        MissingExtraError: If it is not installed.
    """
    return require("highdicom", extra="sr", purpose="a structured report")


def _checked_evidence(study: Study, grades: StudyGrades) -> list[Any]:
    evidence = list(_evidence(study))
    if grades.status == "refused" or not evidence:
        raise ConfigurationError(
            "no structured report: "
            + ("the study was refused" if evidence else "the study has no DICOM identifiers"),
            remedy="use the other formats, csv, json and html",
            code="VS-CFG-064",
        )
    return evidence


def _evidence(study: Study) -> Iterator[Any]:
    """Yield the headers of the graded images, as far as a report refers to them."""
    if not study.identifiers.study_instance_uid:
        return
    for series in study.series:
        if series.protocol in PROTOCOLS:
            for source in dict.fromkeys(s for stack in series.instances for s in stack):
                if source.sop_instance_uid and source.sop_class_uid:
                    yield _header(study, series, source)


def _header(study: Study, series: Series, source: Source) -> Any:
    from pydicom.dataset import Dataset

    header = Dataset()
    for name in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex"):
        setattr(header, name, study.identifiers.attributes.get(name, ""))
    for name in ("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"):
        setattr(header, name, study.identifiers.attributes.get(name, ""))
    header.StudyInstanceUID = study.identifiers.study_instance_uid
    header.SeriesInstanceUID = series.uid
    header.SOPInstanceUID = source.sop_instance_uid
    header.SOPClassUID = source.sop_class_uid
    return header


def _frame_of_reference(study: Study) -> str:
    frames = {s.frame_of_reference for s in study.series if s.protocol in PROTOCOLS} - {""}
    return frames.pop() if len(frames) == 1 else ""


def _observer(hd: ModuleType, study: Study) -> Any:
    from pydicom.sr.codedict import codes

    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=hd.UID.from_uuid(str(_uuid("device", study.identifiers.study_instance_uid))),
        name="volspine",
        model_name=__version__,
    )
    return hd.sr.ObservationContext(
        observer_device_context=hd.sr.ObserverContext(codes.DCM.Device, device)
    )


def _group(hd: ModuleType, grades: StudyGrades, t: int, frame: str) -> Any:
    target, grade = TARGETS[t], grades.grades[t]
    if grade is None:  # Only a refused study has none, and it gets no report.
        raise AssertionError(target.name)
    found = _term(grade.name.lower(), grade.label)
    evaluations = [hd.sr.QualitativeEvaluation(_term("grade", "Grade"), found)]
    if grades.imputed[t]:
        imputed = _term("imputed", "Not measured; frequency in the training data")
        evaluations.append(hd.sr.QualitativeEvaluation(_term("basis", "Basis"), imputed))
    model = grades.provenance.get("model", {})
    return hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(
            identifier=target.name, uid=hd.UID.from_uuid(str(_uuid(grades.name, target.name)))
        ),
        finding_type=_term(target.finding.term, target.finding.term.replace("_", " ").capitalize()),
        finding_sites=[_site(hd, target)],
        algorithm_id=hd.sr.AlgorithmIdentification(
            name="volspine", version=f"{__version__} {model.get('weights_sha256', '')[:16]}".strip()
        ),
        measurements=[_probability(hd, grades, t, each, frame) for each in Grade],
        qualitative_evaluations=evaluations,
    )


def _probability(hd: ModuleType, grades: StudyGrades, t: int, grade: Grade, frame: str) -> Any:
    from pydicom.sr.codedict import codes

    point = grades.points_mm[t]
    coordinates = None
    if frame and np.isfinite(point).all():
        coordinates = [
            hd.sr.CoordinatesForMeasurement3D(
                graphic_type=hd.sr.GraphicTypeValues3D.POINT,
                graphic_data=point[None],
                frame_of_reference_uid=frame,
            )
        ]
    name = f"Probability of {grade.label}"
    return hd.sr.Measurement(
        name=_term(f"p_{grade.name.lower()}", name),
        value=round(float(grades.probabilities[t, grade]), 6),
        unit=codes.UCUM.NoUnits,
        referenced_coordinates=coordinates,
    )


def _site(hd: ModuleType, target: Target) -> Any:
    from pydicom.sr.codedict import codes

    sides = {Side.LEFT: codes.SCT.Left, Side.RIGHT: codes.SCT.Right, None: None}
    return hd.sr.FindingSite(
        anatomic_location=codes.SCT.LumbarSpine,
        laterality=sides[target.side],
        topographical_modifier=_term(target.level.value, target.level.label),
    )


def _term(value: str, meaning: str) -> Any:
    from pydicom.sr.coding import Code

    short = value if len(value) <= 16 else str(_uuid(SCHEME, value).int)[:16]
    return Code(short, SCHEME, meaning)


def _comment(hd: ModuleType, text: str) -> Any:
    from pydicom.sr.codedict import codes

    return hd.sr.TextContentItem(
        name=codes.DCM.Comment, value=text, relationship_type=hd.sr.RelationshipTypeValues.CONTAINS
    )


def _uid(study: Study, grades: StudyGrades, what: str) -> str:
    weights = str(grades.provenance.get("model", {}).get("weights_sha256", ""))
    return f"2.25.{_uuid(study.identifiers.study_instance_uid, weights, what).int}"


def _uuid(*parts: str) -> Any:
    """Return an identifier that the same parts give again."""
    import uuid

    return uuid.uuid5(uuid.NAMESPACE_OID, "\n".join(parts))
