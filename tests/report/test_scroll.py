"""Scrolled series: every slice once and in order, at its place, with its marks, within a size."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report import one_sided
from tests.report.made_up import axial_stack, make_grades, make_study, sagittal_stack
from volspine.anatomy import Protocol
from volspine.dicom.study import Series
from volspine.errors import PixelError
from volspine.geometry.stack import Stack
from volspine.grades import StudyGrades
from volspine.report.html import PAGE_BYTES, render_report, study_series
from volspine.report.ladder import RUNGS, encoded_within
from volspine.report.midline import beside_canal
from volspine.report.scroll import MOST_OTHERS, MOST_USED, scrolled_series
from volspine.report.seen import box_outline, seen_squares
from volspine.report.upright import upright_slice


@pytest.fixture(scope="module")
def study():
    return one_sided.study()


@pytest.fixture(scope="module")
def series(study):
    return scrolled_series(study, one_sided.grades(study), num_bytes=10**6)


def test_sagittal_slices_run_to_the_left_and_axial_ones_to_the_foot(study, series):
    for each in series:
        stack = each.series.stacks[0]
        assert [s.k for s in each.slices] in (
            list(range(stack.shape[2])),
            list(range(stack.shape[2]))[::-1],
        )
        places = [stack.slice_origins_mm[s.k] for s in each.slices]
        axis = 2 if each.series.protocol is Protocol.AXIAL_T2 else 0
        along = np.diff([place[axis] for place in places])
        assert np.all(along < 0) if axis == 2 else np.all(along > 0)


def test_stacks_of_one_series_are_scrolled_as_one(study):
    low = axial_stack(np.ones((11, 21, 4)))
    affine = low.affine_lps.copy()
    affine[2, 3] += 100
    both = make_study(axial_t2=low)
    both.series[0].stacks.append(Stack.from_array(low.voxels, affine))
    (found,) = scrolled_series(both, make_grades(), num_bytes=10**6)
    assert [(s.stack, s.k) for s in found.slices] == [(n, k) for n in (1, 0) for k in (3, 2, 1, 0)]


def test_a_mark_lies_where_its_target_does(study, series):
    left, right = one_sided.LEFT_RECESS, one_sided.RIGHT_RECESS
    (axial,) = [s for s in series if s.series.protocol is Protocol.AXIAL_T2]
    here = {
        mark.target.index: mark
        for shown in axial.slices
        for mark in shown.marks
        if mark.is_here and mark.side_mm is not None
    }
    # The picture's left edge is at x = -59.25 mm, its upper one at y = -44.25 mm.
    assert here[left].place_mm == pytest.approx((12 + 59.25, 44.25))
    assert here[right].place_mm == pytest.approx((-12 + 59.25, 44.25))
    assert here[left].side_mm == 24.0


def test_squares_are_on_the_slices_that_were_looked_at_and_on_no_other(study, series):
    expected = {
        (square.series, square.target, k)
        for square in seen_squares(one_sided.grades(study))
        for k in square.slices
    }
    found = {
        (each.series.name, mark.target, shown.k)
        for each in series
        for shown in each.slices
        for mark in shown.marks
        if mark.side_mm is not None
    }
    assert found == expected
    assert len(found) == 3 * (5 * 2 + 10 + 10)


def test_of_what_was_not_graded_no_square_is_drawn(study):
    grades = replace(one_sided.grades(study), imputed=np.arange(25) >= 15)
    assert {square.target.index for square in seen_squares(grades)} == set(range(15))


def test_a_series_that_cannot_be_decoded_says_so_and_the_others_are_shown():
    def fail():
        raise PixelError("no", remedy="none", code="VS-PIX-999")

    broken = Stack(np.eye(4), np.zeros((2, 3)), (4, 4), fail)
    whole = make_study(sagittal_t2=sagittal_stack(np.ones((11, 21, 3))))
    whole.series.insert(0, Series("b", "broken", Protocol.OTHER, "r", [broken]))
    bad, good = scrolled_series(whole, make_grades(), num_bytes=10**6)
    assert bad.why_not == "it cannot be decoded (VS-PIX-999)"
    assert bad.slices == ()
    assert len(good.slices) == 3
    assert "No picture: it cannot be decoded" in render_report(make_grades(), series=[bad, good])


def test_of_a_series_that_is_not_used_one_in_so_many_slices_is_shown():
    many = sagittal_stack(np.ones((4, 5, 3 * MOST_OTHERS - 1)))
    found = scrolled_series(make_study(other=many), make_grades(), num_bytes=10**6)
    assert found[0].every == 3
    assert len(found[0].slices) == MOST_OTHERS
    assert "One in 3 slices is shown." in render_report(make_grades(), series=found)
    assert MOST_USED > 2 * MOST_OTHERS


@pytest.mark.slow
def test_a_page_of_very_many_noisy_slices_is_below_its_size():
    rng = np.random.default_rng(0)
    noise = rng.normal(500, 100, (384, 384, 420)).astype(np.float32)
    study = make_study(
        sagittal_t1=sagittal_stack(noise[..., :120]),
        sagittal_t2=sagittal_stack(noise[..., 120:240]),
        axial_t2=axial_stack(noise[..., 240:]),
    )
    told = [{"name": s.name, "is_used": True, "use": "yes: it is"} for s in study.series]
    told = [{**each, "protocol": "p", "reason": "r"} for each in told]
    grades = make_grades(provenance={"series": told})
    found = study_series(study, grades)
    assert sum(len(each.slices) for each in found) == 420
    assert len(render_report(grades, series=found)) < PAGE_BYTES


def noisy(count, edge=64):
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (edge, edge), dtype=np.uint8) for _ in range(count)]


@given(st.integers(1_000, 40_000))
def test_files_fit_or_are_as_small_as_can_be(num_bytes):
    files, rung = encoded_within(noisy(6), num_bytes)
    assert len(files) == 6
    assert sum(map(len, files)) <= num_bytes or rung == RUNGS[-1]


def test_the_best_rung_that_fits_is_taken():
    slices = noisy(6)
    sizes = []
    for rung in RUNGS:
        files, taken = encoded_within(slices, 0 if rung == RUNGS[-1] else 10**9)
        assert taken == (RUNGS[-1] if rung == RUNGS[-1] else RUNGS[0])
        sizes.append(sum(map(len, files)))
    for limit in range(sizes[-1], sizes[0], 1500):
        files, rung = encoded_within(slices, limit)
        if rung != RUNGS[0]:
            better = RUNGS[RUNGS.index(rung) - 1]
            assert sum(map(len, _at(slices, better))) > limit


def _at(slices, rung):
    from volspine.report import ladder

    return ladder._encoded(slices, rung, None)


def test_no_slice_is_enlarged_and_none_is_lost():
    files, rung = encoded_within([np.zeros((3, 5), np.uint8)], 10**6)
    assert rung == RUNGS[0]
    assert len(files) == 1
    assert encoded_within([], 0) == ([], RUNGS[0])


def test_the_box_of_a_grid_is_cut_where_it_lies():
    view = upright_slice(axial_stack(np.zeros((11, 21, 4))), 2)  # z = 2; x from -11, y from -21.
    box = np.array([[-5.0, -15.0, -10.0], [7.0, 5.0, 10.0]])
    outline = box_outline(box, view)
    expected = np.array([(6.0, 6.0), (6.0, 26.0), (18.0, 6.0), (18.0, 26.0)])
    assert np.array(sorted(outline)) == pytest.approx(expected)
    turns = np.array([*outline, outline[0]])  # In order around: every side is along an axis.
    assert np.all(np.isclose(np.diff(turns, axis=0), 0).any(axis=1))
    assert box_outline(box + np.array([0, 0, 50.0]), view) == []


@pytest.mark.parametrize(
    ("x", "tag", "words"),
    [
        (-18.0, "R 18 mm", "18 mm to the patient's right of the midline"),
        (2.0, "midline", "in the midline"),
        (18.0, "L 18 mm", "18 mm to the patient's left of the midline"),
    ],
)
def test_a_sagittal_slice_says_on_which_side_of_the_midline_it_lies(x, tag, words):
    affine = np.array([[0, 0, 4.0, x], [2.0, 0, 0, -20], [0, -2.0, 0, 30], [0, 0, 0, 1]])
    stack = Stack.from_array(np.zeros((21, 31, 2), np.float32), affine)
    said = beside_canal(stack, 0, one_sided.points())
    assert (said.tag, said.words) == (tag, words)


def test_an_axial_slice_says_which_disc_it_is_nearest_to():
    stack = axial_stack(np.zeros((11, 21, 4)))  # z = -6, -2, 2 and 6; L3/L4 lies at 0.
    said = [beside_canal(stack, k, one_sided.points()) for k in range(4)]
    assert said[0].words == "6 mm below the middle of L3/L4"
    assert said[3].tag == "L3/L4 +6 mm"


def test_the_midline_of_a_bent_spine_is_that_of_the_level_looked_at():
    points = one_sided.points()
    points[:, 0] += 5.0 * (np.arange(25) % 5)  # L1/L2 at 0, L5/S1 at 20 mm.
    affine = np.array([[0, 0, 4.0, 20.0], [2.0, 0, 0, -20], [0, -2.0, 0, 30], [0, 0, 0, 1]])
    stack = Stack.from_array(np.zeros((21, 31, 2), np.float32), affine)
    assert beside_canal(stack, 0, points, near_mm=points[0]).tag == "L 20 mm"
    assert beside_canal(stack, 0, points, near_mm=points[4]).tag == "midline"


def test_without_places_a_sagittal_slice_is_told_from_the_middle_of_its_stack():
    stack = sagittal_stack(np.zeros((21, 31, 11)))  # The middle slice is number 5.
    nowhere = np.full((25, 3), np.nan)
    assert beside_canal(stack, 5, nowhere).words == "in the middle of the stack"
    right = "16 mm to the patient's right of the middle of the stack"
    assert beside_canal(stack, 1, nowhere).words == right


def test_the_page_draws_the_box_of_a_model_of_whole_studies(study):
    grid = {"grid": {"center_mm": [0, 0, 0], "spacing_mm": [4, 1, 1], "shape": [10, 60, 140]}}
    grades = make_grades(provenance=grid)
    page = render_report(grades, series=study_series(study, grades))
    # The box is 40 mm wide and 140 mm high: 10 of the 16 sagittal slices, 35 of the 36 axial ones.
    assert page.count('<polygon class="box"') == 2 * 10 + 35
    assert 'class="square"' not in page


def test_a_refused_study_can_be_scrolled_all_the_same(study):
    refused = StudyGrades.refused("x", "no spine is seen")
    page = render_report(refused, series=study_series(study, refused))
    assert page.count('class="slice"') == 16 + 16 + 36
    assert "Nothing was graded: no spine is seen." in page
    assert 'class="place"' not in page
