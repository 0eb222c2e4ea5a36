"""What is said of the tables of a root: every oddity of the real ones is counted, none mended."""

import numpy as np
import pytest

from tests.data.made_roots import SERIES_IDS, write_root, write_table
from volspine.anatomy import Protocol
from volspine.challenge import COORDINATE_COLUMNS, LABEL_COLUMNS, SERIES_COLUMNS
from volspine.cli import main
from volspine.data.store import Store
from volspine.data.store_making import prepare
from volspine.data.store_summary import summary_lines, summary_of_tables
from volspine.errors import TableError

T1, T2, AXIAL = (SERIES_IDS[protocol] for protocol in Protocol if protocol in SERIES_IDS)
CANAL, FORAMEN = "Spinal Canal Stenosis", "Left Neural Foraminal Narrowing"


def write_tables(root, labels, series=(), marks=(), line_end="\n"):
    root.mkdir()
    write_table(root / "train.csv", ["study_id", *LABEL_COLUMNS], labels, line_end)
    write_table(root / "train_series_descriptions.csv", SERIES_COLUMNS, series, line_end)
    write_table(root / "train_label_coordinates.csv", COORDINATE_COLUMNS, marks, line_end)
    return root


def graded(study, *missing):
    cells = ["Normal/Mild"] * 25
    for n in missing:
        cells[n] = ""
    return [study, *cells]


def test_empty_grades_are_counted_as_missing_and_not_as_normal(tmp_path):
    root = write_tables(tmp_path / "root", [graded("1"), graded("2", 0, 7), graded("3", 24)])
    found = summary_of_tables(root, [])["labels"]
    assert (found["grades"], found["missing"], found["normal_mild"]) == (75, 3, 72)
    assert (found["studies"], found["complete_studies"]) == (3, 1)


def test_marks_that_are_placeholders_or_elsewhere_are_counted(tmp_path):
    series = [["1", T1, "Sagittal T1"], ["1", T2, "Sagittal T2/STIR"]]
    marks = [
        ["1", T2, 4, CANAL, "L1/L2", 100.0, 90.0],
        ["1", T1, 4, CANAL, "L2/L3", 100.0, 90.0],  # On the series of another protocol.
        ["1", T1, 4, FORAMEN, "L1/L2", 100.0, 90.0],
        ["1", T1, 4, FORAMEN, "L2/L3", 5.1, 4.9],  # A placeholder.
        ["1", "9", 4, FORAMEN, "L3/L4", 100.0, 90.0],  # A series that no table names.
        ["7", T1, 4, FORAMEN, "L3/L4", 100.0, 90.0],  # A study that no table names.
    ]
    # Targets 0 and 1 are the canal at L1/L2 and L2/L3, 5 to 7 the left foramen from the top.
    root = write_tables(tmp_path / "root", [graded("1", 0)], series, marks)
    assert summary_of_tables(root, [])["coordinates"] == {
        "marks": 6,
        "placeholders": 1,
        "on_other_series": 1,
        "on_unknown_series": 2,
        "of_unknown_studies": 1,
        "graded_without_mark": 24 - 4,
        "marked_without_grade": 1,
    }


def test_studies_without_images_and_images_without_labels_are_counted(tmp_path):
    root = write_tables(tmp_path / "root", [graded("1"), graded("2"), graded("3")])
    found = summary_of_tables(root, ["2", "8", "9"])
    assert found["images"] == {"studies_without_images": 2, "images_without_labels": 2}


@pytest.mark.parametrize(("line_end", "kind"), [("\n", "lf"), ("\r\n", "crlf")])
def test_copies_with_other_line_ends_are_read_the_same(line_end, kind, tmp_path):
    marks = [["1", T2, 4, CANAL, "L1/L2", 100.0, 90.0]]
    root = write_tables(tmp_path / "root", [graded("1", 3)], [["1", T2, "x"]], marks, line_end)
    found = summary_of_tables(root, [])
    assert {form["line_ends"] for form in found["tables"].values()} == {kind}
    assert (found["labels"]["missing"], found["coordinates"]["marks"]) == (1, 1)
    assert any("Windows" in line for line in summary_lines(found)) == (kind == "crlf")


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    root = write_tables(tmp_path / "root", [graded("1")])
    table = root / "train.csv"
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes())
    found = summary_of_tables(root, [])
    assert found["tables"]["train.csv"] == {
        "rows": 1,
        "line_ends": "lf",
        "byte_order_mark": True,
    }


def test_a_root_without_tables_has_nothing_to_say(tmp_path):
    assert summary_of_tables(tmp_path, ["1"]) == {}
    assert summary_lines({}) == []


@pytest.mark.parametrize(
    ("cell", "complaint"),
    [("Mild", "is not a grade"), ("Severe,Severe", "cells where the header has")],
)
def test_a_table_that_does_not_parse_is_refused_with_its_name(cell, complaint, tmp_path):
    root = write_tables(tmp_path / "root", [graded("1")])
    table = root / "train.csv"
    table.write_text(table.read_text().replace("Normal/Mild", cell, 1))
    with pytest.raises(TableError, match=complaint) as caught:
        summary_of_tables(root, [])
    assert caught.value.path == str(table)
    assert main(["prepare", str(root), "--out", str(tmp_path / "store"), "--quiet"]) == 2


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Tables as large as the challenge's, with as many grades missing, and no image."""
    rng = np.random.default_rng(0)
    grades = rng.integers(0, 3, (1975, 25))
    grades.reshape(-1)[rng.choice(grades.size, 572, replace=False)] = -1
    root = tmp_path_factory.mktemp("whole") / "root"
    write_root(root, grades, line_end="\r\n")
    for folder in (root / "train_images").iterdir():
        (folder / "grades.txt").unlink()
    return root


@pytest.mark.slow
def test_the_whole_tables_load_as_they_are_without_a_single_image(whole, tmp_path, capsys):
    code = main(["prepare", str(whole), "--out", str(tmp_path / "store")])
    assert code == 4, "there was no study to prepare"
    said = capsys.readouterr().out
    assert "1975 studies in train.csv: 572 of 49375 grades missing" in said
    assert "1975 studies without images" in said
    assert "with Windows line ends, read the same: train.csv" in said
    store = Store.open(tmp_path / "store")
    assert len(store) == 0
    assert store.tables["train.csv"].read_bytes() == (whole / "train.csv").read_bytes()


def test_a_summary_says_what_was_prepared(tmp_path):
    root = write_root(tmp_path / "root", np.zeros((2, 25), dtype=int))
    done = prepare(root, tmp_path / "store")
    # Folders that hold no image are studies that cannot be read.
    assert done.summary["prepared"]["failures"] == 2
    assert done.summary["images"] == {"studies_without_images": 0, "images_without_labels": 0}
