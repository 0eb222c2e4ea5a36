"""Truth: grades follow the measures, landmarks lie where anatomy is, pairs differ in one grade."""

from dataclasses import replace

import numpy as np
import pytest

from volspine.anatomy import TARGETS, Finding, Side
from volspine.errors import ConfigurationError
from volspine.phantom.spec import Cohort, Noise, Spec
from volspine.phantom.targets import THRESHOLDS
from volspine.phantom.truth import build_truth


def test_grades_follow_from_the_measures():
    truth = build_truth(Spec(seed=3, cohort=Cohort.PROBE))
    for target, measure, grade in zip(TARGETS, truth.measures, truth.grades, strict=True):
        assert grade == sum(measure < limit for limit in THRESHOLDS[target.finding])


def test_landmarks_descend_and_lie_at_published_distances_from_the_midline():
    truth = build_truth(Spec(seed=3))
    points = truth.landmarks_mm.reshape(5, 5, 3)
    assert (np.diff(points[:, :, 2], axis=1) < -15).all()
    for target in TARGETS:
        x = truth.landmarks_mm[target.index, 0] - points[0, target.index % 5, 0]
        side = {None: 0, Side.LEFT: 1, Side.RIGHT: -1}[target.side]
        middle = {Finding.CANAL: 0.0, Finding.FORAMEN: 17.0, Finding.RECESS: 9.0}[target.finding]
        assert x == pytest.approx(side * middle, abs=2.5)


def test_noise_and_headers_do_not_touch_the_anatomy():
    spec = Spec(seed=5, index=7)
    first, second = build_truth(spec), build_truth(replace(spec, noise=Noise.NONE))
    assert (first.measures == second.measures).all()
    assert (first.landmarks_mm == second.landmarks_mm).all()


def test_studies_do_not_depend_on_one_another_but_on_seed_and_index():
    a, b = build_truth(Spec(seed=5, index=1)), build_truth(Spec(seed=5, index=2))
    assert (a.measures == b.measures).mean() < 0.3
    assert (build_truth(Spec(seed=5, index=1)).measures == a.measures).all()
    assert (build_truth(Spec(seed=6, index=1)).measures == a.measures).mean() < 0.3


@pytest.mark.parametrize("index", [0, 4])
def test_a_pair_differs_in_one_grade_and_in_no_person(index):
    spec = Spec(seed=2, index=index, cohort=Cohort.PAIRS)
    here, there = build_truth(spec), build_truth(replace(spec, index=index + 1))
    changed = np.flatnonzero(here.grades != there.grades)
    assert changed.tolist() == [here.pair.target.index] == [there.pair.target.index]
    assert here.pair.grades == (here.grades[changed[0]], there.grades[changed[0]])
    assert there.pair.grades == here.pair.grades[::-1]
    assert here.pair.partner == there.spec.study_id
    assert here.anatomy.subject.size == there.anatomy.subject.size


def test_a_pair_that_never_comes_out_ends_with_a_remedy(monkeypatch):
    spec = Spec(seed=2, cohort=Cohort.PAIRS)
    alike = build_truth(replace(spec, cohort=Cohort.PROBE))
    monkeypatch.setattr("volspine.phantom.truth._build", lambda *_: alike)
    with pytest.raises(ConfigurationError, match="VS-CFG-109"):
        build_truth(spec)


@pytest.mark.slow
def test_a_probe_is_in_thirds_whatever_the_side():
    grades = np.array([build_truth(Spec(index=n, cohort=Cohort.PROBE)).grades for n in range(60)])
    counts = np.bincount(grades.ravel(), minlength=3) / grades.size
    assert counts == pytest.approx(1 / 3, abs=0.05)
    left, right = grades[:, 5:10].ravel(), grades[:, 10:15].ravel()
    assert (left == right).mean() == pytest.approx(1 / 3, abs=0.12)
