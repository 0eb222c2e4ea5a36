import csv

import numpy as np
import pytest

from tests.data.made_roots import SERIES_IDS, write_root, write_table
from volspine.anatomy import TARGETS, Protocol
from volspine.challenge import COORDINATE_COLUMNS, LABEL_COLUMNS
from volspine.data.rsna import grade_table, read_root
from volspine.errors import TableError


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    return write_root(tmp_path / "root", rng.integers(-1, 3, (4, 25)))


def test_grades_come_by_column_name_and_not_by_column_position(tmp_path):
    root = write_root(tmp_path / "r", np.zeros((1, 25), dtype=int))
    columns = ["study_id", *sorted(LABEL_COLUMNS, reverse=True)]
    severe = "right_subarticular_stenosis_l4_l5"
    row = ["100", *("Severe" if c == severe else "Normal/Mild" for c in columns[1:])]
    write_table(root / "train.csv", columns, [row])
    (study,) = read_root(root).studies
    assert [t.name for t, g in zip(TARGETS, study.grades, strict=True) if g == 2] == [severe]


def test_an_empty_cell_is_missing_and_not_normal(tmp_path):
    grades = np.zeros((2, 25), dtype=int)
    grades[0, 3] = -1
    found = read_root(write_root(tmp_path / "r", grades))
    np.testing.assert_array_equal(grade_table(found.studies), grades)
    assert found.summary.missing_grades == 1


def test_line_ends_make_no_difference(tmp_path):
    grades = np.random.default_rng(1).integers(-1, 3, (3, 25))
    unix = read_root(write_root(tmp_path / "u", grades))
    windows = read_root(write_root(tmp_path / "w", grades, line_end="\r\n"))
    assert [s.grades for s in unix.studies] == [s.grades for s in windows.studies]
    assert [s.annotations for s in unix.studies] == [s.annotations for s in windows.studies]
    assert unix.protocols == windows.protocols


def test_protocols_come_from_the_series_table(root):
    found = read_root(root)
    assert found.protocols["100"][SERIES_IDS[Protocol.AXIAL_T2]] is Protocol.AXIAL_T2
    assert found.summary.series[Protocol.SAGITTAL_T1] == 4


def test_placeholders_near_five_five_are_dropped_and_counted(root):
    path = root / "train_label_coordinates.csv"
    with path.open(newline="") as stream:
        rows = list(csv.reader(stream))[1:]
    before = len(read_root(root).studies[0].annotations)
    rows[0][5:7] = ["4.8", "5.3"]
    rows[1][5:7] = ["4.8", "200"]  # At the left edge, but a place.
    write_table(path, COORDINATE_COLUMNS, rows)
    found = read_root(root)
    assert found.summary.placeholders == 1
    assert len(found.studies[0].annotations) == before - 1


def test_studies_on_one_side_only_are_counted(root):
    (root / "train_images" / "999").mkdir()
    for file in (root / "train_images" / "101").iterdir():
        file.unlink()
    found = read_root(root)
    assert [s.study_id for s in found.studies] == ["100", "102", "103"]
    assert (found.summary.without_images, found.summary.without_labels) == (1, 1)
    assert "1 without images, 1 without labels" in str(found.summary)


def test_coordinates_of_unknown_studies_are_counted(root):
    path = root / "train_label_coordinates.csv"
    with path.open("a") as stream:
        stream.write("555,1,1,Spinal Canal Stenosis,L1/L2,50,50\n")
    assert read_root(root).summary.orphan_coordinates == 1


def test_a_root_without_the_optional_tables_is_still_a_root(root):
    (root / "train_label_coordinates.csv").unlink()
    (root / "train_series_descriptions.csv").unlink()
    found = read_root(root)
    assert found.studies[0].annotations == ()
    assert found.protocols == {}


def test_patients_come_from_the_table_of_groups(root, tmp_path):
    groups = tmp_path / "groups.csv"
    groups.write_text("study_id,group\n100,a\n101,a\n")
    assert [s.group for s in read_root(root, groups=groups).studies] == ["a", "a", "102", "103"]


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("train.csv", "Moderate", "Middling", "'Middling' is not a grade"),
        ("train.csv", "101,", "100,", "stands twice"),
        ("train_label_coordinates.csv", "L1/L2", "L6/S1", "is not a level"),
        ("train_label_coordinates.csv", "Spinal Canal", "Spinal Cord", "is not a condition"),
        ("train_label_coordinates.csv", ",10,3", ",ten,3", "is not a number"),
    ],
)
def test_a_malformed_cell_is_refused_with_its_file(root, file, old, new, message):
    path = root / file
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(TableError, match=message) as caught:
        read_root(root)
    assert caught.value.path == str(path)


def test_a_root_without_any_images_is_refused(root):
    (root / "train_images").rename(root / "elsewhere")
    with pytest.raises(TableError, match="none of the 4 studies"):
        read_root(root)
