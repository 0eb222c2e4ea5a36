"""The report of a whole study: least expected metric, in closed form, and of the canal alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import softmax

from volspine.anatomy import TARGETS, Finding, Grade
from volspine.any_severe import (
    MEAN_WEIGHTS,
    MeanWeights,
    decide_study,
    expected_canal_loss,
    fit_dependence,
    mean_weights,
)
from volspine.decide import decide
from volspine.errors import ConfigurationError
from volspine.metrics.rsna import rsna_terms
from volspine.phantom.prevalence import latent_correlation, prevalence

CANAL = [t.index for t in TARGETS if t.finding is Finding.CANAL]
SEEDS = st.integers(0, 2**32 - 1)
SEVERE = int(Grade.SEVERE)


def people(n: int, *, seed: int, certainty: float = 3.0) -> np.ndarray:
    """Return calibrated probabilities of studies: near the published shares."""
    rng = np.random.default_rng(seed)
    shares = rng.gamma(np.broadcast_to(certainty * prevalence(), (n, 25, 3))) + 1e-4
    return shares / shares.sum(axis=-1, keepdims=True)


def labels_of(p: np.ndarray, dependence: float, rng: np.random.Generator) -> np.ndarray:
    """Draw labels that follow p, levels of a canal together in a share of the studies."""
    u = rng.random(p.shape[:-1])
    together = rng.random(len(p)) < dependence
    u[np.ix_(together, CANAL)] = rng.random((together.sum(), 1))
    return (u[..., None] > p.cumsum(axis=-1)[..., :-1]).sum(axis=-1)


def perturbed(q: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a report of whose canal odds some are changed, by little or much, or evened out."""
    size = np.exp(rng.uniform(-5, 1))
    change = size * rng.standard_normal((5, 3)) * (rng.random((5, 1)) < rng.uniform(0.2, 1))
    canal = softmax(np.log(q[CANAL]) * np.exp(size * rng.normal() / 3) + change, axis=-1)
    result = q.copy()
    result[CANAL] = canal
    return result


def test_a_hand_worked_level_is_raised():
    """Four levels are surely normal, one is severe with probability a half.

    Row: a = 2, b = 0.5; any severe: the same a and b. So the best of both is 2 / 2.5 again.
    """
    p = np.tile([1.0, 0.0, 0.0], (25, 1))
    p[2] = [0.5, 0.0, 0.5]
    assert decide_study(p, dependence=0)[2] == pytest.approx([0.2, 0.0, 0.8])
    p[1] = [0.5, 0.0, 0.5]
    # Any severe: A = 4 * 3 / 4, B = 1 / 4; pooled with one row at equal mean weights.
    report = decide_study(p, dependence=0, weights=MeanWeights(1.0, 1.0))
    assert sorted(report[[1, 2], SEVERE]) == pytest.approx([0.8, 5 / 5.75])


def test_a_hand_worked_level_is_cut():
    """One level is moderate for sure and another severe with probability 1/2.

    Row: a = 2, b = 1/2. The whole weighs 4 if severe and else 2: A = 2, B = 1. Both: 4 / 5.5.
    """
    p = np.tile([1.0, 0.0, 0.0], (25, 1))
    p[0], p[3] = [0.0, 1.0, 0.0], [0.5, 0.0, 0.5]
    report = decide_study(p, dependence=0, weights=MeanWeights(1.0, 1.0))
    assert report[3] == pytest.approx([1 - 4 / 5.5, 0.0, 4 / 5.5])
    assert report[0] == pytest.approx([0.0, 1.0, 0.0])


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.floats(0, 1), st.floats(0.3, 30), st.floats(0.2, 20))
def test_no_other_report_is_expected_to_cost_less(seed, dependence, certainty, ratio):
    p = people(1, seed=seed, certainty=certainty)[0]
    how = {"dependence": dependence, "weights": MeanWeights(ratio, 1.0)}
    best = decide_study(p, **how)
    least = expected_canal_loss(p, best, **how)
    rng = np.random.default_rng(seed)
    for start in (best, decide(p)):
        others = np.array([perturbed(start, rng) for _ in range(10)])
        costs = expected_canal_loss(np.broadcast_to(p, others.shape), others, **how)
        assert np.all(costs >= least - 1e-9)
    assert least <= expected_canal_loss(p, decide(p), **how) + 1e-12


