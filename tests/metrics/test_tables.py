"""Solutions and submissions: what parses, and one clear error for what does not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from volspine.anatomy import TARGETS
from volspine.challenge import LABEL_COLUMNS, PROBABILITY_COLUMNS, row_id
from volspine.errors import TableError
from volspine.metrics.tables import Solution, read_solution, read_studies, read_submission

FORAMEN = LABEL_COLUMNS.index("left_neural_foraminal_narrowing_l4_l5")


def wide(*studies: str) -> pd.DataFrame:
    frame = pd.DataFrame({"study_id": list(studies)})
    return frame.assign(**dict.fromkeys(LABEL_COLUMNS, "Normal/Mild"))


def long(*studies: str) -> pd.DataFrame:
    rows = [(row_id(s, t), 1, 0, 0, 1.0) for s in studies for t in TARGETS]
    return pd.DataFrame(rows, columns=["row_id", *PROBABILITY_COLUMNS, "sample_weight"])


def submission(*studies: str) -> pd.DataFrame:
    rows = [(row_id(s, t), 0.5, 0.25, 0.25) for s in studies for t in TARGETS]
    return pd.DataFrame(rows, columns=["row_id", *PROBABILITY_COLUMNS])


def test_columns_are_found_by_name_whatever_their_order(tmp_path: Path) -> None:
    frame = wide("7", "8").astype(object)
    frame.loc[1, "left_neural_foraminal_narrowing_l4_l5"] = "Severe"
    frame.loc[0, "spinal_canal_stenosis_l1_l2"] = ""
    path = tmp_path / "train.csv"
    frame[sorted(frame.columns, reverse=True)].to_csv(path, index=False)
    solution = read_solution(path)
    assert solution.studies == ("7", "8")
    assert solution.grades[1, FORAMEN] == 2
    assert solution.weights[1, FORAMEN] == 4.0
    assert (solution.grades[0, 0], solution.weights[0, 0]) == (-1, 0.0)
    assert solution.wanted.all(), "an ungraded row needs a prediction all the same"
    assert solution.grades.sum() == 2 - 1


def test_crlf_a_byte_order_mark_and_blank_lines_change_nothing(tmp_path: Path) -> None:
    plain, windows = tmp_path / "a.csv", tmp_path / "b.csv"
    plain.write_text(wide("7", "8").to_csv(index=False), newline="")
    text = wide("7", "8").to_csv(index=False).replace("\n", "\r\n") + "\r\n"
    windows.write_bytes(b"\xef\xbb\xbf" + text.encode())
    a, b = read_solution(plain), read_solution(windows)
    assert a.studies == b.studies
    assert np.array_equal(a.grades, b.grades)


def test_the_long_form_keeps_its_own_weights_and_asks_only_for_its_rows() -> None:
    frame = long("7").iloc[:3]
    frame = frame.assign(normal_mild=[1, 0, 0], severe=[0, 1, 0], sample_weight=[1.0, 9.0, 3.0])
    solution = read_solution(frame)
    assert solution.grades[0, :4].tolist() == [0, 2, -1, -1]
    assert solution.weights[0, :4].tolist() == [1.0, 9.0, 0.0, 0.0]
    assert solution.wanted.sum() == 3
    read_submission(submission("7"), solution)  # more rows of a known study do no harm


def test_numbers_in_a_data_frame_name_the_same_studies_as_text_in_a_file() -> None:
    assert read_solution(wide("7").assign(study_id=[7])).studies == ("7",)


def test_probabilities_land_at_their_study_and_target() -> None:
    said = submission("7", "8")
    at = said["row_id"] == "8_left_neural_foraminal_narrowing_l4_l5"
    said.loc[at, list(PROBABILITY_COLUMNS)] = [0.1, 0.2, 0.7]
    p = read_submission(said.sample(frac=1, random_state=0), read_solution(wide("7", "8")))
    assert p[1, FORAMEN].tolist() == [0.1, 0.2, 0.7]
    assert p[0, FORAMEN].tolist() == [0.5, 0.25, 0.25]


def edit(**columns: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda frame: frame.assign(**columns)


BAD_SUBMISSIONS = {
    "a word": (edit(severe="high"), "not a number", "VS-TAB-053"),
    "an empty cell": (edit(severe=""), "not a number", "VS-TAB-053"),
    "nan": (edit(severe="nan"), "empty, NaN or infinite", "VS-TAB-053"),
    "infinity": (edit(severe="inf"), "empty, NaN or infinite", "VS-TAB-053"),
    "a negative number": (edit(severe=-0.1), "a negative value", "VS-TAB-053"),
    "a missing column": (lambda f: f.drop(columns="moderate"), "lacks column", "VS-TAB-052"),
    "a further column": (edit(comment="x"), "has a column 'comment'", "VS-TAB-052"),
    "a missing row": (lambda f: f.iloc[1:], "lacks 1 rows", "VS-TAB-056"),
    "a row twice": (lambda f: pd.concat([f, f.iloc[:1]]), "a row_id twice", "VS-TAB-054"),
    "a foreign study": (lambda f: pd.concat([f, submission("9")]), "1 studies", "VS-TAB-057"),
    "an unknown target": (edit(row_id="7_knee_l1_l2"), "does not end in", "VS-TAB-005"),
    "no row": (lambda f: f.iloc[:0], "lacks 25 rows", "VS-TAB-056"),
}


@pytest.mark.parametrize("fault", BAD_SUBMISSIONS)
def test_a_bad_submission_is_refused(fault: str, tmp_path: Path) -> None:
    spoil, message, code = BAD_SUBMISSIONS[fault]
    path = tmp_path / "submission.csv"
    spoil(submission("7")).to_csv(path, index=False)
    with pytest.raises(TableError, match=message) as caught:
        read_submission(path, read_solution(wide("7")))
    assert caught.value.code == code
    assert caught.value.remedy
    if code != "VS-TAB-005":
        assert caught.value.path == str(path)


BAD_SOLUTIONS = {
    "a study twice": (lambda: wide("7", "7"), "a study_id twice"),
    "a missing column": (lambda: wide("7").drop(columns=LABEL_COLUMNS[3]), "lacks column"),
    "an unknown grade": (lambda: wide("7").assign(**{LABEL_COLUMNS[0]: "Bad"}), "not a grade"),
    "no study": (wide, "is empty"),
    "two grades": (lambda: long("7").assign(severe=1), "not one of three"),
    "half a grade": (lambda: long("7").assign(normal_mild=0.5), "not one of three"),
    "no weights": (lambda: long("7").drop(columns="sample_weight"), "lacks column 'sample_weight'"),
    "a negative weight": (lambda: long("7").assign(sample_weight=-1.0), "negative"),
    "a row twice": (lambda: long("7", "7"), "a row_id twice"),
}


@pytest.mark.parametrize("fault", BAD_SOLUTIONS)
def test_a_bad_solution_is_refused(fault: str) -> None:
    make, message = BAD_SOLUTIONS[fault]
    with pytest.raises(TableError, match=message):
        read_solution(make())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe\x00bad", "cannot be read"),
        (b"a,b\n1,2,3\n", "another length"),
        (b"a,a\n1,2\n", "a column twice"),
        (b'a,b\n"1,2\n', "cannot be read"),
        (b"", "lacks column"),
    ],
)
def test_a_file_that_is_no_table_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(TableError, match=message):
        read_solution(tmp_path / "t.csv")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="cannot be read"):
        read_solution(tmp_path / "none.csv")


def test_studies_are_chosen_by_id() -> None:
    solution = read_solution(wide("7", "8", "9"), studies={"9", "7"})
    assert solution.studies == ("7", "9")
    p = read_submission(submission("7", "8", "9"), solution, ignore_others=True)
    assert p.shape == (2, 25, 3)


@pytest.mark.parametrize(("studies", "message"), [({"1"}, "1 of the 1 studies"), (set(), "empty")])
def test_studies_that_are_not_there_are_refused(studies: set[str], message: str) -> None:
    with pytest.raises(TableError, match=message):
        read_solution(wide("7"), studies=studies)


@pytest.mark.parametrize(
    "text", ["7\n8\n", "study_id\n7\n8\n", "study_id,split\n7,a\n8,b\n", "7\r\n8", "\n7\n\n8\n"]
)
def test_a_list_of_studies_has_lines_or_a_column(text: str, tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_text(text, newline="")
    assert read_studies(tmp_path / "s.txt") == {"7", "8"}


@pytest.mark.parametrize("text", ["", "study_id\n", "7,8\n9,10\n"])
def test_a_list_without_a_study_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_text(text)
    with pytest.raises(TableError, match="names no study"):
        read_studies(tmp_path / "s.txt")


def test_an_error_shows_no_study_id() -> None:
    solution: Solution = read_solution(wide("4003253"))
    with pytest.raises(TableError) as caught:
        read_submission(submission("99887766"), solution)
    assert "4003253" not in str(caught.value)
    assert "99887766" not in str(caught.value)
