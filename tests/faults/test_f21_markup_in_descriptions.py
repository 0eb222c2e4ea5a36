"""F21: markup in a description is no markup in a page."""

import pytest

from tests.dicom.series_factory import save_all, series
from volspine.cli import main


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>"])
def test_a_description_with_markup_reaches_no_page(text, tiny_bundle, tmp_path):
    slices = series()
    for ds in slices:
        ds.SeriesDescription, ds.StudyDescription = f"T2 {text}", text
    study = str(save_all(slices, tmp_path / "study"))
    out = tmp_path / "out"
    main(["predict", study, "--model", str(tiny_bundle), "--out", str(out), "--quiet"])
    pages = [path.read_text(encoding="utf-8") for path in out.rglob("*.html")]
    assert pages
    for page in pages:
        assert "alert(1)" not in page


def test_a_folder_with_markup_in_its_name_is_escaped(tiny_bundle, tmp_path):
    folder = tmp_path / "train_images" / "<b>7 &amp; 8"
    save_all(series(), folder)
    out = tmp_path / "out"
    main(["predict", str(folder), "--model", str(tiny_bundle), "--out", str(out), "--quiet"])
    for path in out.rglob("*.html"):
        assert "<b>7" not in path.read_text(encoding="utf-8")
