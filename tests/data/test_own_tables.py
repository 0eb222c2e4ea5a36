"""Own labels: what is read, what is missing, and what is refused with its reason."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.data import made_roots
from tests.data.conftest import GRID
from tests.tasks.made_own import GRADES, NAMES, write_own
from volspine.anatomy import TARGETS
from volspine.data import cache
from volspine.data.cache import StudyCache, cache_key
from volspine.data.datamodule import LoaderPlan, SplitPlan
from volspine.data.own_datamodule import OwnDataModule
from volspine.data.own_tables import read_own_studies, targets_of_file
from volspine.data.rsna import read_root
from volspine.data.transforms import LightRecord, apply
from volspine.errors import ConfigurationError, TableError


@pytest.fixture
def grades():
    return np.random.default_rng(0).integers(-1, 3, (8, 25))


@pytest.fixture
def own(tmp_path, monkeypatch, grades):
    monkeypatch.setattr(cache, "read_study", made_roots.read_fake_study)
    return write_own(tmp_path, grades)


def index_of(name):
    return next(target.index for target in TARGETS if target.name == name)


def test_grades_are_those_of_the_table_in_the_order_of_the_targets(own, grades):
    studies = read_own_studies(*own)
    assert [study.key for study in studies] == [str(100 + n) for n in range(8)]
    columns = [index_of(there) for there in NAMES.values()]
    np.testing.assert_array_equal([study.grades for study in studies], grades[:, columns])
    assert (grades[:, columns] == -1).any(), "a cell is empty"


def test_left_and_right_are_partners_and_a_mirrored_example_has_them_swapped(own):
    root, tables = own
    study = read_own_studies(root, tables)[0]
    assert study.partner == (0, 1, 3, 2, 5, 4)
    data = OwnDataModule(str(root), labels=tables, grid=GRID, split=SplitPlan(val=2, test=2))
    data.setup()
    batch = next(iter(data.val_dataloader()))
    example = data.val_dataloader().dataset[0][0]
    image = apply(example, replace(LightRecord(), mirror=True), GRID.spacing_mm)
    assert batch["partner"].tolist() == [[0, 1, 3, 2, 5, 4]] * 2
    assert image.grades.tolist() == example.grades[[0, 1, 3, 2, 5, 4]].tolist()
    left, right = 2, 3  # root_l_high, root_r_high
    assert image.points[left][0] == GRID.shape[0] - 1 - example.points[right][0]
    assert example.points[left][0] < example.points[right][0], "i grows to the patient's right"


def test_a_mark_in_millimetres_is_where_the_same_mark_in_pixels_is(own):
    root, tables = own
    study = read_own_studies(root, tables)[0]
    theirs = read_root(root.parent).studies[0]
    columns = [index_of(there) for there in NAMES.values()]
    found = StudyCache(GRID).get(study).points
    np.testing.assert_allclose(found, StudyCache(GRID).get(theirs).points[columns], atol=1e-9)
    assert np.isfinite(found).all()


def test_without_marks_no_target_has_a_point(own):
    study = read_own_studies(*own)[0]
    alone = replace(study, points_mm=((math.nan,) * 3,) * 6)
    assert cache_key(alone, GRID) != cache_key(study, GRID)
    assert not StudyCache(GRID).get(alone).example(alone.grades).has_point.any()


def test_a_study_on_disk_is_not_taken_for_one_with_another_number_of_targets(own, tmp_path):
    root, tables = own
    study = read_own_studies(root, replace(tables, marks=None))[0]
    folder = tmp_path / "cache"
    first = StudyCache(GRID, folder=folder).get(study)
    fewer = replace(study, grades=study.grades[:4], points_mm=(study.points_mm or ())[:4])
    assert StudyCache(GRID, folder=folder).get(fewer).points.shape == (4, 3)
    assert StudyCache(GRID, folder=folder).get(study).points.shape == first.points.shape == (6, 3)


def test_whole_numbers_of_a_spreadsheet_and_other_cases_are_grades(own, tmp_path):
    root, _ = own
    own_targets = tmp_path / "numbers.yaml"
    own_targets.write_text("grades: [1, 2, 3]\ntargets: [{name: pfirrmann, finding: disc}]\n")
    (tmp_path / "numbers.csv").write_text("study_id,pfirrmann\n100,2.0\n101,nan\n102,3\n")
    _, tables = own
    tables = replace(tables, targets=own_targets, table=tmp_path / "numbers.csv", marks=None)
    assert [study.grades for study in read_own_studies(root, tables)] == [(1,), (-1,), (2,)]


def test_patients_with_several_studies_stay_together(own, tmp_path):
    root, tables = own
    (tmp_path / "groups.csv").write_text("study_id,group\n100,anna\n101,anna\n")
    groups = [s.group for s in read_own_studies(root, tables, groups=tmp_path / "groups.csv")]
    assert groups == ["anna", "anna", *(str(n) for n in range(102, 108))]


def test_training_knows_the_grades_of_all_but_the_test_set(own):
    root, tables = own
    split = SplitPlan(val=2, test=2)
    data = OwnDataModule(
        str(root), labels=tables, grid=GRID, split=split, loader=LoaderPlan(batch_size=2)
    )
    data.setup()
    assert data.known_grades().shape == (6, 6)
    tested = {study.key for study in data.studies("test")}
    assert tested.isdisjoint(s.key for name in ("train", "val") for s in data.studies(name))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("100,free,free,free,free,free,grey", "'grey' is not a grade"),
        ("../x,free,free,free,free,free,free", "no name of a folder"),
        ("..,free,free,free,free,free,free", "no name of a folder"),
        (",free,free,free,free,free,free", "is empty"),
        ("999,free,free,free,free,free,free", "none of the 1 studies"),
    ],
)
def test_a_row_that_cannot_be_right_is_refused(own, tmp_path, row, message):
    root, tables = own
    (tmp_path / "labels.csv").write_text(f"study_id,{','.join(NAMES)}\n{row}\n")
    with pytest.raises(TableError, match=message):
        read_own_studies(root, tables)


def test_a_missing_column_and_a_mark_of_no_target_are_refused(own, tmp_path):
    root, tables = own
    (tmp_path / "marks.csv").write_text("study_id,target,x_mm,y_mm,z_mm\n100,disc,1,2,3\n")
    with pytest.raises(TableError, match="'disc' is marked, but is no target"):
        read_own_studies(root, tables)
    twice = "".join(f"100,tight_high,{x},2,3\n" for x in (1, 50))
    (tmp_path / "marks.csv").write_text(f"study_id,target,x_mm,y_mm,z_mm\n{twice}")
    with pytest.raises(TableError, match="'tight_high' is marked twice in study '100'"):
        read_own_studies(root, tables)
    (tmp_path / "labels.csv").write_text(f"study_id,tight_high\n100,{GRADES[0]}\n")
    with pytest.raises(TableError, match="'tight_low' is missing"):
        read_own_studies(root, tables)


@pytest.mark.parametrize("text", ["[", "5", "grades: [a, b]", "!!python/object:os.system {}"])
def test_a_file_of_targets_that_says_nothing_is_refused(tmp_path, text):
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"own targets|cannot be read"):
        targets_of_file(tmp_path / "t.yaml")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        targets_of_file(tmp_path / "absent.yaml")
