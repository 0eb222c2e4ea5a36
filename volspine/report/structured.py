"""Grades as DICOM: a Comprehensive 3D SR in the study's own Study Instance UID (TID 1500).

One measurement group (TID 1501) a target: its name as tracking identifier, what was found and
where in the body (`report.codes`), how severe it is, the three probabilities as measurements, each
with the point it was measured at as SCOORD3D (LPS millimetres in the frame of reference of the
images), the images, and the algorithm with its weights. What was filled in says so and has
no image. What every output says about research use is a comment of the report.

A structured report belongs to a patient, so unlike every other output it repeats the identifiers
of the study.
"""

import io
from types import ModuleType
from typing import Any

import numpy as np

from volspine import __version__
from volspine._optional import require
from volspine.anatomy import TARGETS, Grade
from volspine.dicom.study import Source, Study
from volspine.grades import StudyGrades
from volspine.report.codes import (
    SCHEME,
    grade_code,
    level_code,
    private_code,
    probability_code,
    side_code,
    site_code,
)
from volspine.report.evidence import evidence, identify, new_uid, source_images, unlogged
from volspine.report.manifest import notices
from volspine.volume.frames import chosen_frame

__all__ = ["SERIES_NUMBER", "require_highdicom", "series_uid", "structured_report"]

SERIES_NUMBER = 9001
"""Of the report; its pictures are in the next series. Scanners count from 1."""


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
    images = evidence(study, grades)
    with unlogged():
        document = _document(hd, study, grades, images)
    document.CodingSchemeIdentificationSequence = [_scheme()]
    identify(document, study)
    stream = io.BytesIO()
    document.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def require_highdicom() -> ModuleType:
    """Return highdicom.

    Raises:
        MissingExtraError: If it is not installed.
    """
    return require("highdicom", extra="sr", purpose="a structured report")


def series_uid(study: Study, grades: StudyGrades, what: str) -> str:
    """Return the UID of a series that is written: the same result gives the same one again."""
    digest = _digest(grades)
    return new_uid(study.identifiers.study_instance_uid, __version__, *digest, what)


def _document(hd: ModuleType, study: Study, grades: StudyGrades, images: list[Any]) -> Any:
    """Return the report without identifiers."""
    from pydicom.sr.codedict import codes

    report = hd.sr.MeasurementReport(
        observation_context=_observer(hd, study),
        procedure_reported=codes.LN.MRIUnspecifiedBodyRegion,
        imaging_measurements=[_group(hd, study, grades, t) for t in range(len(TARGETS))],
    )
    report[0].ContentSequence.append(_comment(hd, " ".join(notices(grades))))
    return hd.sr.Comprehensive3DSR(
        evidence=images,
        content=report[0],
        series_number=SERIES_NUMBER,
        series_instance_uid=series_uid(study, grades, "report"),
        sop_instance_uid=new_uid(series_uid(study, grades, "report"), "1"),
        instance_number=1,
        manufacturer="volspine",
        manufacturer_model_name="volspine",
        software_versions=__version__,
        is_complete=True,
        series_description="volspine grades: research use only",
    )


def _digest(grades: StudyGrades) -> tuple[str, ...]:
    """Return what tells results of one study apart: the model, and what it said."""
    model = grades.provenance.get("model", {})
    numbers = np.nan_to_num(np.hstack([grades.probabilities, grades.points_mm]), nan=-1e6)
    return str(model.get("weights_sha256", "")), numbers.round(6).tobytes().hex()


def _observer(hd: ModuleType, study: Study) -> Any:
    from pydicom.sr.codedict import codes

    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=new_uid("device", __version__, study.identifiers.study_instance_uid),
        name="volspine",
        manufacturer_name="volspine",
        model_name=__version__,
    )
    return hd.sr.ObservationContext(
        observer_device_context=hd.sr.ObserverContext(codes.DCM.Device, device)
    )


def _group(hd: ModuleType, study: Study, grades: StudyGrades, t: int) -> Any:
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    target, grade = TARGETS[t], grades.grades[t]
    if grade is None:  # Only a refused study has none, and it gets no report.
        raise AssertionError(target.name)
    severity = Code("246112005", "SCT", "Severity")
    evaluations = [hd.sr.QualitativeEvaluation(severity, grade_code(grade))]
    if grades.imputed[t]:
        basis = hd.sr.QualitativeEvaluation(private_code("basis"), private_code("imputed"))
        evaluations.append(basis)
    return hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(
            identifier=target.name, uid=new_uid(series_uid(study, grades, "group"), target.name)
        ),
        finding_type=Code(codes.SCT.Stenosis.value, "SCT", "Stenosis"),
        finding_sites=[
            hd.sr.FindingSite(
                anatomic_location=site_code(target),
                laterality=side_code(target.side),
                topographical_modifier=level_code(target.level),
            )
        ],
        algorithm_id=_algorithm(hd, grades),
        measurements=[_probability(hd, study, grades, t, each) for each in Grade],
        qualitative_evaluations=evaluations,
        source_images=[_source(hd, source) for source in source_images(study, grades, t)],
    )


def _algorithm(hd: ModuleType, grades: StudyGrades) -> Any:
    model = grades.provenance.get("model", {})
    told = {
        "model": model.get("name", ""),
        "weights sha256": model.get("weights_sha256", ""),
        "trained on": model.get("trained_on", ""),
    }
    return hd.sr.AlgorithmIdentification(
        name="volspine",
        version=__version__,
        parameters=[f"{name}: {value}" for name, value in told.items() if value],
    )


def _probability(hd: ModuleType, study: Study, grades: StudyGrades, t: int, grade: Grade) -> Any:
    from pydicom.sr.codedict import codes

    point, frame = grades.points_mm[t], chosen_frame(study)
    coordinates = None
    if frame and np.isfinite(point).all():
        coordinates = [
            hd.sr.CoordinatesForMeasurement3D(
                graphic_type=hd.sr.GraphicTypeValues3D.POINT,
                graphic_data=point[None],
                frame_of_reference_uid=frame,
            )
        ]
    return hd.sr.Measurement(
        name=probability_code(grade),
        value=round(float(grades.probabilities[t, grade]), 6),
        unit=codes.UCUM.NoUnits,
        referenced_coordinates=coordinates,
    )


def _source(hd: ModuleType, source: Source) -> Any:
    frame = source.frame_number
    return hd.sr.SourceImageForMeasurementGroup(
        source.sop_class_uid, source.sop_instance_uid, None if frame is None else [frame]
    )


def _scheme() -> Any:
    """Return what says whose the private codes are."""
    from pydicom.dataset import Dataset

    scheme = Dataset()
    scheme.CodingSchemeDesignator = SCHEME
    scheme.CodingSchemeName = "volspine, terms that no DICOM context group has"
    scheme.CodingSchemeVersion = "1"
    scheme.CodingSchemeResponsibleOrganization = "volspine"
    return scheme


def _comment(hd: ModuleType, text: str) -> Any:
    from pydicom.sr.codedict import codes

    return hd.sr.TextContentItem(
        name=codes.DCM.Comment, value=text, relationship_type=hd.sr.RelationshipTypeValues.CONTAINS
    )
