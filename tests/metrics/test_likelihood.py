import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volspine.errors import ConfigurationError
from volspine.metrics.likelihood import likelihood_loss

SHAPE = (40, 25, 3)


def reports(seed, sharp=3.0):
    """Return probabilities of 40 studies and labels that are drawn from them."""
    rng = np.random.default_rng(seed)
    scores = sharp * rng.standard_normal(SHAPE)
    p = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
    grades = (rng.random(SHAPE[:2])[..., None] > p.cumsum(axis=-1)).sum(axis=-1)
    return p, np.minimum(grades, 2)


def test_two_labels_by_hand():
    report = np.array([[[0.8, 0.1, 0.1]], [[0.3, 0.5, 0.2]]])
    cost = likelihood_loss(report, np.array([[0], [1]]))
    assert cost == pytest.approx(-(np.log(0.8) + np.log(0.5)) / 2)


def test_a_label_that_was_held_impossible_costs_much_but_not_everything():
    assert 30 < likelihood_loss(np.array([[[1.0, 0.0, 0.0]]]), np.array([[2]])) < 40


def test_missing_labels_count_nothing():
    p, grades = reports(0)
    fewer = np.where(np.arange(25) < 5, grades, -1)
    assert likelihood_loss(p, fewer) == pytest.approx(likelihood_loss(p[:, :5], grades[:, :5]))


@given(st.integers(0, 1000))
def test_the_truth_is_likelier_than_what_is_bolder_or_more_careful(seed):
    p, grades = reports(seed)
    for power in (0.3, 3.0):
        other = p**power / (p**power).sum(axis=-1, keepdims=True)
        assert likelihood_loss(p, grades) < likelihood_loss(other, grades)


@pytest.mark.parametrize(
    ("shape", "label"), [((40, 24, 3), 0), (SHAPE, -1)], ids=["shape", "no label"]
)
def test_labels_that_do_not_fit_are_refused(shape, label):
    with pytest.raises(ConfigurationError, match="cannot be judged"):
        likelihood_loss(np.ones(shape), np.full(SHAPE[:2], label))
