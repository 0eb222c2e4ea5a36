"""The decision layer: the report that a weighted loss wants, and the prior."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volspine.decide import decide, frequencies, prior
from volspine.errors import ConfigurationError
from volspine.metrics.rsna import rsna_terms

SHARES = st.lists(st.floats(0.001, 1.0), min_size=3, max_size=3)


def normalised(shares: list[float]) -> np.ndarray:
    return np.array(shares) / np.sum(shares)


def expected_loss(p: np.ndarray, q: np.ndarray, w: np.ndarray) -> float:
    return float(-(p * w * np.log(q)).sum())


def test_a_hand_worked_decision() -> None:
    assert decide([0.8, 0.1, 0.1]).tolist() == pytest.approx([8 / 14, 2 / 14, 4 / 14])


def test_equal_weights_change_nothing() -> None:
    assert decide([0.7, 0.2, 0.1], [3, 3, 3]).tolist() == pytest.approx([0.7, 0.2, 0.1])


@given(SHARES, SHARES)
def test_no_other_report_costs_less(p: list[float], other: list[float]) -> None:
    truth, weights = normalised(p), np.array([1.0, 2.0, 4.0])
    best = expected_loss(truth, decide(truth), weights)
    assert best <= expected_loss(truth, normalised(other), weights) + 1e-9


@pytest.mark.parametrize("p", [[0.8, 0.15, 0.05], [0.5, 0.3, 0.2], [0.05, 0.15, 0.8]])
def test_of_all_reports_on_a_lattice_drawn_labels_like_it_best(p: list[float]) -> None:
    """Monte Carlo with the metric itself: 40,000 studies of one probability."""
    labels = np.random.default_rng(0).choice(3, size=(40_000, 1), p=p).repeat(25, axis=1)
    steps = np.linspace(0.02, 0.96, 48)
    lattice = [(a, b, 1 - a - b) for a in steps for b in steps if 1 - a - b > 0.019]
    counts = np.bincount(labels[:, 0], minlength=3) * [1.0, 2.0, 4.0]
    losses = [-(counts * np.log(q)).sum() / counts.sum() for q in lattice]
    best = np.array(lattice[int(np.argmin(losses))])
    assert np.abs(best - decide(p)).max() < 0.03  # A step of the lattice, and chance.
    report = np.broadcast_to(decide(p), (len(labels), 25, 3))
    terms = rsna_terms(labels, report).score()
    assert terms.foraminal <= min(losses) + 1e-3
    rival = np.broadcast_to(best, report.shape)
    assert rsna_terms(labels, rival).score().foraminal == pytest.approx(min(losses))


@given(SHARES)
def test_the_inverse_weights_undo_it(p: list[float]) -> None:
    there = decide(normalised(p))
    assert np.allclose(decide(there, [1.0, 0.5, 0.25]), normalised(p))


def test_any_leading_shape_is_kept() -> None:
    p = np.full((2, 25, 3), 1 / 3)
    assert decide(p).shape == p.shape
    assert np.allclose(decide(p).sum(axis=-1), 1)
    assert np.allclose(p, 1 / 3), "the input stays as it was"


def test_certainty_stays_certain() -> None:
    assert decide([0.0, 0.0, 1.0]).tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("p", [[0.5, 0.5, 0.5], [1.5, -0.5, 0.0], [np.nan, 0.5, 0.5]])
def test_what_is_no_distribution_is_refused(p: list[float]) -> None:
    with pytest.raises(ConfigurationError, match="sum to one"):
        decide(p)


@pytest.mark.parametrize("weights", [[1, 2], [1, 0, 4], [1, -1, 4], [1, np.nan, 4]])
def test_weights_that_do_not_fit_are_refused(weights: list[float]) -> None:
    with pytest.raises(ConfigurationError, match="do not fit"):
        decide([0.2, 0.3, 0.5], weights)


def test_frequencies_count_known_grades_plus_a_half() -> None:
    labels = np.array([[0, 2], [0, -1], [1, -1]])
    assert np.allclose(frequencies(labels), [[2.5 / 4.5, 1.5 / 4.5, 0.5 / 4.5], [0.2, 0.2, 0.6]])


def test_nothing_known_is_uniform() -> None:
    assert np.allclose(frequencies(np.full((4, 2), -1)), 1 / 3)
    assert np.allclose(frequencies(np.zeros((0, 2), dtype=int)), 1 / 3)


def test_the_prior_is_the_decided_frequency() -> None:
    labels = np.random.default_rng(0).integers(-1, 3, size=(50, 25))
    assert prior(labels).shape == (25, 3)
    assert np.allclose(prior(labels), decide(frequencies(labels)))


def test_labels_below_minus_one_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="grade -2 is below -1"):
        prior(np.array([[-2]]))
