"""Which slice a mark means, and what the slice's picture is called."""

import pytest

from tests.data.made_roots import SERIES_IDS, SLICES, read_fake_study
from volspine.anatomy import TARGETS, Protocol
from volspine.data.instances import instances_of, with_marks
from volspine.data.rsna import Annotation
from volspine.dicom.study import Source

T2 = SERIES_IDS[Protocol.SAGITTAL_T2]


@pytest.fixture
def study(tmp_path):
    folder = tmp_path / "100"
    folder.mkdir()
    (folder / "grades.txt").write_text(" ".join(["0"] * 25))
    return read_fake_study(folder)


def mark(number, *, series=T2, target=0):
    return Annotation(str(series), number, TARGETS[target], 1.0, 2.0)


def names(study):
    return [instance.file_name for _, instance in instances_of(study)]


def t2_of(study):
    (series,) = study.by_protocol(Protocol.SAGITTAL_T2)
    return series


def test_every_slice_has_a_name_of_study_series_and_instance(study):
    assert len(names(study)) == 3 * SLICES
    assert names(study)[:2] == ["100_1000_1.png", "100_1000_2.png"]


def test_a_mark_lies_on_the_slice_with_its_instance_number(study):
    t2_of(study).instances[0].reverse()
    instances, lost = with_marks(study, [mark(8), mark(8, target=4), mark(2, target=1)])
    marked = {i.file_name: (i.k, len(i.marks)) for i in instances if i.marks}
    assert marked == {"100_1001_8.png": (0, 2), "100_1001_2.png": (6, 1)}
    assert lost == []


def test_marks_on_no_slice_are_told_apart(study):
    odd = [mark(99), mark(1, series="../../evil"), mark(1, series="")]
    instances, lost = with_marks(study, [*odd, mark(1)])
    assert lost == odd
    assert sum(len(i.marks) for i in instances) == 1


def test_a_mark_belongs_to_one_of_two_slices_with_the_same_number(study):
    t2_of(study).instances[0][3] = t2_of(study).instances[0][0]
    instances, _ = with_marks(study, [mark(1)])
    assert [i.k for i in instances if i.marks] == [0]
    assert len(set(names(study))) == len(names(study))
    assert names(study)[SLICES + 3] == "100_1001_1-2.png"


def test_frames_and_slices_without_a_number_have_names_too(study):
    t2_of(study).instances[0][:2] = [Source("", 7, "", "", 3), Source("", None, "", "")]
    assert names(study)[SLICES : SLICES + 2] == ["100_1001_7-3.png", "100_1001_k1.png"]
