"""F22: no cell of a table starts a formula, whatever headers and folders are called."""

import csv

import pytest

from tests.dicom.series_factory import save_all, series
from volspine.cli import main

FORMULA = "=cmd|' C calc'!A0"


@pytest.mark.parametrize("cut", [False, True])
def test_cells_start_with_no_formula(cut, tiny_bundle, tmp_path):
    slices = series()
    for ds in slices:
        ds.SeriesDescription = ds.StudyDescription = ds.ProtocolName = FORMULA
    folder = save_all(slices, tmp_path / FORMULA)
    for path in folder.iterdir() if cut else ():
        path.write_bytes(path.read_bytes()[:300])
    out = tmp_path / "out"
    main(["predict", str(folder), "--model", str(tiny_bundle), "--out", str(out), "--quiet"])
    tables = sorted(out.rglob("*.csv"))
    assert {"failures.csv", "summary.csv"} <= {path.name for path in tables}
    for path in tables:
        with path.open(encoding="utf-8", newline="") as stream:
            cells = [cell for row in csv.reader(stream) for cell in row]
        assert not [cell for cell in cells if cell[:1] in tuple("=+@\t\r")]
