"""Severity to measure and back: the published cuts land on the thresholds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volspine.anatomy import TARGETS, Finding
from volspine.phantom.labels import grades_of
from volspine.phantom.prevalence import cutpoints
from volspine.phantom.targets import (
    THRESHOLDS,
    draw_measures,
    grade_measures,
    measure_of,
    severity_of,
    wanted,
)

NAMES = [target.name for target in TARGETS]


def test_the_cut_points_land_on_the_thresholds():
    limits = np.array([THRESHOLDS[t.finding] for t in TARGETS])
    assert measure_of(cutpoints()[:, 0]) == pytest.approx(limits[:, 0])
    assert measure_of(cutpoints()[:, 1]) == pytest.approx(limits[:, 1])


def test_grades_by_hand():
    measures = np.full(25, 9.0)
    measures[NAMES.index("spinal_canal_stenosis_l1_l2")] = 0.61
    measures[NAMES.index("left_subarticular_stenosis_l5_s1")] = 2.4
    measures[NAMES.index("right_subarticular_stenosis_l5_s1")] = 2.6
    measures[NAMES.index("left_neural_foraminal_narrowing_l3_l4")] = 14 / 32
    measures[NAMES.index("right_neural_foraminal_narrowing_l3_l4")] = 3 / 32
    graded = dict(zip(NAMES, grade_measures(measures), strict=True))
    assert graded["spinal_canal_stenosis_l1_l2"] == 1
    assert graded["left_subarticular_stenosis_l5_s1"] == 2
    assert graded["right_subarticular_stenosis_l5_s1"] == 1
    assert graded["left_neural_foraminal_narrowing_l3_l4"] == 1
    assert graded["right_neural_foraminal_narrowing_l3_l4"] == 2
    assert sum(graded.values()) == 7


@given(st.lists(st.floats(-2.5, 4.0), min_size=25, max_size=25))
def test_the_grade_of_the_measure_is_the_grade_of_the_severity(values):
    severity = np.array(values)
    clear = (np.abs(severity[:, None] - cutpoints()) > 1e-6).all(axis=1)
    expected = grades_of(severity, cutpoints())
    assert (grade_measures(measure_of(severity)) == expected)[clear].all()


def test_severity_inverts_measure_within_the_drawn_range():
    severity = cutpoints()[:, 0] * 0.3 + cutpoints()[:, 1] * 0.7
    assert severity_of(measure_of(severity)) == pytest.approx(severity)


def test_drawn_measures_have_the_wanted_grade():
    rng = np.random.default_rng(4)
    for grades in rng.integers(0, 3, (50, 25)):
        assert (grade_measures(draw_measures(grades, rng)) == grades).all()


def test_sides_are_sorted_left_first():
    measures = np.zeros(25)
    measures[NAMES.index("left_subarticular_stenosis_l2_l3")] = 7.0
    measures[NAMES.index("right_neural_foraminal_narrowing_l5_s1")] = 0.5
    table = wanted(measures)
    assert table.recess[1].tolist() == [7.0, 0.0]
    assert table.foramen[4].tolist() == [0.0, 0.5]
    assert Finding.CANAL in THRESHOLDS
