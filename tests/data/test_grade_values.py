"""Tables of grades, wide or long, labelled or predicted, become one number a target."""

import numpy as np
import pytest

from volspine.anatomy import TARGETS
from volspine.challenge import LABEL_COLUMNS, PROBABILITY_COLUMNS, row_id
from volspine.data.grade_values import read_grade_values
from volspine.errors import TableError
from volspine.tasks.evaluation import predictions_csv

HEAD = ",".join(["row_id", *PROBABILITY_COLUMNS])
FIRST = row_id("7", TARGETS[0])


def table(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text)
    return path


def test_a_train_table_gives_its_grades_and_empty_cells_are_missing(tmp_path):
    cells = ["Severe", "", *["Normal/Mild"] * 22, "Moderate"]
    text = ",".join(["study_id", *LABEL_COLUMNS]) + "\n" + ",".join(["7", *cells]) + "\n"
    (values,) = read_grade_values(table(tmp_path, text))
    assert values[0] == 2
    assert np.isnan(values[1])
    assert values[-1] == 1
    assert (values[2:24] == 0).all()


def test_what_a_test_run_writes_gives_its_grades_whatever_the_order(tmp_path):
    rng = np.random.default_rng(0)
    p, grades = rng.dirichlet([2, 1, 1], size=(6, 25)), rng.integers(-1, 3, (6, 25))
    head, *rows = predictions_csv(p, grades, [f"root/{n}" for n in range(6)]).splitlines()
    values = read_grade_values(table(tmp_path, "\n".join([head, *reversed(rows)]) + "\n"))
    np.testing.assert_array_equal(values[::-1], np.where(grades < 0, np.nan, grades))


def test_without_grades_the_expected_grade_is_taken(tmp_path):
    text = f"{HEAD}\n{FIRST},0.5,0.25,0.25\n{row_id('7', TARGETS[24])},0,0,2\n"
    (values,) = read_grade_values(table(tmp_path, text))
    assert values[0] == pytest.approx(0.75)
    assert values[24] == 2
    assert np.isnan(values[1:24]).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEAD}\n", "no row"),
        ("", "no row"),
        (f"{HEAD}\n{FIRST},1,0,0\n{FIRST},1,0,0\n", "row_id twice"),
        (f"{HEAD},grade\n{FIRST},1,0,0,3\n", "a grade '3'"),
        (f"{HEAD}\n{FIRST},0,0,0\n", "all zero"),
        (f"{HEAD}\n{FIRST},-1,1,1\n", "below zero"),
        (f"{HEAD}\n{FIRST},a,1,1\n", "not a number"),
        (f"row_id,severe\n{FIRST},1\n", "column 'normal_mild'"),
        ("row_id,grade\n7_l9,1\n", "does not end in a condition"),
        ("study_id\n7\n", "is missing"),
        ("name,value\n7,1\n", "is missing"),
        (",".join(["study_id", *LABEL_COLUMNS]) + "\n" + f"7{',' * 25}\n" * 2, "study_id twice"),
    ],
    ids=range(12),
)
def test_a_table_that_says_something_else_is_refused(tmp_path, text, message):
    with pytest.raises(TableError, match=message):
        read_grade_values(table(tmp_path, text))
