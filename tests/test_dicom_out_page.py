"""The page on DICOM out: what it tells is true of a whole study, from files to a valid report."""

import shutil
import subprocess
import zipfile
from pathlib import Path

import pydicom
import pytest

from tests.report.test_dicom_validity import OUR_SCHEME
from volspine.anatomy import TARGETS
from volspine.cli import main
from volspine.phantom.cohort import generate
from volspine.report.codes import PRIVATE_TERMS

hd = pytest.importorskip("highdicom", reason="highdicom is not installed")
PAGE = Path(__file__).resolve().parent.parent / "docs/how-to/dicom-out.md"


def test_the_page_names_every_private_term_that_is_a_finding_or_a_number():
    text = " ".join(PAGE.read_text(encoding="utf-8").split()).replace("*of ", "*Probability of ")
    for value, meaning in PRIVATE_TERMS.items():
        assert f"*{meaning}*" in text or value in {"basis", "imputed"}, meaning


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A zip of a study with full headers, as an archive has it, and what is made of it."""
    folder = tmp_path_factory.mktemp("pacs")
    root = generate(folder / "root", studies=1, noise="none", size="small", header="full")
    (study,) = (root / "train_images").iterdir()
    (folder / "studies").mkdir()
    shutil.make_archive(str(folder / "studies" / "1"), "zip", study)
    told = ["predict", str(folder / "studies"), "--out", str(folder / "results"), "--quiet"]
    assert main([*told, "--format", "csv,json,html,sr,sc"]) == 0
    return folder


def written(home, pattern):
    return sorted((home / "results").glob(f"*/{pattern}"))


@pytest.mark.slow
def test_a_study_of_full_headers_gets_a_report_and_captures_in_its_own_study(home):
    with zipfile.ZipFile(home / "studies/1.zip") as archive:
        images = [
            pydicom.dcmread(archive.open(name), stop_before_pixels=True)
            for name in archive.namelist()
            if name.endswith(".dcm")
        ]
    (path,) = written(home, "sr.dcm")
    report = hd.sr.srread(path)
    groups = report.content.get_image_measurement_groups()
    assert {group.tracking_identifier for group in groups} == {t.name for t in TARGETS}
    known = {image.SOPInstanceUID for image in images}
    frames = {image.FrameOfReferenceUID for image in images}
    for group in groups:
        assert {i.referenced_sop_instance_uid for i in group.source_images} <= known
        for measurement in group.get_measurements():
            for point in measurement.referenced_coordinates:
                assert {point.frame_of_reference_uid} <= frames
    captures = [pydicom.dcmread(path) for path in written(home, "sc_*.dcm")]
    assert captures
    for made in (report, *captures):
        assert made.StudyInstanceUID == images[0].StudyInstanceUID
        assert made.PatientID == images[0].PatientID
        assert made.PatientAge == images[0].PatientAge
        assert made.SOPInstanceUID not in known
    assert {c.SourceImageSequence[0].ReferencedSOPInstanceUID for c in captures} <= known


@pytest.mark.slow
def test_left_in_the_report_lies_to_the_left_in_the_patient(home):
    (path,) = written(home, "sr.dcm")
    points = {}
    for group in hd.sr.srread(path).content.get_image_measurement_groups():
        (site,) = group.finding_sites
        found = group.get_measurements()[0].referenced_coordinates
        if site.laterality is not None and found:
            key = (site.value.value, site.topographical_modifier.value)
            points.setdefault(key, {})[site.laterality.meaning] = found[0].value[0]
    both = [each for each in points.values() if len(each) == 2]
    assert both
    for each in both:
        assert each["Left"][0] > each["Right"][0]


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("dciodvfy") is None,
    reason="dciodvfy is not on the PATH; Debian has it in dicom3tools",
)
def test_the_verifier_finds_no_error_in_any_of_them(home):
    for path in [*written(home, "sr.dcm"), *written(home, "sc_*.dcm")]:
        said = subprocess.run(
            ["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False
        )
        lines = (said.stdout + said.stderr).splitlines()
        assert [x for x in lines if x.startswith(("Error", "Warn")) and OUR_SCHEME not in x] == []


@pytest.mark.slow
def test_a_study_fetched_again_is_graded_without_its_report_and_captures(home, tmp_path):
    again = shutil.copy(home / "studies/1.zip", tmp_path / "again.zip")
    with zipfile.ZipFile(again, "a") as archive:
        for number, path in enumerate([*written(home, "sr.dcm"), *written(home, "sc_*.dcm")]):
            archive.write(path, f"DOE JANE/OT{number:06}.dcm")
    out = tmp_path / "out"
    assert main(["predict", str(again), "--out", str(out), "--format", "csv,json", "--quiet"]) == 0
    (first,) = written(home, "grades.csv")
    (second,) = out.glob("*/grades.csv")
    assert second.read_bytes() == first.read_bytes()
    assert "DOE" not in (second.parent / "result.json").read_text(encoding="utf-8")
