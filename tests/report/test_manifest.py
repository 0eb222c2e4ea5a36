"""result.json holds everything, is strict JSON, and comes back as the same grades."""

import json

import numpy as np
import pytest

from tests.report.made_up import make_grades, recesses
from volspine.errors import TableError
from volspine.grades import RESEARCH_USE, StudyGrades
from volspine.report.manifest import (
    SCHEMA,
    grades_from_manifest,
    manifest,
    manifest_text,
    notices,
    read_manifest,
)


def test_the_manifest_comes_back_as_the_same_grades():
    points = np.full((25, 3), np.nan)
    points[3] = [1.0, 2.0, 3.0]
    grades = make_grades(points=points, imputed=recesses())
    again = grades_from_manifest(json.loads(manifest_text(grades)))
    assert manifest(again) == manifest(grades)
    assert np.array_equal(again.points_mm, grades.points_mm, equal_nan=True)


def test_a_refused_study_comes_back():
    again = grades_from_manifest(json.loads(manifest_text(StudyGrades.refused("x", "a knee"))))
    assert (again.status, again.reason) == ("refused", "a knee")


def test_landmarks_are_a_place_or_null():
    points = np.full((25, 3), np.nan)
    points[0] = [1.0, 2.0, 3.0]
    places = manifest(make_grades(points=points))["landmarks_mm"]
    assert places["spinal_canal_stenosis_l1_l2"] == [1.0, 2.0, 3.0]
    assert places["spinal_canal_stenosis_l2_l3"] is None


def test_the_text_is_strict_json_without_nan():
    text = manifest_text(make_grades())
    assert "NaN" not in text
    assert json.loads(text)["schema"] == SCHEMA


def test_a_phantom_model_says_that_patients_are_not_its_business():
    lines = notices(make_grades())
    assert lines[0] == RESEARCH_USE
    assert lines[1] == "Trained on: 120 phantoms."
    assert "real patient are not valid" in lines[2]


def test_a_patient_model_does_not():
    model = {"trained_on": "patients", "phantom_only": False}
    assert len(notices(make_grades(provenance={"model": model}))) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "not a JSON object"),
        ('{"schema": 99, "grades": []}', "schema 99"),
        ('{"schema": 1, "grades": []}', "missing or unknown|lacks a field"),
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path, text, message):
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(TableError, match=message):
        read_manifest(path)