@pytest.mark.parametrize("seed", [0, 4])
def test_a_numerical_optimiser_finds_the_same(seed):
    p = people(1, seed=seed, certainty=5.0)[0]
    rows, dependence = p[CANAL] * [1, 2, 4], seed / 5
    best = decide_study(p, dependence=dependence)

    def loss(severe: np.ndarray) -> float:
        q = best.copy()
        rest = rows[:, :2] / rows[:, :2].sum(axis=1, keepdims=True)
        q[CANAL] = np.column_stack([(1 - severe)[:, None] * rest, severe])
        return float(expected_canal_loss(p, q, dependence=dependence))

    starts = [decide(p)[CANAL, SEVERE].clip(0.01, 0.99)]
    starts += [np.where(np.arange(5) == level, 0.7, starts[0]) for level in range(5)]
    options = {"maxiter": 4000, "maxfev": 4000, "xatol": 1e-9, "fatol": 1e-12, "adaptive": True}
    found = min(
        minimize(loss, s, method="Nelder-Mead", bounds=5 * [(1e-9, 1 - 1e-9)], options=options).fun
        for s in starts
    )
    least = expected_canal_loss(p, best, dependence=dependence)
    assert least == pytest.approx(found, abs=2e-5)
    assert least <= found + 1e-9


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_all_but_the_canal_is_decided_as_ever(seed):
    p = people(3, seed=seed)
    report, plain = decide_study(p), decide(p)
    others = [t for t in range(25) if t not in CANAL]
    assert np.array_equal(report[:, others], plain[:, others])
    assert np.allclose(report.sum(axis=-1), 1)
    assert report.min() >= 0
    # Of what is not severe, normal and moderate keep their shares.
    odds = report[:, CANAL, 0] * plain[:, CANAL, 1] - report[:, CANAL, 1] * plain[:, CANAL, 0]
    assert np.allclose(odds, 0, atol=1e-12)
    # Either one level is raised or the greatest are cut to one value.
    change = report[:, CANAL, SEVERE] - plain[:, CANAL, SEVERE]
    for row, after in zip(change, report[:, CANAL, SEVERE], strict=True):
        assert (row > 1e-12).sum() <= 1
        assert not ((row > 1e-12).any() and (row < -1e-12).any())
        if (cut := row < -1e-12).any():
            assert np.allclose(after[cut], after.max())


def test_certainty_stays_certain():
    for grade in Grade:
        p = np.tile(np.eye(3)[grade], (25, 1))
        assert np.array_equal(decide_study(p), p)
    p = np.tile([1.0, 0.0, 0.0], (25, 1))
    p[4] = [0.0, 0.0, 1.0]
    assert np.array_equal(decide_study(p), p)


def test_the_order_of_levels_does_not_matter():
    p = people(1, seed=5)[0]
    order = np.random.default_rng(0).permutation(5)
    moved = p.copy()
    moved[CANAL] = p[CANAL][order]
    assert np.allclose(decide_study(moved)[CANAL], decide_study(p)[CANAL][order])


@pytest.mark.parametrize("dependence", [0.0, 0.6])
def test_the_expected_loss_is_the_mean_of_the_metric(dependence):
    """Many labels of one study's probabilities, each scored by the metric itself."""
    rng = np.random.default_rng(3)
    p = people(1, seed=8, certainty=8.0)[0]
    q = decide_study(p, dependence=dependence)
    n = 40_000
    labels = labels_of(np.broadcast_to(p, (n, 25, 3)), dependence, rng)
    terms = rsna_terms(labels, np.broadcast_to(q, (n, 25, 3)))
    one = terms.numerators[:, 0] / MEAN_WEIGHTS.rows + terms.numerators[:, 3] / MEAN_WEIGHTS[1]
    expected = expected_canal_loss(p, q, dependence=dependence)
    assert one.mean() == pytest.approx(expected, abs=4 * one.std() / np.sqrt(n))


