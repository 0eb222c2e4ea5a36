"""Estimates with intervals: three terms, kappa, accuracy, and differences of shared draws."""

import numpy as np
import pytest

from volspine.anatomy import TARGETS
from volspine.errors import ConfigurationError
from volspine.metrics.bootstrap import bootstrap_difference
from volspine.metrics.intervals import GROUPS, LOSSES, agreement, estimates, loss_columns
from volspine.metrics.ordinal import ordinal_scores
from volspine.metrics.rsna import rsna_terms


def drawn(studies=30, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(-1, 3, (studies, 25)), rng.dirichlet(np.ones(3), (studies, 25))


def test_the_three_terms_are_the_mean_of_canal_foramina_and_recesses():
    grades, p = drawn()
    terms = rsna_terms(grades, p)
    columns = loss_columns(terms, resamples=50)
    score = terms.score()
    three = np.mean([score.spinal, score.foraminal, score.subarticular])
    assert columns.shape == (51, len(LOSSES))
    assert columns[0, 0] == pytest.approx(three)
    assert columns[0, LOSSES.index("total")] == pytest.approx(score.total)
    np.testing.assert_allclose(columns[:, 0], columns[:, 2:5].mean(axis=1))


def test_a_difference_of_columns_has_the_paired_interval_of_the_bootstrap():
    grades, p = drawn()
    first, second = rsna_terms(grades, p), rsna_terms(grades, p[::-1].copy())
    found = estimates(loss_columns(first, seed=3) - loss_columns(second, seed=3))
    told = bootstrap_difference(first, second, resamples=2000, levels=(0.9,), seed=3)
    for name in ("total", "spinal", "any_severe"):
        one, interval = found[LOSSES.index(name)], told[name][0]
        assert (one.low, one.high) == pytest.approx((interval.low, interval.high))


def test_kappa_and_accuracy_are_those_of_the_ordinal_scores_and_lie_in_their_intervals():
    grades, p = drawn()
    given = p.argmax(axis=-1)
    given[:, :12] = np.maximum(grades[:, :12], 0)
    found = agreement(grades, given, resamples=200)
    for name, targets in GROUPS.items():
        expected = ordinal_scores(grades[:, targets], given[:, targets])
        assert found[name].kappa.value == pytest.approx(expected.kappa)
        assert found[name].accuracy.value == pytest.approx(expected.accuracy)
        for each in found[name]:
            assert each.low <= each.value <= each.high


def test_groups_are_all_targets_and_those_of_each_finding():
    assert [len(t) for t in GROUPS.values()] == [25, 5, 10, 10]
    assert list(GROUPS) == ["all", "canal", "foramen", "recess"]
    assert sorted(t for name in list(GROUPS)[1:] for t in GROUPS[name]) == [
        t.index for t in TARGETS
    ]


def test_where_nothing_is_known_there_is_no_estimate():
    grades, p = drawn(5)
    grades[:, GROUPS["canal"]] = -1
    found = agreement(grades, p.argmax(axis=-1), resamples=20)["canal"]
    assert np.isnan([*found.kappa, *found.accuracy]).all()


def test_grades_of_other_shapes_are_refused():
    with pytest.raises(ConfigurationError, match="cannot be compared") as e:
        agreement(np.zeros((3, 25), dtype=int), np.zeros((3, 24), dtype=int))
    assert e.value.code == "VS-CFG-219"
