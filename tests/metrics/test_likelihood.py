import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volspine.errors import ConfigurationError
from volspine.metrics.likelihood import likelihood_gain

SHAPE = (40, 25, 3)


def reports(seed, sharp=3.0):
    rng = np.random.default_rng(seed)
    scores = sharp * rng.standard_normal(SHAPE)
    p = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
    grades = (rng.random(SHAPE[:2])[..., None] > p.cumsum(axis=-1)).sum(axis=-1)
    return p, np.minimum(grades, 2)


def test_two_labels_by_hand():
    first = np.array([[[0.5, 0.25, 0.25]], [[0.5, 0.25, 0.25]]])
    second = np.array([[[0.8, 0.1, 0.1]], [[0.3, 0.5, 0.2]]])
    gain = likelihood_gain(first, second, np.array([[0], [1]]))
    assert gain.before == pytest.approx((np.log(2) + np.log(4)) / 2)
    assert gain.after == pytest.approx(-(np.log(0.8) + np.log(0.5)) / 2)
    assert gain.labels == 2
    assert gain.low <= gain.before - gain.after <= gain.high


def test_missing_labels_count_nothing():
    p, grades = reports(0)
    fewer = np.where(np.arange(25) < 5, grades, -1)
    alone = likelihood_gain(p[:, :5], p[:, :5] ** 1, grades[:, :5])
    assert likelihood_gain(p, p, fewer).before == pytest.approx(alone.before)


@given(st.integers(0, 1000))
def test_the_truth_is_likelier_than_what_is_bolder_or_more_careful(seed):
    p, grades = reports(seed)
    for power in (0.3, 3.0):
        other = p**power / (p**power).sum(axis=-1, keepdims=True)
        gain = likelihood_gain(other, p, grades, resamples=200)
        assert gain.before > gain.after
        assert gain.low > 0


def test_a_report_beside_itself_gains_nothing_for_certain():
    p, grades = reports(1)
    gain = likelihood_gain(p, p, grades)
    assert (gain.low, gain.high) == (0, 0)


@pytest.mark.parametrize(
    ("shape", "label"), [((40, 25, 2), 0), (SHAPE, -1)], ids=["shape", "no label"]
)
def test_reports_that_cannot_be_compared_are_refused(shape, label):
    with pytest.raises(ConfigurationError, match="cannot be compared"):
        likelihood_gain(np.ones(SHAPE), np.ones(shape), np.full(SHAPE[:2], label))
