"""`volspine view` as a user meets it."""

import io
import json
import subprocess
import sys

import nibabel
import numpy as np
import pytest
from PIL import Image

from volspine.anatomy import TARGETS
from volspine.cli import main
from volspine.grades import StudyGrades
from volspine.report.manifest import manifest_text


@pytest.fixture(scope="module")
def nifti(tmp_path_factory):
    """A body of 40 x 90 x 80 mm with a bright spot high on the patient's left, in NIfTI's frame."""
    voxels = np.zeros((24, 60, 60), np.float32)
    voxels[4:20, 8:52, 5:55] = 300
    voxels[4:8, 20:30, 40:48] = 900  # Low first index: left, since the index grows to the right.
    path = tmp_path_factory.mktemp("nifti") / "body_t2.nii.gz"
    affine = np.diag([2.5, 2.0, 1.6, 1.0])
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    return path


@pytest.fixture
def result(tmp_path):
    probabilities = np.tile([0.1, 0.2, 0.7], (25, 1))
    points = np.tile([-25.0, -60.0, 50.0], (25, 1))
    grades = StudyGrades(
        name="x",
        probabilities=probabilities,
        imputed=np.zeros(25, np.bool_),
        reasons=("",) * 25,
        points_mm=points,
        status="graded",
        provenance={"model": {"trained_on": "120 phantoms", "phantom_only": True}},
    )
    path = tmp_path / "result.json"
    path.write_text(manifest_text(grades))
    return path


def view(nifti, *arguments):
    return main(["view", str(nifti), "--protocol", "sagittal_t2", *map(str, arguments)])


@pytest.mark.parametrize("mode", ["voxels", "points", "slices"])
def test_every_mode_saves_a_picture_without_a_display(nifti, tmp_path, mode):
    path = tmp_path / "out" / "view.png"
    assert view(nifti, "--mode", mode, "--save", path, "--renderer", "software") == 0
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("L"))
    assert min(pixels.shape) > 400
    assert (pixels > 120).mean() > 0.01


@pytest.mark.parametrize("mode", ["voxels", "points", "slices"])
def test_every_mode_saves_a_page_with_grades_and_notices(nifti, tmp_path, result, mode):
    path = tmp_path / "view.html"
    assert view(nifti, "--mode", mode, "--save", path, "--grades", result) == 0
    page = path.read_text()
    assert page.startswith("<!doctype html>")
    if mode != "slices":
        assert "its grades of a real patient are not valid" in page
        assert '"label": "Spinal canal stenosis L1/L2: Severe"' in page


def test_a_ply_of_points_holds_every_voxel_of_the_body(nifti, tmp_path):
    path = tmp_path / "view.ply"
    assert view(nifti, "--mode", "points", "--save", path) == 0
    header = path.read_bytes()[:400]
    count = int(header.split(b"element vertex ")[1].split(b"\n")[0])
    assert count == pytest.approx(16 * 44 * 50, rel=0.15)


def test_a_phantoms_truth_can_be_drawn_in(nifti, tmp_path):
    truth = tmp_path / "1.json"
    truth.write_text(
        json.dumps(
            {
                "grades": {target.name: 1 for target in TARGETS},
                "landmarks_mm": {target.name: [-25.0, -60.0, 50.0] for target in TARGETS},
            }
        )
    )
    path = tmp_path / "view.html"
    assert view(nifti, "--save", path, "--grades", truth) == 0
    assert "truth of a synthetic study" in path.read_text()


def test_without_display_and_file_it_fails_in_one_line_with_a_remedy(nifti, monkeypatch, capsys):
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert view(nifti) == 2
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1
    assert "there is no display" in said
    assert "--save view.png" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--save", "x.jpg"], "cannot write '.jpg'"),
        (["--save", "x"], "cannot write 'a name without ending'"),
        (["--threshold", "1.5", "--save", "x.ply"], "a threshold of 1.5 is no part"),
        (["--threshold", "-0.1", "--save", "x.ply"], "a threshold of -0.1 is no part"),
    ],
)
def test_what_cannot_be_saved_is_refused_before_reading(arguments, message, capsys):
    assert main(["view", "no_such_study", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_result_that_is_none_is_refused(nifti, tmp_path, capsys):
    bad = tmp_path / "result.json"
    bad.write_text("{")
    assert view(nifti, "--save", tmp_path / "x.png", "--grades", bad) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_a_missing_study_is_one_line(capsys):
    assert main(["view", "no_such_study", "--save", "x.png"]) == 4
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_help_loads_no_graphics():
    code = "import sys; from volspine.cli import main; main(['view', '--help']); "
    code += "sys.exit(any(m in sys.modules for m in ('numpy', 'open3d', 'matplotlib', 'torch')))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode
        == 0
    )


def test_the_real_volume_is_upright_with_its_right_side_marked(testdata, tmp_path, monkeypatch):
    """The spine and the fat of the back are bright: on the right of the sagittal pane."""
    from volspine.viewer import slices

    panes = {}
    plain = slices.pane

    def recorded(*arguments, **options):
        panes[options["plane"]] = plain(*arguments, **options)
        return panes[options["plane"]]

    monkeypatch.setattr(slices, "pane", recorded)
    volume = testdata / "sct_t2_lumbar" / "t2_lumbar.nii.gz"
    path = tmp_path / "real.png"
    assert view(volume, "--mode", "slices", "--save", path) == 0
    assert panes["sagittal"].edges == ("A", "P", "S", "I")
    assert panes["coronal"].edges == ("R", "L", "S", "I")
    assert panes["axial"].edges == ("R", "L", "A", "P")
    sagittal = panes["sagittal"].pixels[..., 0].astype(float)
    columns = sagittal.shape[1]
    assert sagittal[:, columns // 2 :].mean() > 1.3 * sagittal[:, : columns // 2].mean()
    # The sac narrows and ends downwards; upright, the bright column is in the upper half.
    back = sagittal[:, int(columns * 0.6) : int(columns * 0.85)]
    rows = back.shape[0]
    assert (back[: rows // 2] > 200).mean() > (back[rows // 2 :] > 200).mean()
    assert Image.open(io.BytesIO(path.read_bytes())).size[0] > 800
