"""Correlation of grades: ranks, pairs, missing cells, and the kinds of pairs."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volspine.anatomy import LEVELS, MIRRORED_INDEX, TARGETS, Side
from volspine.errors import ConfigurationError
from volspine.metrics.correlation import grade_correlation, kinships, paired_studies


def made(seed, studies=40, missing=0.1):
    rng = np.random.default_rng(seed)
    worse = rng.normal(size=(studies, 1))
    grades = np.digitize(worse + rng.normal(size=(studies, 25)), [0.5, 1.5]).astype(float)
    grades[rng.random(grades.shape) < missing] = np.nan
    return grades


def test_five_studies_by_hand():
    grades = np.zeros((5, 25))
    grades[:, 0] = [0, 0, 1, 1, 2]  # ranks 1.5 1.5 3.5 3.5 5
    grades[:, 1] = [0, 1, 0, 1, 2]  # ranks 1.5 3.5 1.5 3.5 5
    rho = grade_correlation(grades)
    # Deviations from the mean rank 3: -1.5 -1.5 .5 .5 2 and -1.5 .5 -1.5 .5 2.
    assert rho[0, 1] == pytest.approx((2.25 - 0.75 - 0.75 + 0.25 + 4) / 9)
    assert rho[0, 0] == rho[1, 1] == pytest.approx(1)
    assert np.isnan(rho[2]).all()  # One and the same grade in every study.


@pytest.mark.parametrize("missing", [0.0, 0.1, 0.6])
def test_pandas_finds_the_same_of_pairwise_complete_cases(missing):
    grades = made(0, missing=missing)
    expected = pd.DataFrame(grades).corr(method="spearman", min_periods=3).to_numpy()
    np.testing.assert_allclose(grade_correlation(grades), expected, atol=1e-12)


def test_of_ranks_it_is_numpys_pearson():
    values = made(1, missing=0.0) + np.random.default_rng(2).random((40, 25))  # No two are equal.
    expected = np.corrcoef(values.argsort(axis=0).argsort(axis=0), rowvar=False)
    np.testing.assert_allclose(grade_correlation(values), expected, atol=1e-12)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_it_asks_for_the_order_of_grades_alone_and_names_no_side(seed):
    grades = made(seed, studies=12)
    rho = grade_correlation(grades)
    np.testing.assert_array_equal(rho, rho.T)
    assert np.nanmax(np.abs(rho)) <= 1 + 1e-12
    np.testing.assert_allclose(grade_correlation(10.0**grades), rho, atol=1e-12)
    swapped = list(MIRRORED_INDEX)
    other = grade_correlation(grades[:, swapped])
    np.testing.assert_allclose(other, rho[np.ix_(swapped, swapped)], atol=1e-12)
    told, reflected = kinships(rho), kinships(other)
    assert [k.mean for k in reflected] == pytest.approx([k.mean for k in told], nan_ok=True)


def test_minus_one_is_missing_and_missing_is_not_normal():
    grades = made(3)
    rho = grade_correlation(np.nan_to_num(grades, nan=-1.0))
    np.testing.assert_array_equal(rho, grade_correlation(grades))
    assert not np.allclose(rho, grade_correlation(np.nan_to_num(grades)), equal_nan=True)
    known = np.isfinite(grades)
    assert paired_studies(grades)[3, 7] == (known[:, 3] & known[:, 7]).sum()


def test_two_studies_in_common_are_too_few():
    grades = made(4, missing=0.0)
    grades[2:, 0] = np.nan
    rho = grade_correlation(grades)
    assert np.isnan(rho[0]).all()
    assert np.isfinite(rho[1:, 1:]).all()


def test_each_kind_of_pair_has_its_own_mean():
    rho = np.zeros((25, 25))
    for a in TARGETS:
        for b in TARGETS:
            steps = abs(LEVELS.index(a.level) - LEVELS.index(b.level))
            if a.finding is b.finding and {a.side, b.side} == {Side.LEFT, Side.RIGHT} and not steps:
                rho[a.index, b.index] = 0.9
            elif a.condition is b.condition and steps == 1:
                rho[a.index, b.index] = 0.5
            elif a.finding is not b.finding and not steps:
                rho[a.index, b.index] = 0.3
    sides, levels, findings, rest = kinships(rho)
    assert (sides.pairs, levels.pairs, findings.pairs, rest.pairs) == (10, 20, 40, 230)
    assert (sides.least, sides.mean, sides.most) == pytest.approx((0.9, 0.9, 0.9))
    assert (levels.mean, findings.mean, rest.mean) == pytest.approx((0.5, 0.3, 0.0))
    assert sides.name.startswith("left with right")


def test_a_kind_without_a_coefficient_has_no_mean():
    for kin in kinships(np.full((25, 25), np.nan)):
        assert kin.pairs == 0
        assert np.isnan(kin.mean)


@pytest.mark.parametrize("grades", [np.zeros((3, 24)), np.zeros(25), np.full((3, 25), np.inf)])
def test_what_is_no_table_of_grades_is_refused(grades):
    with pytest.raises(ConfigurationError, match="cannot be correlated"):
        grade_correlation(grades)


def test_what_is_no_matrix_of_correlations_is_refused():
    with pytest.raises(ConfigurationError, match="shape"):
        kinships(np.eye(24))