@pytest.mark.parametrize("dependence", [0.0, 0.5])
def test_no_rule_of_thumb_scores_better_on_drawn_labels(dependence):
    """Monte Carlo with the metric itself: 10,000 studies, labels drawn as the report assumes."""
    rng = np.random.default_rng(11)
    p = people(10_000, seed=2, certainty=4.0)
    labels = labels_of(p, dependence, rng)
    weights, plain = mean_weights(labels), decide(p)
    best = decide_study(p, dependence=dependence, weights=weights)
    rivals = {
        "plain": plain,
        "as they are": p,
        "more severe": decide(p, (1, 2, 4 * 1.25)),
        "less severe": decide(p, (1, 2, 4 / 1.25)),
        "bolder": softmax(np.log(plain) / 0.91, axis=-1),
        "more careful": softmax(np.log(plain) / 1.1, axis=-1),
        "best, bolder": softmax(np.log(best) / 0.95, axis=-1),
        "best, more careful": softmax(np.log(best) / 1.05, axis=-1),
    }
    of_canal = [0, 3]
    ours = rsna_terms(labels, best)
    sums = ours.denominators.sum(axis=0)
    for name, rival in rivals.items():
        terms = rsna_terms(labels, rival)
        gain = ((terms.numerators - ours.numerators) / sums)[:, of_canal].sum(axis=1)
        noise = gain.std() * np.sqrt(len(gain))
        assert gain.sum() > -2 * noise, name
        if name in ("plain", "as they are", "more severe", "less severe"):
            assert gain.sum() > 2 * noise, name


@pytest.mark.parametrize("dependence", [0.0, 0.3, 0.8])
def test_the_dependence_of_drawn_labels_is_found(dependence):
    rng = np.random.default_rng(1)
    p = people(20_000, seed=4, certainty=5.0)
    labels = labels_of(p, dependence, rng)
    assert fit_dependence(p, labels) == pytest.approx(dependence, abs=0.04)


def test_unlabelled_levels_say_nothing_of_dependence():
    rng = np.random.default_rng(1)
    p = people(20_000, seed=4, certainty=5.0)
    labels = labels_of(p, 0.5, rng)
    labels[:, CANAL[0]] = -1
    assert fit_dependence(p, labels) == pytest.approx(0.5, abs=0.05)
    assert fit_dependence(p, np.full_like(labels, -1)) == 0
    assert fit_dependence(p[:0], labels[:0]) == 0


def test_the_default_weights_are_those_of_the_published_frequencies():
    rng = np.random.default_rng(0)
    assert (prevalence()[CANAL] * [1, 2, 4]).sum() == pytest.approx(MEAN_WEIGHTS.rows, abs=0.005)
    root = np.linalg.cholesky(latent_correlation()[np.ix_(CANAL, CANAL)])
    z = rng.standard_normal((40_000, 5)) @ root.T
    cuts = np.quantile(z, prevalence()[CANAL].cumsum(axis=1)[:, :2].ravel())
    grades = np.zeros((len(z), 25), dtype=int)
    own = cuts.reshape(5, 2)
    grades[:, CANAL] = (z[..., None] > own).sum(axis=-1)
    assert mean_weights(grades).any_severe == pytest.approx(MEAN_WEIGHTS.any_severe, abs=0.03)


def test_mean_weights_of_no_label_are_the_default():
    assert mean_weights(np.full((3, 25), -1)) == MEAN_WEIGHTS


@pytest.mark.parametrize(
    ("p", "dependence", "code"),
    [
        (np.full((24, 3), 1 / 3), 0.0, "VS-CFG-122"),
        (np.full((25, 3), 1 / 3), 1.5, "VS-CFG-122"),
        (np.full((25, 3), 1 / 2), 0.0, "VS-CFG-011"),
        (np.full((25, 3), np.nan), 0.0, "VS-CFG-011"),
    ],
)
def test_what_is_no_study_is_refused(p, dependence, code):
    with pytest.raises(ConfigurationError) as raised:
        decide_study(p, dependence=dependence)
    assert raised.value.code == code
