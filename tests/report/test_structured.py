"""The structured report: right patient side, right place, right images, right study."""

import io

import numpy as np
import pydicom
import pytest

from tests.report.made_up import FRAME, MR, make_dicom_study, make_grades, make_study
from tests.report.made_up import axial_stack as axial
from volspine.anatomy import TARGETS, Grade, Level, Side
from volspine.dicom.study import Source
from volspine.errors import ConfigurationError
from volspine.grades import StudyGrades
from volspine.report.codes import PRIVATE_TERMS, SCHEME, grade_code
from volspine.report.evidence import identify, source_images
from volspine.report.structured import series_uid, structured_report

hd = pytest.importorskip("highdicom", reason="highdicom is not installed")
RIGHT_RECESS = 23  # At L4/L5; severe.
POINT = [-9.0, -15.0, -1.0]  # On the second axial slice and the first sagittal ones.


@pytest.fixture(scope="module")
def study():
    return make_dicom_study()


@pytest.fixture(scope="module")
def grades():
    points = np.full((25, 3), np.nan)
    points[RIGHT_RECESS] = POINT
    return make_grades(points=points, imputed=np.arange(25) < 5)


@pytest.fixture(scope="module")
def file(study, grades):
    return structured_report(study, grades)


@pytest.fixture(scope="module")
def report(file):
    return pydicom.dcmread(io.BytesIO(file))


@pytest.fixture(scope="module")
def groups(file):
    """The measurement groups by target, as highdicom reads them."""
    document = hd.sr.srread(io.BytesIO(file))
    found = document.content.get_image_measurement_groups()
    return {group.tracking_identifier: group for group in found}


def walk(items):
    for item in items:
        yield item
        yield from walk(item.get("ContentSequence", []))


def names(document):
    items = [*walk(document.ContentSequence)]
    for keyword in ("ConceptNameCodeSequence", "ConceptCodeSequence"):
        yield from (code for item in items for code in item.get(keyword, []))


def evaluation(group, name):
    found = [e for e in group.get_qualitative_evaluations() if e.name.meaning == name]
    return [e.value.meaning for e in found]


def test_it_is_of_the_studys_own_study_and_patient(report):
    assert report.SOPClassUID.name == "Comprehensive 3D SR Storage"
    assert report.StudyInstanceUID == "1.2.3"
    assert (report.PatientID, report.PatientName) == ("P1", "Doe^Jane")
    assert report.Modality == "SR"
    template = report.ContentTemplateSequence[0]
    assert (template.MappingResource, template.TemplateIdentifier) == ("DCMR", "1500")


def test_its_uids_are_new_and_the_same_for_the_same_result(study, grades, report):
    used = {"1.2.3", FRAME, *(series.uid for series in study.series)}
    assert not {report.SeriesInstanceUID, report.SOPInstanceUID} & used
    assert series_uid(study, grades, "report") == report.SeriesInstanceUID
    assert series_uid(study, make_grades(), "report") != report.SeriesInstanceUID
    assert series_uid(study, grades, "captures") != report.SeriesInstanceUID


def test_every_target_has_a_group_with_its_site_level_and_side(groups):
    assert set(groups) == {target.name for target in TARGETS}
    structures = {"spinal": "Vertebral canal", "neural": "Neural foramen", "sub": "Subarticular"}
    for target in TARGETS:
        (site,) = groups[target.name].finding_sites
        (structure,) = (s for part, s in structures.items() if target.finding.term.startswith(part))
        assert site.value.meaning.startswith(structure)
        assert target.level.label in site.topographical_modifier.meaning
        side = None if site.laterality is None else site.laterality.meaning.lower()
        assert side == target.side


def test_sides_and_levels_have_the_codes_of_the_standard(groups):
    (site,) = groups["left_subarticular_stenosis_l5_s1"].finding_sites
    assert (site.laterality.value, site.laterality.scheme_designator) == ("7771000", "SCT")
    assert site.topographical_modifier.value == "243927000"  # Level of L5/S1.
    (site,) = groups["right_neural_foraminal_narrowing_l1_l2"].finding_sites
    assert site.laterality.value == "24028007"
    assert site.topographical_modifier.value == "243920003"  # Level of L1/L2.


