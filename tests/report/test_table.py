"""Rows say what the grades say, in the challenge's spelling, and can be read back."""

import csv
import io

import numpy as np
import pytest

from tests.report.made_up import make_grades, recesses
from volspine.errors import TableError
from volspine.grades import StudyGrades
from volspine.report.table import (
    GRADE_COLUMNS,
    csv_text,
    grade_rows,
    grades_from_rows,
    submission_rows,
)


def test_a_row_by_hand():
    points = np.full((25, 3), np.nan)
    points[23] = [-12.0, 3.0, 5.5]
    row = grade_rows(make_grades(points=points))[23]
    assert row == {
        "condition": "right_subarticular_stenosis",
        "level": "l4_l5",
        "normal_mild": 0.05,
        "moderate": 0.05,
        "severe": 0.9,
        "grade": "Severe",
        "confidence": 0.9,
        "imputed": False,
        "reason": "",
        "x_mm": -12.0,
        "y_mm": 3.0,
        "z_mm": 5.5,
    }


def test_rows_come_back_whatever_their_order():
    grades = make_grades(imputed=recesses())
    again = grades_from_rows(
        reversed(grade_rows(grades)), name="made_up", status="partial", reason="r"
    )
    assert np.array_equal(again.probabilities, grades.probabilities)
    assert np.array_equal(again.imputed, grades.imputed)
    assert again.reasons == grades.reasons
    assert np.isnan(again.points_mm).all()


def test_a_refused_study_has_rows_without_numbers():
    rows = grade_rows(StudyGrades.refused("x", "a knee"))
    assert len(rows) == 25
    assert {row["grade"] for row in rows} == {""}
    assert {row["reason"] for row in rows} == {"a knee"}
    text = csv_text(GRADE_COLUMNS, rows)
    assert "nan" not in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:-1], "missing or unknown"),
        (lambda rows: [*rows, rows[0]], "graded twice"),
        (lambda rows: [{**rows[0], "level": "l6_s1"}, *rows[1:]], "missing or unknown"),
        (lambda rows: [{"condition": "x"}], "has no 'level'"),
    ],
)
def test_rows_that_are_not_the_25_are_refused(change, message):
    rows = change(grade_rows(make_grades()))
    with pytest.raises(TableError, match=message):
        grades_from_rows(rows, name="x", status="graded")


def test_a_submission_is_decided_and_ordered_as_the_challenge_does():
    rows = submission_rows("77", make_grades().probabilities)
    assert rows[0]["row_id"] == "77_left_neural_foraminal_narrowing_l1_l2"
    assert rows[-1]["row_id"] == "77_spinal_canal_stenosis_l5_s1"
    # 0.2, 1.4 and 0.4 after the weights 1, 2 and 4, over their sum 2.
    assert rows[0]["normal_mild"] == pytest.approx(0.1)
    assert rows[0]["moderate"] == pytest.approx(0.7)
    assert rows[0]["severe"] == pytest.approx(0.2)


def test_a_submissions_canal_is_decided_as_a_whole_and_a_priors_target_by_target():
    """Five levels of 0.2, 0.7 and 0.1: some severe one is likelier than any one of them."""
    probabilities = make_grades().probabilities
    severe = {
        prior: sorted(
            row["severe"]
            for row in submission_rows("77", probabilities, is_prior=prior)
            if "canal" in row["row_id"]
        )
        for prior in (False, True)
    }
    assert severe[True] == pytest.approx([0.2] * 5)
    assert severe[False][:4] == pytest.approx([0.2] * 4)
    assert severe[False][4] > 0.3


def test_csv_neither_runs_formulas_nor_breaks_lines():
    text = csv_text(("a", "b"), [{"a": "=1+1", "b": "two\nlines"}, {"a": -1.5, "b": None}])
    assert list(csv.reader(io.StringIO(text))) == [["a", "b"], ["'=1+1", "two lines"], ["-1.5", ""]]
    assert "\r" not in text
