"""F19: nothing of a header reaches a name, a file, the terminal or a log.

Every free text and identifier of the headers holds a canary, a path that leads out, markup and a
formula; then everything is run, on good files and on broken ones, with --debug.
"""

import logging

import pytest

from tests.dicom.series_factory import AXIAL, SERIES, in_series, number_on, save_all, series
from volspine.cli import main
from volspine.dicom.reading import read_study
from volspine.errors import VolspineError

pytestmark = [  # The headers that are written here are meant to be bad.
    pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning"),
    pytest.mark.filterwarnings("ignore:The value length:UserWarning"),
]

CANARY = "CaNaRy"
MARKUP = f"<script>{CANARY}</script>"
FORMULA = f"=cmd|'/C {CANARY}'!A0"
TEXTS = {
    "PatientName": f"{CANARY}^Ann", "PatientID": f"{CANARY}-4711",
    "PatientBirthDate": f"1953 {CANARY}",
    "AccessionNumber": f"{CANARY}-99", "ReferringPhysicianName": f"{CANARY}^Doc",
    "InstitutionName": f"{CANARY} Hospital", "StudyDescription": f"{MARKUP} L-SPINE",
    "SeriesDescription": f"T2 {MARKUP}", "ProtocolName": FORMULA, "PatientComments": FORMULA,
    "SequenceName": FORMULA[:16], "StudyID": f"{CANARY}-1", "OperatorsName": f"{CANARY}^Op",
    "AcquisitionNumber": "1",
}  # fmt: skip
WORDS = (CANARY, "4711", "19531107", "<script>" + CANARY, "=cmd")


def marked(slices):
    for ds in slices:
        for keyword, value in TEXTS.items():
            setattr(ds, keyword, value)
        ds.ImageType = ["ORIGINAL", "PRIMARY", CANARY.upper()]
        ds.StudyInstanceUID = "../../../" + CANARY
    return slices


def good(folder):
    axial = in_series(series(12, cosines=AXIAL, start=(-20, -20, -20)), SERIES + ".2")
    save_all(marked(number_on([*series(), *axial])), folder)


def cut_short(folder):
    good(folder)
    path = folder / "3.dcm"
    path.write_bytes(path.read_bytes()[:-100])


def without_spacing(folder):
    good(folder)
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes().replace(b"\x28\x00\x30\x00DS", b"\x29\x00\x30\x00DS"))


def of_two_patients(folder):
    slices = marked(series())
    for ds in slices[:5]:
        ds.PatientID = CANARY + "-OTHER"
    save_all(slices, folder)


def ambiguous(folder):
    slices = marked(series())
    doubled = marked(series())
    for ds in doubled:
        ds.PixelData = ds.PixelData[::-1]
        ds.SOPInstanceUID += ".7"
    save_all([*slices, *doubled], folder)


CASES = [good, cut_short, without_spacing, of_two_patients, ambiguous]


@pytest.mark.parametrize("write", CASES, ids=lambda write: write.__name__)
def test_nothing_of_the_headers_is_repeated(write, tiny_bundle, tmp_path, capfd, caplog):
    write(tmp_path / "study")
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        for command in commands(tmp_path, tiny_bundle):
            main(command)
    said = capfd.readouterr()
    written = written_under(tmp_path / "out")
    assert any(name.endswith("failures.csv") for name in written)
    for where, text in {"out": said.out, "err": said.err, "log": caplog.text, **written}.items():
        for word in WORDS:
            assert word.lower() not in text.lower(), (where, word)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "study"]


def commands(tmp_path, bundle):
    study = str(tmp_path / "study")
    yield ["scan", study, "--debug"]
    yield ["scan", study, "--json"]
    out = ["--model", str(bundle), "--out", str(tmp_path / "out"), "--debug"]
    yield ["predict", study, *out]
    yield ["predict", study, *out, "--strict", "--overwrite"]


def written_under(out):
    """Names and contents of every file, as text."""
    found = {}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        found[name] = name + (path.read_bytes().decode("latin-1") if path.is_file() else "")
    return found


@pytest.mark.parametrize("write", [of_two_patients, without_spacing], ids=lambda w: w.__name__)
def test_nothing_of_them_is_in_an_error_or_its_cause(write, tmp_path):
    write(tmp_path / "study")
    with pytest.raises(VolspineError) as caught:
        read_study(tmp_path / "study")
    error = caught.value
    while error is not None:
        assert CANARY.lower() not in f"{error} {error!r}".lower()
        error = error.__cause__
