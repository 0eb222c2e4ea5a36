"""Secondary captures: the pictures in the study, with their sides, sources and warnings."""

import io

import numpy as np
import pydicom
import pytest
from PIL import Image

from tests.report.made_up import make_dicom_study, make_grades, make_study, recesses, sagittal_stack
from volspine.anatomy import TARGETS
from volspine.errors import ConfigurationError
from volspine.report.captures import secondary_captures
from volspine.report.keyimages import key_images
from volspine.report.structured import structured_report

pytest.importorskip("highdicom", reason="highdicom is not installed")


@pytest.fixture(scope="module")
def study():
    return make_dicom_study()


@pytest.fixture(scope="module")
def grades():
    points = np.full((25, 3), np.nan)
    points[recesses()] = [-9.0, -15.0, -1.0]
    return make_grades(points=points)


@pytest.fixture(scope="module")
def pictures(study, grades):
    return [p for p in key_images(study, grades) if p.target.name.endswith("l4_l5")]


@pytest.fixture(scope="module")
def captures(study, grades, pictures):
    found = dict(secondary_captures(study, grades, pictures))
    return {name: pydicom.dcmread(io.BytesIO(data)) for name, data in found.items()}


RECESS = "sc_l4_l5_right_subarticular_stenosis.dcm"
FORAMEN = "sc_l4_l5_left_neural_foraminal_narrowing.dcm"


def test_there_is_one_for_each_picture_in_the_studys_own_study(captures):
    names = {f"sc_l4_l5_{t.condition.term}.dcm" for t in TARGETS if t.level.value == "l4_l5"}
    assert set(captures) == names
    assert {c.StudyInstanceUID for c in captures.values()} == {"1.2.3"}
    assert {c.PatientID for c in captures.values()} == {"P1"}
    assert len({c.SeriesInstanceUID for c in captures.values()}) == 1
    assert len({c.SOPInstanceUID for c in captures.values()}) == len(captures)


def test_their_series_is_not_that_of_the_report(study, grades, captures):
    report = pydicom.dcmread(io.BytesIO(structured_report(study, grades)))
    assert report.SeriesInstanceUID != captures[RECESS].SeriesInstanceUID
    assert report.SeriesNumber != captures[RECESS].SeriesNumber


def test_they_are_the_pictures_themselves_side_marks_burned_in(captures, pictures):
    (picture,) = [p for p in pictures if p.target.condition.term.startswith("right_sub")]
    with Image.open(io.BytesIO(picture.png)) as image:
        wanted = np.asarray(image.convert("RGB"))
    shown = captures[RECESS].pixel_array
    assert np.array_equal(shown[: len(wanted)], wanted)
    below = shown[len(wanted) :]
    assert below.shape[0] >= 16
    assert (below > 128).mean() > 0.02  # Research use only, in white.
    assert picture.edges[:2] == ("R", "L")


def test_their_header_says_what_lies_to_the_right_and_below(captures):
    # Axial: rows run to the patient's left, columns to the back.
    assert list(captures[RECESS].PatientOrientation) == ["L", "P"]
    # Sagittal: rows run to the back, columns to the feet.
    assert list(captures[FORAMEN].PatientOrientation) == ["P", "F"]


def test_they_refer_to_the_slice_that_is_shown(captures):
    (source,) = captures[RECESS].SourceImageSequence
    assert source.ReferencedSOPInstanceUID == "1.2.3.1.1"  # Axial, at z = -2.


def test_they_say_what_they_show_and_that_it_is_research(captures):
    comment = captures[RECESS].ImageComments
    assert comment.startswith("Right subarticular stenosis L4/L5: Severe")
    assert "Research use only" in comment
    assert "not valid" in comment
    assert "research use only" in captures[RECESS].SeriesDescription


def test_they_claim_no_burned_in_identity(captures):
    assert {c.BurnedInAnnotation for c in captures.values()} == {"NO"}


def test_a_study_that_is_not_dicom_gets_none():
    plain = make_study(sagittal_t1=sagittal_stack(np.zeros((20, 24, 6))))
    with pytest.raises(ConfigurationError, match="no DICOM identifiers"):
        list(secondary_captures(plain, make_grades(), []))