def test_severities_are_those_of_the_grades(groups):
    for target in TARGETS:
        wanted = "Severe" if target.index == RIGHT_RECESS else "Moderate"
        assert evaluation(groups[target.name], "Severity") == [wanted]


def test_each_grade_has_its_own_severity():
    meanings = [grade_code(grade).meaning for grade in Grade]
    assert meanings == ["Normal/Mild", "Moderate", "Severe"]
    assert [grade_code(grade).scheme_designator for grade in Grade] == [SCHEME, "SCT", "SCT"]


def test_probabilities_and_places_are_those_of_the_grades(groups):
    measured = groups[TARGETS[RIGHT_RECESS].name].get_measurements()
    found = {m.name.meaning: m.value for m in measured}
    assert found == {
        "Probability of Normal/Mild": 0.05,
        "Probability of Moderate": 0.05,
        "Probability of Severe": 0.9,
    }
    for measurement in measured:
        (point,) = measurement.referenced_coordinates
        assert point.value.tolist() == [POINT]
        assert point.frame_of_reference_uid == FRAME
    elsewhere = groups["left_subarticular_stenosis_l4_l5"].get_measurements()
    assert not any(m.referenced_coordinates for m in elsewhere)


def test_the_frame_is_the_one_that_was_graded_when_a_series_lies_in_another(grades):
    study = make_dicom_study()
    study.series[2].frame_of_reference = "1.2.826.0.1.777"
    document = pydicom.dcmread(io.BytesIO(structured_report(study, grades)))
    points = [item for item in walk(document.ContentSequence) if "GraphicData" in item]
    assert {point.ReferencedFrameOfReferenceUID for point in points} == {FRAME}
    (referenced,) = document.CurrentRequestedProcedureEvidenceSequence
    series = {each.SeriesInstanceUID for each in referenced.ReferencedSeriesSequence}
    assert series == {"1.2.3.1", "1.2.3.2"}


def test_source_images_are_the_slices_that_the_point_lies_in(groups):
    images = groups[TARGETS[RIGHT_RECESS].name].source_images
    found = [image.referenced_sop_instance_uid for image in images]
    # Axial slices at z = -6, -2, 2 and 6; sagittal ones at x = -10, -6 and so on.
    assert found == ["1.2.3.1.1", "1.2.3.2.0", "1.2.3.3.0"]


def test_what_was_not_located_refers_to_its_views_and_what_was_filled_in_to_none(groups):
    foramen = groups["left_neural_foraminal_narrowing_l3_l4"].source_images
    assert [i.referenced_sop_instance_uid for i in foramen] == [f"1.2.3.2.{k}" for k in range(6)]
    assert groups["spinal_canal_stenosis_l1_l2"].source_images == []


def test_a_point_off_every_slice_has_no_source():
    points = np.full((25, 3), 500.0)
    assert source_images(make_dicom_study(), make_grades(points=points), RIGHT_RECESS) == []


def test_a_frame_of_a_file_of_many_is_named(grades):
    study = make_dicom_study()
    axials = study.series[0]
    axials.instances = [[Source("a.dcm", 1, "1.2.3.1.9", MR, k + 1) for k in range(4)]]
    first = source_images(study, grades, RIGHT_RECESS)[0]
    assert (first.sop_instance_uid, first.frame_number) == ("1.2.3.1.9", 2)


def test_the_evidence_lists_every_graded_image_once(report):
    (referenced,) = report.CurrentRequestedProcedureEvidenceSequence
    assert referenced.StudyInstanceUID == "1.2.3"
    images = [
        image.ReferencedSOPInstanceUID
        for series in referenced.ReferencedSeriesSequence
        for image in series.ReferencedSOPSequence
    ]
    assert sorted(images) == sorted({*images})
    assert len(images) == 4 + 6 + 6


