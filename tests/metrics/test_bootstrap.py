"""The patient bootstrap: exact where it can be worked out, paired where it must be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volspine.errors import ConfigurationError
from volspine.metrics.bootstrap import bootstrap_difference, bootstrap_scores, resample
from volspine.metrics.rsna import TERMS, Terms


def terms(losses: np.ndarray) -> Terms:
    """Studies of equal weight, the same loss in every term."""
    numerators = np.repeat(losses[:, None], len(TERMS), axis=1)
    return Terms(numerators, np.ones_like(numerators))


def test_the_interval_of_a_mean_is_that_of_theory() -> None:
    # 400 studies with standard deviation 1: the 90 % interval is 1.645 / 20 to each side.
    rng = np.random.default_rng(0)
    losses = rng.normal(5.0, 1.0, size=400)
    losses = (losses - losses.mean()) / losses.std() + 5.0
    interval = bootstrap_scores(terms(losses), resamples=4000)["total"][0]
    assert interval.low == pytest.approx(5 - 1.645 / 20, abs=0.006)
    assert interval.high == pytest.approx(5 + 1.645 / 20, abs=0.006)


def test_identical_studies_leave_no_doubt() -> None:
    for low, high, _ in bootstrap_scores(terms(np.full(9, 0.5)), resamples=50)["spinal"]:
        assert (low, high) == (0.5, 0.5)


@given(st.integers(2, 30), st.integers(0, 1000))
def test_a_wider_level_holds_a_narrower_one_and_both_the_range(n: int, seed: int) -> None:
    losses = np.random.default_rng(seed).random(n)
    narrow, wide = bootstrap_scores(terms(losses), resamples=100, levels=(0.5, 0.95))["total"]
    assert losses.min() - 1e-9 <= wide.low <= narrow.low <= narrow.high <= wide.high
    assert wide.high <= losses.max() + 1e-9


def test_a_study_is_drawn_whole() -> None:
    """Canal loss 1 with recess loss 0 and the reverse: the total is 1/2 in every draw."""
    flip = np.array([1.0, 0.0] * 10)
    numerators = np.stack([flip, flip, 1 - flip, 1 - flip], axis=1)
    draws = resample(Terms(numerators, np.ones((20, 4))), resamples=300)
    assert np.allclose(draws[:, 0], 0.5)
    assert draws[:, 1].std() > 0.05


def test_the_same_seed_draws_the_same_whatever_the_number_of_blocks() -> None:
    losses = np.random.default_rng(1).random(15)
    draws = resample(terms(losses), resamples=700, seed=3)
    assert np.array_equal(draws, resample(terms(losses), resamples=700, seed=3))
    assert not np.array_equal(draws, resample(terms(losses), resamples=700, seed=4))
    assert draws.shape == (700, 5)


def test_a_paired_difference_cancels_what_the_studies_share() -> None:
    hard = np.random.default_rng(0).normal(10, 5, size=50)
    first, second = terms(hard + 0.1), terms(hard)
    low, high, level = bootstrap_difference(first, second, resamples=200)["total"][0]
    assert (low, high, level) == (pytest.approx(0.1), pytest.approx(0.1), 0.90)
    unpaired = bootstrap_scores(first, resamples=200)["total"][0]
    assert unpaired.high - unpaired.low > 1


def test_the_sign_of_a_difference_is_first_less_second() -> None:
    low, high, _ = bootstrap_difference(terms(np.ones(5)), terms(np.zeros(5)))["spinal"][1]
    assert (low, high) == (1.0, 1.0)


def test_a_term_that_no_drawn_study_has_is_left_out_and_never_an_error() -> None:
    numerators = np.array([[1.0, 1.0, 1.0, 1.0], [2.0, 0.0, 2.0, 2.0]])
    given_terms = Terms(numerators, (numerators > 0).astype(float))
    intervals = bootstrap_scores(given_terms, resamples=200)
    assert (intervals["foraminal"][0].low, intervals["foraminal"][0].high) == (1.0, 1.0)
    nothing = Terms(np.zeros((2, 4)), np.zeros((2, 4)))
    assert np.isnan(bootstrap_scores(nothing, resamples=5)["total"][0].low)


@pytest.mark.parametrize(("n", "resamples"), [(0, 10), (3, 0)])
def test_nothing_to_draw_is_refused(n: int, resamples: int) -> None:
    with pytest.raises(ConfigurationError, match="not possible"):
        bootstrap_scores(terms(np.ones(n)), resamples=resamples)


@pytest.mark.parametrize("level", [0.0, 1.0, 90.0])
def test_a_level_that_is_no_share_is_refused(level: float) -> None:
    with pytest.raises(ConfigurationError, match="not shares"):
        bootstrap_scores(terms(np.ones(3)), levels=(level,))


def test_predictions_on_other_studies_or_labels_cannot_be_paired() -> None:
    with pytest.raises(ConfigurationError, match="same studies"):
        bootstrap_difference(terms(np.ones(3)), terms(np.ones(4)))
    with pytest.raises(ConfigurationError, match="same studies"):
        bootstrap_difference(terms(np.ones(3)), Terms(np.ones((3, 4)), np.full((3, 4), 2.0)))
