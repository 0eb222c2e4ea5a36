"""F20: identifiers that are paths name nothing: every file is called by names of this library."""

import pytest

from tests.dicom.series_factory import in_series, save_all, series
from volspine.cli import main
from volspine.dicom.reading import read_study

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning")
EVIL = ("../../evil", "/tmp/evil", "..\\..\\evil", "a/../../evil", "con")


@pytest.mark.parametrize("uid", EVIL)
def test_names_of_studies_and_series_are_made_here(uid, tmp_path):
    slices = in_series(series(4), uid)
    for ds in slices:
        ds.SpecificCharacterSet, ds.StudyInstanceUID, ds.StudyID = "ISO_IR 192", uid, uid
    study = read_study(save_all(slices, tmp_path))
    assert len(study.name) == 16
    assert int(study.name, 16) >= 0
    assert study.series[0].name.startswith("series-")


def test_predict_writes_below_its_output_folder_only(tiny_bundle, tmp_path):
    slices = in_series(series(), "../../evil")
    for ds in slices:
        ds.StudyInstanceUID = "../../evil"
    save_all(slices, tmp_path / "deep" / "study")
    before = set(tmp_path.rglob("*"))
    out = tmp_path / "deep" / "out"
    study = str(tmp_path / "deep" / "study")
    main(["predict", study, "--model", str(tiny_bundle), "--out", str(out), "--quiet"])
    new = set(tmp_path.rglob("*")) - before
    assert new
    assert all(path == out or out in path.parents for path in new)
    assert not [path for path in new if "evil" in path.name]
