"""Oracle: dciodvfy of dicom3tools finds no error in what we write as DICOM."""

import io
import shutil
import subprocess

import pydicom
import pytest

from tests.report.made_up import make_dicom_study, make_grades
from volspine.report.captures import secondary_captures
from volspine.report.keyimages import key_images
from volspine.report.structured import structured_report

pytest.importorskip("highdicom", reason="highdicom is not installed")
VERIFIER = shutil.which("dciodvfy")
pytestmark = pytest.mark.skipif(
    VERIFIER is None, reason="dciodvfy is not on the PATH; Debian has it in dicom3tools"
)
OUR_SCHEME = "Unrecognized defined term = <99VOLSPINE>"
"""The one remark that stays: private codes are not among the schemes that the tool knows."""


def remarks(data, path, kind):
    path.write_bytes(data)
    said = subprocess.run(
        [VERIFIER, "-new", str(path)], capture_output=True, text=True, check=False, timeout=60
    )
    lines = (said.stdout + said.stderr).splitlines()
    assert kind in lines  # It knew what the file is.
    return [line for line in lines if OUR_SCHEME not in line and line != kind]


@pytest.fixture(scope="module")
def report():
    return structured_report(make_dicom_study(StudyID="1", StudyTime="120000"), make_grades())


def test_the_report_has_no_error_and_no_warning(report, tmp_path):
    assert remarks(report, tmp_path / "sr.dcm", "Comprehensive3DSR") == []


def test_a_capture_has_no_error_and_no_warning(tmp_path):
    study, grades = make_dicom_study(StudyID="1", StudyTime="120000"), make_grades()
    captures = secondary_captures(study, grades, key_images(study, grades)[:1])
    for name, data in captures:
        assert remarks(data, tmp_path / name, "SCImage") == []


def test_the_verifier_does_find_errors(report, tmp_path):
    broken = pydicom.dcmread(io.BytesIO(report))
    del broken.CompletionFlag
    stream = io.BytesIO()
    broken.save_as(stream)
    found = remarks(stream.getvalue(), tmp_path / "sr.dcm", "Comprehensive3DSR")
    assert any("CompletionFlag" in line and line.startswith("Error") for line in found)
