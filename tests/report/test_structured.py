"""The structured report and the captures: right patient side, right place, right study."""

import io

import numpy as np
import pydicom
import pytest

from tests.report.made_up import axial_stack, make_grades, make_study, recesses
from volspine.anatomy import TARGETS
from volspine.dicom.study import Identifiers, Source
from volspine.errors import ConfigurationError
from volspine.grades import StudyGrades
from volspine.report.keyimages import key_images
from volspine.report.structured import secondary_captures, structured_report

pytest.importorskip("highdicom", reason="highdicom is not installed")
MR = "1.2.840.10008.5.1.4.1.1.4"
FRAME = "1.2.826.0.1.9"


@pytest.fixture(scope="module")
def study():
    made = make_study(axial_t2=axial_stack(np.random.default_rng(0).random((11, 21, 4))))
    (series,) = made.series
    series.uid, series.frame_of_reference = "1.2.3.1", FRAME
    series.instances = [[Source(f"{n}.dcm", n, f"1.2.3.1.{n}", MR) for n in range(4)]]
    made.identifiers = Identifiers("1.2.3", {"PatientName": "Doe^Jane", "PatientID": "P1"})
    return made


@pytest.fixture(scope="module")
def report(study):
    points = np.full((25, 3), np.nan)
    points[23] = [-12.0, 3.0, 5.5]  # The right recess at L4/L5, which is severe.
    grades = make_grades(points=points, imputed=np.arange(25) < 5)
    return pydicom.dcmread(io.BytesIO(structured_report(study, grades)))


def walk(items):
    for item in items:
        yield item
        yield from walk(item.get("ContentSequence", []))


def groups(report):
    found = {}
    for item in walk(report.ContentSequence):
        below = item.get("ContentSequence", [])
        for child in below:
            if child.ConceptNameCodeSequence[0].CodeMeaning == "Tracking Identifier":
                found[child.TextValue] = list(walk(below))
    return found


def test_it_is_of_the_studys_own_study_and_patient(report):
    assert report.SOPClassUID.name == "Comprehensive 3D SR Storage"
    assert report.StudyInstanceUID == "1.2.3"
    assert report.PatientID == "P1"
    assert report.SeriesInstanceUID not in {"1.2.3.1", "1.2.3"}


def test_every_target_has_a_group_with_its_own_side_and_grade(report):
    found = groups(report)
    assert set(found) == {target.name for target in TARGETS}
    for target in TARGETS:
        meanings = [
            item.ConceptCodeSequence[0].CodeMeaning
            for item in found[target.name]
            if "ConceptCodeSequence" in item
        ]
        assert target.level.label in meanings
        sides = {"Left", "Right"} & set(meanings)
        assert sides == ({target.side.value.capitalize()} if target.side else set())
        is_severe = target.name == "right_subarticular_stenosis_l4_l5"
        assert ("Severe" if is_severe else "Moderate") in meanings


def test_probabilities_and_places_are_those_of_the_grades(report):
    items = groups(report)["right_subarticular_stenosis_l4_l5"]
    values = [
        float(item.MeasuredValueSequence[0].NumericValue)
        for item in items
        if "MeasuredValueSequence" in item
    ]
    assert values == [0.05, 0.05, 0.9]
    points = [item for item in items if "GraphicData" in item]
    assert [list(point.GraphicData) for point in points] == [[-12.0, 3.0, 5.5]] * 3
    assert {point.ReferencedFrameOfReferenceUID for point in points} == {FRAME}
    elsewhere = groups(report)["left_subarticular_stenosis_l4_l5"]
    assert not any("GraphicData" in item for item in elsewhere)


def test_what_was_filled_in_says_so(report):
    def basis(name):
        return [
            item.ConceptCodeSequence[0].CodeMeaning
            for item in groups(report)[name]
            if item.ConceptNameCodeSequence[0].CodeMeaning == "Basis"
        ]

    assert basis("spinal_canal_stenosis_l1_l2") == ["Not measured; frequency in the training data"]
    assert basis("left_subarticular_stenosis_l1_l2") == []


def test_it_says_that_a_phantom_model_is_not_for_patients(report):
    texts = [item.TextValue for item in walk(report.ContentSequence) if "TextValue" in item]
    (comment,) = [text for text in texts if "Research use only" in text]
    assert "120 phantoms" in comment
    assert "not valid" in comment


def test_captures_are_of_the_study_with_their_directions(study):
    grades = make_grades(imputed=~recesses())
    images = key_images(study, grades)[:1]
    ((name, data),) = secondary_captures(study, grades, images)
    assert name == "sc_l1_l2_left_subarticular_stenosis.dcm"
    capture = pydicom.dcmread(io.BytesIO(data))
    assert capture.StudyInstanceUID == "1.2.3"
    # Axial: rows run to the patient's left, columns to the back.
    assert list(capture.PatientOrientation) == ["L", "P"]
    assert "not valid" in capture.ImageComments


def test_a_study_without_identifiers_gets_none():
    plain = make_study(axial_t2=axial_stack(np.zeros((11, 21, 4))))
    with pytest.raises(ConfigurationError, match="no DICOM identifiers"):
        structured_report(plain, make_grades())


def test_a_refused_study_gets_none(study):
    with pytest.raises(ConfigurationError, match="refused"):
        structured_report(study, StudyGrades.refused("x", "a knee"))
