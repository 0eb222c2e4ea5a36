import numpy as np
import pytest

from tests.data.made_roots import SERIES_IDS, read_fake_study
from volspine.anatomy import TARGETS, Protocol
from volspine.data.landmarks import points_lps_mm
from volspine.data.rsna import Annotation


@pytest.fixture
def study(tmp_path):
    folder = tmp_path / "100"
    folder.mkdir()
    (folder / "grades.txt").write_text(" ".join(["0"] * 25))
    return read_fake_study(folder)


def mark(target=0, *, series=SERIES_IDS[Protocol.SAGITTAL_T2], number=1, x=0.0, y=0.0):
    return Annotation(str(series), number, TARGETS[target], x, y)


def test_a_pixel_lies_where_the_slice_and_its_steps_say(study):
    # Slice 3 of 8 lies at x = -14 + 2 * 4; column 10 at y = -38 + 40; row 7 at z = 46 - 28.
    points = points_lps_mm(study, [mark(4, number=3, x=10, y=7)])
    assert points[4].tolist() == [-6.0, 2.0, 18.0]
    assert np.isnan(np.delete(points, 4, axis=0)).all()


def test_more_slices_to_the_left_have_larger_x(study):
    right, left = points_lps_mm(study, [mark(10, number=2), mark(5, number=7)])[[10, 5], 0]
    assert TARGETS[10].side.value == "right"
    assert right < 0 < left


def test_the_true_origin_of_a_slice_is_used(study):
    series = study.by_protocol(Protocol.SAGITTAL_T2)[0]
    series.stacks[0].slice_origins_mm[2] = (1.0, 2.0, 3.0)
    assert points_lps_mm(study, [mark(number=3)])[0].tolist() == [1.0, 2.0, 3.0]


def test_instance_numbers_are_looked_up_and_not_counted(study):
    series = study.by_protocol(Protocol.SAGITTAL_T2)[0]
    series.instances[0].reverse()
    assert points_lps_mm(study, [mark(number=8)])[0, 0] == -14.0


def test_a_series_is_found_by_folder_or_by_the_end_of_its_uid(study):
    series = study.by_protocol(Protocol.SAGITTAL_T2)[0]
    series.name = "sagittal"
    assert np.isfinite(points_lps_mm(study, [mark()])[0]).all()
    series.uid = "1.2.3"
    assert np.isnan(points_lps_mm(study, [mark()])[0]).all()


def test_a_mark_without_a_series_gives_no_point(study):
    assert np.isnan(points_lps_mm(study, [mark(series="")])).all()


def test_the_first_mark_of_a_target_that_can_be_placed_counts(study):
    marks = [mark(number=99), mark(number=1, x=1), mark(number=1, x=2)]
    assert points_lps_mm(study, marks)[0, 1] == -34.0


def test_a_mark_on_an_unknown_slice_or_series_gives_no_point(study):
    assert np.isnan(points_lps_mm(study, [mark(number=99), mark(1, series="7")])).all()
