"""Doubt: hand values, scikit-learn's AUROC, thresholds that hold whatever the distribution."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volspine.errors import ConfigurationError
from volspine.metrics.doubt import (
    doubt_auroc,
    entropy,
    mutual_information,
    refusal_threshold,
    risk_coverage,
)

SEEDS = st.integers(0, 2**32 - 1)


def test_entropy_is_zero_for_certainty_and_one_for_ignorance():
    assert entropy([0.0, 1.0, 0.0]) == 0
    assert entropy([1 / 3] * 3) == pytest.approx(1)
    assert entropy([0.5, 0.5, 0.0]) == pytest.approx(np.log(2) / np.log(3))


def test_samples_that_agree_share_no_information_however_unsure():
    assert mutual_information(np.full((4, 2, 3), 1 / 3)).tolist() == [0, 0]
    assert mutual_information(np.eye(3)) == pytest.approx(1)


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_information_is_part_of_the_entropy_of_the_mean(seed):
    p = np.random.default_rng(seed).dirichlet([0.5, 0.5, 0.5], size=(5, 25))
    information = mutual_information(p)
    assert information.shape == (25,)
    assert np.all(information >= 0)
    assert np.all(information <= entropy(p.mean(axis=0)) + 1e-12)
    assert np.allclose(mutual_information(p[::-1]), information)


@given(SEEDS, st.integers(1, 12), st.integers(1, 12))
@settings(max_examples=20, deadline=None)
def test_scikit_learn_gives_the_same_auroc(seed, n, m):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 6, n), rng.integers(1, 8, m)
    expected = metrics.roc_auc_score(np.repeat([0, 1], [n, m]), np.concatenate([a, b]))
    found = doubt_auroc(a, b, resamples=20)
    assert found.value == pytest.approx(expected)
    assert doubt_auroc(b, a, resamples=1).value == pytest.approx(1 - expected)
    assert 0 <= found.interval.low <= found.interval.high <= 1 + 1e-12


def test_the_interval_of_an_auroc_covers_the_truth_about_as_often_as_it_says():
    """Doubts from N(0, 1) and N(1, 1): the truth is Phi(1 / sqrt 2) = 0.760."""
    rng = np.random.default_rng(0)
    hits = []
    for _ in range(100):
        found = doubt_auroc(rng.normal(0, 1, 40), rng.normal(1, 1, 40), resamples=200)
        hits.append(found.interval.low <= 0.7602 <= found.interval.high)
    assert 0.88 <= np.mean(hits) <= 0.99


def test_doubt_that_knows_what_is_wrong_keeps_no_error():
    wrong = np.array([True] * 3 + [False] * 7)
    best = risk_coverage(wrong.astype(float), wrong)
    assert best.risk_at(0.7) == 0
    assert best.risk_at(1.0) == pytest.approx(0.3)
    worst = risk_coverage(-wrong.astype(float), wrong)
    assert worst.risk_at(0.3) == 1
    assert best.area < risk_coverage(np.zeros(10), wrong).area < worst.area


def test_doubt_that_is_the_same_everywhere_keeps_the_risk():
    flat = risk_coverage(np.zeros(4), [1, 0, 0, 0])
    assert flat.risk.tolist() == [0.25] * 4
    assert flat.coverage.tolist() == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("n", [19, 50, 199])
def test_another_usual_study_is_refused_no_more_often_than_said(n):
    """Whatever the distribution: 4,000 times n + 1 heavy-tailed doubts."""
    doubts = np.random.default_rng(n).standard_cauchy((4000, n + 1))
    thresholds = [refusal_threshold(row[:-1], 0.95) for row in doubts]
    refused = np.mean([row[-1] > t.value for row, t in zip(doubts, thresholds, strict=True)])
    assert thresholds[0].refused <= 0.05 + 1e-12
    assert refused == pytest.approx(thresholds[0].refused, abs=0.012)


def test_too_few_studies_give_their_largest_and_say_what_it_is_worth():
    threshold = refusal_threshold([3.0, 1.0, 2.0], 0.95)
    assert (threshold.value, threshold.refused, threshold.studies) == (3.0, 0.25, 3)


@pytest.mark.parametrize(
    "call",
    [
        lambda: entropy([0.5, 0.6]),
        lambda: mutual_information([[np.nan, 1.0]]),
        lambda: doubt_auroc([], [1.0]),
        lambda: doubt_auroc([np.nan], [1.0]),
        lambda: risk_coverage([1.0, 2.0], [True]),
        lambda: refusal_threshold([1.0], 1.0),
    ],
    ids=["sum", "nan", "none", "nan doubt", "lengths", "share"],
)
def test_what_cannot_be_judged_is_refused(call):
    with pytest.raises(ConfigurationError) as raised:
        call()
    assert raised.value.code == "VS-CFG-124"
