"""`volspine scan`: everything under a path, described or explained."""

import json
import os
import subprocess
import sys

import pytest

from tests.dicom.series_factory import AXIAL, SERIES, STUDY, in_series, save_all, series
from volspine.cli import main


@pytest.fixture
def rubbish(tmp_path):
    """Two studies in one folder, one that fails in another, and files of no study."""
    root = tmp_path / "rubbish"
    other = in_series(series(4, cosines=AXIAL), SERIES + ".5")
    for ds in other:
        ds.StudyInstanceUID = STUDY + ".5"
    save_all([*series(5), *other], root / "mixed")
    few = series(2)
    for ds in few:
        ds.StudyInstanceUID = STUDY + ".6"
    save_all(few, root / "few")
    (root / "notes.txt").write_text("nothing to see")
    return root


def scanned(capsys, *arguments):
    code = main(["scan", *map(str, arguments)])
    return code, capsys.readouterr().out


def test_a_disorderly_folder_is_described_study_by_study(rubbish, capsys):
    code, out = scanned(capsys, rubbish, "--json")
    report = json.loads(out)
    assert code == 3
    assert [(s["path"], bool(s["error"])) for s in report["studies"]] == [
        ("few", True),
        ("mixed", False),
        ("mixed", False),
    ]
    assert sorted(s["series"][0]["stacks"][0]["shape"][2] for s in report["studies"][1:]) == [4, 5]
    assert report["studies"][0]["error"]["code"] == "VS-SER-001"
    assert [fault["path"] for fault in report["other_files"]] == ["notes.txt"]


def test_the_table_shows_series_reasons_and_faults(rubbish, capsys):
    code, out = scanned(capsys, rubbish)
    flat = " ".join(out.split())
    assert code == 3
    assert "sagittal_t2" in flat
    assert "14 x 18 x 5" in flat
    assert "its description says T2" in flat
    assert "2 images form no stack of 3 parallel slices" in flat
    assert "not a DICOM file (VS-DCM-001): notes.txt" in flat
    assert "3 studies, 2 series" in flat


def test_a_good_study_gives_code_0_and_its_spacing(tmp_path, capsys):
    code, out = scanned(capsys, save_all(series(5), tmp_path), "--json")
    (study,) = json.loads(out)["studies"]
    assert code == 0
    (found,) = study["series"]
    assert found["files_used"] == 5
    assert found["stacks"][0] == {
        "plane": "sagittal",
        "shape": [14, 18, 5],
        "spacing_mm": [3.0, 2.0, 4.0],
        "first_voxel_mm": [-44.0, -20.0, 30.0],
        "is_regular": True,
    }


def test_nothing_usable_gives_code_4(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("nothing")
    assert scanned(capsys, tmp_path)[0] == 4
    assert main(["scan", str(tmp_path / "absent")]) == 4
    assert "there is no such file or folder" in capsys.readouterr().err


def test_no_patient_data_and_no_markup_reach_the_terminal(tmp_path, capsys):
    slices = series(5)
    for ds in slices:
        ds.SeriesDescription, ds.PatientName = "[red]<script>Canary T2", "Canary^Name"
    save_all(slices, tmp_path / "[bold]study")
    _, table = scanned(capsys, tmp_path)
    _, text = scanned(capsys, tmp_path, "--json")
    assert "CANARY" not in (table + text).upper()
    assert "[bold]study" in table


def test_scanning_loads_no_deep_learning(tmp_path):
    save_all(series(4), tmp_path)
    program = (
        "import sys; from volspine.cli import main; code = main(sys.argv[1:]); "
        "print(sorted({'torch', 'torchio', 'pandas', 'pytorch_lightning'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "scan", str(tmp_path)],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONWARNINGS": "error"},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"
