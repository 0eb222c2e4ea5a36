"""The published schema of result.json: real results are valid, damaged ones are not."""

import copy
import json
from dataclasses import replace

import jsonschema
import nibabel as nib
import numpy as np
import pytest

from tests.inference.made_up import make_study
from tests.inference.made_up_levels import landmarks, level_predictor
from volspine.anatomy import LEVELS, TARGETS, Condition, Grade
from volspine.cli import main
from volspine.errors import ConfigurationError
from volspine.inference.predictor import Predictor
from volspine.inference.result_files import write_result
from volspine.report.manifest import SCHEMA, manifest_text
from volspine.report.table import GRADE_COLUMNS
from volspine.schemas import RESULT_VERSIONS, result_schema


@pytest.fixture(scope="module")
def validator():
    schema = result_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture(scope="module")
def predictor(tiny_bundle):
    return Predictor(tiny_bundle, device="cpu")


def data(graded):
    return json.loads(manifest_text(graded.grades))


@pytest.fixture(scope="module")
def result(predictor):
    return data(predictor.predict(make_study(name="x")))


def errors(validator, found):
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(found)]


def test_the_newest_schema_is_that_of_what_is_written():
    assert RESULT_VERSIONS[-1] == SCHEMA
    assert result_schema()["properties"]["schema"]["const"] == SCHEMA


def test_its_vocabulary_is_that_of_the_library():
    schema = result_schema()
    row = schema["$defs"]["grade"]["properties"]
    assert tuple(row) == GRADE_COLUMNS
    assert row["condition"]["enum"] == [condition.term for condition in Condition]
    assert row["level"]["enum"] == [level.value for level in LEVELS]
    assert row["grade"]["enum"] == [*(grade.label for grade in Grade), ""]
    assert schema["properties"]["landmarks_mm"]["required"] == [t.name for t in TARGETS]


def test_a_graded_study_is_valid(validator, result):
    assert result["status"] == "graded"
    assert errors(validator, result) == []


def test_a_partial_study_is_valid(validator, predictor):
    found = data(predictor.predict(make_study(protocols=("sagittal_t2",), name="x")))
    assert found["status"] == "partial"
    assert errors(validator, found) == []


def test_a_refused_study_is_valid(validator, predictor):
    found = data(predictor.predict(make_study(protocols=("other",), name="x")))
    assert found["status"] == "refused"
    assert errors(validator, found) == []


def test_a_study_of_level_mode_is_valid(validator, monkeypatch):
    graded = level_predictor(monkeypatch, landmarks(absent=(0, 7))).predict(make_study(name="x"))
    found = data(graded)
    assert {"landmarks", "crops"} <= set(found)
    assert found["landmarks_mm"][TARGETS[7].name] is None
    assert errors(validator, found) == []


def test_nifti_is_valid(validator, tiny_bundle, tmp_path):
    rng = np.random.default_rng(0)
    affine = np.array([[0, 0, 4.0, -20], [-1.0, 0, 0, 60], [0, -1.0, 0, 60], [0, 0, 0, 1]])
    path = tmp_path / "spine_t2.nii.gz"
    nib.save(nib.Nifti1Image(rng.random((120, 120, 10), dtype=np.float32), affine), path)
    out = ["--out", str(tmp_path / "out"), "--model", str(tiny_bundle), "--quiet"]
    wanted = ["--protocol", "sagittal_t2", "--format", "json"]
    assert main(["predict", str(path), *out, *wanted]) == 0
    (written,) = (tmp_path / "out").glob("*/result.json")
    found = json.loads(written.read_text(encoding="utf-8"))
    assert found["settings"]["protocol"] == "sagittal_t2"
    assert errors(validator, found) == []


def test_a_result_with_notes_and_faults_is_valid(validator, predictor, tmp_path):
    pytest.importorskip("highdicom", reason="highdicom is not installed")
    graded = predictor.predict(make_study(name="x"))
    fault = {"path": "a/1.dcm", "code": "VS-DCM-010", "reason": "cut short"}
    told = {**graded.grades.provenance, "faults": [fault], "repairs": ["s: mended"]}
    graded = replace(graded, grades=replace(graded.grades, provenance=told))
    folder = write_result(graded, tmp_path, ("json", "sr"))
    found = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert "notes" in found
    assert errors(validator, found) == []


def changed(found, *path, to):
    copied = copy.deepcopy(found)
    place = copied
    for key in path[:-1]:
        place = place[key]
    if to is None:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return copied


@pytest.mark.parametrize(
    ("path", "to"),
    [
        (("schema",), 2),
        (("status",), "done"),
        (("status",), "refused"),
        (("status",), "partial"),
        (("research_use",), "For diagnosis."),
        (("model",), None),
        (("model", "weights_sha256"), "none"),
        (("grades", 3), None),
        (("grades", 0, "grade"), "Mild"),
        (("grades", 0, "grade"), ""),
        (("grades", 0, "severe"), 1.5),
        (("grades", 0, "severe"), "0.5"),
        (("grades", 0, "imputed"), True),
        (("grades", 0, "x_mm"), None),
        (("landmarks_mm", "spinal_canal_stenosis_l1_l2"), [1.0, 2.0]),
        (("landmarks_mm", "spinal_canal_stenosis_t12_l1"), [1.0, 2.0, 3.0]),
        (("series", 0, "protocol"), "sagittal"),
    ],
    ids=str,
)
def test_a_damaged_result_is_not_valid(validator, result, path, to):
    assert errors(validator, changed(result, *path, to=to))


def test_there_is_no_schema_of_a_version_that_never_was():
    with pytest.raises(ConfigurationError, match="schema 99"):
        result_schema(99)


@pytest.mark.slow
def test_the_demos_result_is_valid_and_its_landmarks_open_in_slicer(validator, tmp_path):
    from tests.report.test_markups import SLICER

    assert main(["demo", "--out", str(tmp_path / "demo"), "--quiet"]) == 0
    (written,) = (tmp_path / "demo").glob("*/result.json")
    assert errors(validator, json.loads(written.read_text(encoding="utf-8"))) == []
    plain = json.loads((written.parent / "landmarks.mrk.json").read_text(encoding="utf-8"))
    jsonschema.validate(plain, SLICER)
    assert sum(len(each["controlPoints"]) for each in plain["markups"]) == len(TARGETS)
