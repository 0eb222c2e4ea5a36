"""Errors of places: by hand, from a file, with intervals, and refusals."""

import numpy as np
import pytest

from volspine.anatomy import TARGETS
from volspine.challenge import row_id
from volspine.errors import TableError
from volspine.metrics.intervals import GROUPS
from volspine.metrics.place_errors import place_summary, read_place_errors

HEAD = "row_id,error_mm,at_wrong_level\n"


def test_a_hand_worked_summary():
    errors = np.full((4, 25), np.nan)
    errors[:, 0] = [1.0, 3.0, 7.0, np.nan]
    is_true = np.zeros((4, 25), dtype=bool)
    is_true[:, 0] = True
    is_wrong = np.zeros((4, 25), dtype=bool)
    is_wrong[2, 0] = True
    found = place_summary(errors, is_true, is_wrong, resamples=200)
    canal = found["canal"]
    assert (canal["num_true"], canal["num_found"], canal["median_mm"]) == (4, 3, 3.0)
    assert (canal["detected_5mm"], canal["detected_10mm"]) == (0.5, 0.75)
    assert canal["wrong_level"] == pytest.approx(1 / 3)
    assert canal["median_low"] <= 3.0 <= canal["median_high"]
    assert canal["detected_5mm_low"] < 0.5 < canal["detected_5mm_high"]
    assert found["foramen"]["median_mm"] is None
    assert found["foramen"]["num_true"] == 0


def test_the_interval_of_the_median_is_that_of_drawn_studies():
    rng = np.random.default_rng(0)
    errors = rng.gamma(2.0, 2.0, (40, 25))
    everything = np.ones((40, 25), dtype=bool)
    found = place_summary(errors, everything, ~everything, resamples=300, seed=2)["canal"]
    draws = np.random.default_rng(2).multinomial(40, np.full(40, 1 / 40), size=300)
    canal = errors[:, GROUPS["canal"]]
    medians = [np.median(np.repeat(canal, draw, axis=0)) for draw in draws]
    low, high = np.quantile(medians, [0.025, 0.975])
    assert (found["median_low"], found["median_high"]) == pytest.approx((low, high), rel=0.03)


def test_a_file_is_read_for_the_studies_that_are_scored(tmp_path):
    rows = [f"{row_id(study, TARGETS[0])},{error},{wrong}\r\n" for study, error, wrong in
            [("7", "2.5", 0), ("8", "", 0), ("9", "60", 1)]]  # fmt: skip
    path = tmp_path / "test_places.csv"
    path.write_bytes((HEAD + "".join(rows)).encode())
    found = read_place_errors(path, ["7", "8"], resamples=10)["all"]
    assert (found["num_true"], found["num_found"], found["median_mm"]) == (2, 1, 2.5)
    assert found["wrong_level"] == 0.0


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (HEAD, "VS-TAB-110"),
        (HEAD + f"{row_id('7', TARGETS[0])},-1,0\n", "VS-TAB-111"),
        (HEAD + f"{row_id('7', TARGETS[0])},far,0\n", "VS-TAB-111"),
        ("row_id,error_mm\n", "VS-TAB-052"),
        (HEAD + 2 * f"{row_id('7', TARGETS[0])},1,0\n", "VS-TAB-054"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path, text, code):
    path = tmp_path / "places.csv"
    path.write_text(text)
    with pytest.raises(TableError, match=code):
        read_place_errors(path, ["7"])
