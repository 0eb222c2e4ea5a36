"""Filing: plain where the cohort is, untidy at the counted rates, the same for all headers."""

from dataclasses import replace

import numpy as np
import pytest

from volspine.anatomy import TARGETS, Condition
from volspine.phantom import filing
from volspine.phantom.filing import Filing, Marking, SeriesFiling, file_study, numbered, rescale
from volspine.phantom.plan import draw_plan
from volspine.phantom.spec import Cohort, Header, Noise, Size, Spec
from volspine.phantom.truth import build_truth

SPEC = Spec(seed=1, size=Size.SMALL)


@pytest.fixture(scope="module")
def plan():
    return draw_plan(SPEC, build_truth(SPEC).anatomy)


@pytest.fixture(scope="module")
def filed(plan):
    return [file_study(replace(SPEC, index=index), plan) for index in range(1500)]


@pytest.mark.parametrize("cohort", [Cohort.PROBE, Cohort.PAIRS, Cohort.CLEAN])
def test_cohorts_for_proofs_are_filed_plainly(plan, cohort):
    series = tuple(SeriesFiling(numbered(len(p.centres_mm))) for p in plan.series)
    for index in range(20):
        assert file_study(replace(SPEC, cohort=cohort, index=index), plan) == Filing(series)


def test_neither_header_nor_reader_changes_how_a_study_is_filed(plan, filed):
    for index in range(5):
        spec = replace(SPEC, index=index, header=Header.FULL, noise=Noise.NONE)
        assert file_study(spec, plan) == filed[index]


def share(found):
    return float(np.mean(list(found)))


def test_the_untidiness_is_as_frequent_as_it_was_counted(plan, filed):
    near = {"abs": 0.03}
    assert share(f.series[0].slope != 1.0 for f in filed) == pytest.approx(filing.ODD_SCALE, **near)
    assert share(not f.says_scale for f in filed) == pytest.approx(filing.NO_SCALE, **near)
    assert share(f.spacing_is_gap for f in filed) == pytest.approx(0.03, abs=0.015)
    odd = share(f.series[0].numbers != numbered(len(plan.series[0].centres_mm)) for f in filed)
    assert odd == pytest.approx(filing.ODD_NUMBERS, abs=0.015)
    absent = share(m is Marking.ABSENT for f in filed for m in f.markings)
    assert absent == pytest.approx(filing.UNMARKED, abs=0.001)
    blank = share(b for f in filed for b in f.blank_marked)
    assert blank == pytest.approx(filing.BLANK_MARKED, abs=0.01)


def test_a_study_with_odd_scale_says_so(filed):
    for found in filed:
        plain = all((s.slope, s.intercept) == (1.0, 0.0) for s in found.series)
        assert plain or found.says_scale


def test_instance_numbers_grow_whatever_their_gaps(filed):
    for found in filed:
        for series in found.series:
            assert series.numbers[0] >= 1
            assert min(np.diff(series.numbers)) >= 1


def test_only_canals_are_marked_on_another_series(filed):
    found = {
        TARGETS[n].condition
        for f in filed
        for n, marking in enumerate(f.markings)
        if marking is Marking.ELSEWHERE
    }
    assert found <= {Condition.SPINAL_CANAL_STENOSIS}


def test_values_are_stored_ones_times_slope_plus_intercept():
    stored = np.array([0, 1, 4095], dtype=np.uint16)
    values = rescale(stored, SeriesFiling((1, 2, 3), 0.5, -4.0))
    assert values.tolist() == [-4.0, -3.5, 2043.5]
    assert values.dtype == np.float32
