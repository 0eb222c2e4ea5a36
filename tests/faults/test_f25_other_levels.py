"""F25: six lumbar vertebrae, or the thoracic spine alone: levels are not claimed to be known."""

import pytest

from tests.dicom.series_factory import AXIAL, in_series, series
from tests.dicom.series_factory import save_all as save
from tests.inference.made_up import make_study
from volspine.inference.predictor import NOT_LOCATED, Options, Predictor


@pytest.fixture(scope="module")
def predictor(tiny_bundle):
    return Predictor(tiny_bundle, device="cpu")


def thoracic(folder):
    for number, cosines in enumerate([(0, 1, 0, 0, 0, -1), AXIAL]):
        slices = in_series(series(5, cosines=cosines), f"1.2.3.{number}")
        for ds in slices:
            ds.SeriesDescription, ds.BodyPartExamined = "T2 TSE", "TSPINE"
        save(slices, folder / str(number))
    return folder


def test_a_thoracic_spine_is_refused_by_name_and_has_no_grades(predictor, tmp_path):
    graded = predictor.predict(thoracic(tmp_path))
    assert graded.status == "refused"
    assert "thoracic spine" in " ".join(s["reason"] for s in graded.to_dict()["series"])


def test_a_result_says_that_levels_were_not_located(predictor):
    found = predictor.predict(make_study()).to_dict()
    assert NOT_LOCATED in str(found)


def test_a_reader_who_counts_otherwise_renames_levels_and_the_result_says_so(predictor):
    graded = predictor.predict(make_study(), Options(shift_levels=-1))
    assert graded.to_dict()["settings"]["shift_levels"] == -1
    assert graded.status == "partial"
    assert "renamed by -1" in graded.grades.reasons[4]