def test_the_algorithm_is_named_with_its_weights(report):
    texts = {item.TextValue for item in walk(report.ContentSequence) if "TextValue" in item}
    assert {"volspine", "weights sha256: " + "ab" * 32, "trained on: 120 phantoms"} <= texts


def test_what_was_filled_in_says_so(groups):
    wanted = ["Not measured; frequency in the training data"]
    assert evaluation(groups["spinal_canal_stenosis_l1_l2"], "Basis") == wanted
    assert evaluation(groups["left_subarticular_stenosis_l1_l2"], "Basis") == []


def test_it_says_that_a_phantom_model_is_not_for_patients(report):
    texts = [item.TextValue for item in walk(report.ContentSequence) if "TextValue" in item]
    (comment,) = [text for text in texts if "Research use only" in text]
    assert "120 phantoms" in comment
    assert "not valid" in comment


def test_private_terms_are_declared_and_within_the_length_of_a_code(report):
    used = {c.CodeValue: c.CodeMeaning for c in names(report) if c.CodingSchemeDesignator == SCHEME}
    assert used.items() <= PRIVATE_TERMS.items()
    assert all(len(value) <= 16 for value in PRIVATE_TERMS)
    (scheme,) = report.CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == SCHEME


def test_the_mirrored_patient_has_the_mirrored_report(study, grades):
    document = hd.sr.srread(io.BytesIO(structured_report(study, grades.mirrored())))
    severe = [
        group.finding_sites[0]
        for group in document.content.get_image_measurement_groups()
        if evaluation(group, "Severity") == ["Severe"]
    ]
    assert [site.laterality.meaning for site in severe] == [Side.LEFT.capitalize()]
    assert Level.L4_L5.label in severe[0].topographical_modifier.meaning


def identified(**attributes):
    """What comes back of the identifiers of a study."""
    dataset = pydicom.Dataset()
    identify(dataset, make_dicom_study(**attributes))
    dataset.SOPClassUID, dataset.SOPInstanceUID = MR, "1.2.3.4"
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return pydicom.dcmread(io.BytesIO(stream.getvalue()))


@pytest.mark.parametrize("name", ["Müller^Jörg", "山田^太郎", "Doe^Jane^^Dr"])
def test_a_name_of_any_script_comes_back(name):
    assert identified(PatientName=name).PatientName == name


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientBirthDate", "1953 odd"),
        ("PatientSex", "unknown"),
        ("PatientID", "x" * 65),
        ("StudyTime", "noon"),
    ],
)
def test_what_dicom_does_not_allow_is_left_empty_and_never_quoted(keyword, value, caplog):
    assert not identified(**{keyword: value})[keyword].value
    assert value not in caplog.text


def test_issuer_age_and_description_are_repeated_where_known(report):
    found = identified(PatientAge="042Y", IssuerOfPatientID="H1", StudyDescription="L spine")
    assert (found.PatientAge, found.IssuerOfPatientID) == ("042Y", "H1")
    assert found.StudyDescription == "L spine"
    assert "PatientAge" not in report


def test_an_odd_name_reaches_no_log_of_the_whole_report(grades, caplog):
    structured_report(make_dicom_study(PatientName="Canary"), grades)
    assert "canary" not in caplog.text.lower()


@pytest.mark.parametrize("uid", ["", "../../../etc", "1.2." + "3" * 64])
def test_a_study_without_a_uid_gets_none(uid):
    study = make_dicom_study()
    study.identifiers = type(study.identifiers)(uid, {"PatientID": "P1"})
    with pytest.raises(ConfigurationError, match="no DICOM identifiers"):
        structured_report(study, make_grades())


def test_a_study_that_is_not_dicom_gets_none():
    plain = make_study(axial_t2=axial(np.zeros((11, 21, 4))))
    with pytest.raises(ConfigurationError, match="no DICOM identifiers"):
        structured_report(plain, make_grades())


def test_a_refused_study_gets_none(study):
    with pytest.raises(ConfigurationError, match="refused"):
        structured_report(study, StudyGrades.refused("x", "a knee"))
