"""Reliability: hand values, scikit-learn's curve and slope, intervals that cover, few rows."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from volspine.anatomy import TARGETS, Finding, Grade
from volspine.errors import ConfigurationError
from volspine.metrics.calibration import tempered
from volspine.metrics.calibration_streaming import CalibrationMetric
from volspine.metrics.reliability import CONFIDENCE, EVENTS, brier_score, reliability

CANAL = [t.index for t in TARGETS if t.finding is Finding.CANAL]
CANAL_TERM = Finding.CANAL.term


def made(n: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities and labels that follow them."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet([1.2, 0.8, 0.6], size=(n, len(TARGETS)))
    return p, (rng.random((n, len(TARGETS), 1)) > p.cumsum(axis=-1)[..., :-1]).sum(axis=-1)


def test_hand_worked_bins_and_errors():
    """40 rows of the canal: 20 say 0.2 and 5 of them are severe, 20 say 0.8 and 12 are."""
    p = np.tile([0.8, 0.0, 0.2], (8, 25, 1))
    p[4:] = [0.2, 0.0, 0.8]
    labels = np.full((8, 25), -1)
    rows = np.repeat([0, 2, 0, 2], [15, 5, 8, 12])
    labels[:, CANAL] = rows.reshape(8, 5)
    found = reliability(p, labels, bins=2, resamples=50)[CANAL_TERM]
    severe = found["severe"]
    assert (severe.rows, severe.events) == (40, 17)
    assert [b.rows for b in severe.bins] == [20, 20]
    assert [b.said for b in severe.bins] == pytest.approx([0.2, 0.8])
    assert [b.seen for b in severe.bins] == [0.25, 0.6]
    assert severe.ece == pytest.approx((0.05 + 0.20) / 2)
    assert severe.brier == pytest.approx((15 * 0.04 + 5 * 0.64 + 8 * 0.64 + 12 * 0.04) / 40)
    assert severe.chance == pytest.approx(2 * np.sqrt(2 / np.pi * 20 * 0.16) / 40)
    # The likeliest grade is said with 0.8 throughout, and right in 27 of 40.
    assert [(b.rows, b.seen) for b in found[CONFIDENCE].bins] == [(40, 27 / 40)]
    assert brier_score(p, labels) == pytest.approx((27 * 0.08 + 13 * 1.28) / 40)


def test_scikit_learn_draws_the_same_curve():
    calibration = pytest.importorskip("sklearn.calibration")
    p, labels = made(80)
    said, truth = p[:, CANAL, 2].ravel(), (labels[:, CANAL] == Grade.SEVERE).ravel()
    seen, mean = calibration.calibration_curve(truth, said, n_bins=8, strategy="quantile")
    bins = reliability(p, labels, bins=8, resamples=1)[CANAL_TERM]["severe"].bins
    assert [b.seen for b in bins] == pytest.approx(seen.tolist())
    assert [b.said for b in bins] == pytest.approx(mean.tolist())


def test_scikit_learn_finds_the_same_slope():
    linear = pytest.importorskip("sklearn.linear_model")
    p, labels = made(60)
    said, truth = p[:, CANAL, 2].ravel(), (labels[:, CANAL] == Grade.SEVERE).ravel()
    x = np.log(said / (1 - said)).clip(-13.8, 13.8)[:, None]
    fitted = linear.LogisticRegression(C=1e9, tol=1e-8).fit(x, truth)
    judged = reliability(p, labels, resamples=1)[CANAL_TERM]["severe"]
    assert judged.slope == pytest.approx(fitted.coef_[0, 0], rel=1e-3)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_a_bold_report_has_a_slope_below_one_and_a_careful_one_above(temperature):
    p, labels = made(300)
    q = tempered(np.log(p), np.full(25, temperature))
    judged = reliability(q, labels, resamples=200)[CANAL_TERM]["normal_mild"]
    low, high, _ = judged.slope_interval
    assert (low <= 1 <= high) == (temperature == 1.0)
    assert (judged.slope > 1) == (temperature > 1.0) or temperature == 1.0
    assert (judged.ece > 2 * judged.chance) == (temperature != 1.0)
    assert judged.ece_interval.low <= judged.ece_interval.high


def test_the_intervals_of_bins_cover_what_was_said_as_often_as_they_say():
    """Labels that follow the probabilities, in 25 cohorts: 95 % of the bins cover."""
    hits = []
    for seed in range(25):
        p, labels = made(40, seed=seed)
        bins = reliability(p, labels, bins=5, resamples=1)[CANAL_TERM]["moderate"].bins
        hits += [b.interval.low <= b.said <= b.interval.high for b in bins]
    assert 0.90 <= np.mean(hits) <= 0.99


def test_rows_that_repeat_within_a_study_widen_the_interval_of_a_bin():
    p, labels = made(40)
    labels[:, CANAL] = np.where(np.arange(40) % 3 == 0, 2, 0)[:, None]
    p[:, CANAL] = [0.5, 0.2, 0.3]
    clustered = reliability(p, labels, bins=1, resamples=1)[CANAL_TERM]["severe"].bins[0]
    labels[:, CANAL] = labels[:, CANAL].ravel(order="F").reshape(40, 5)
    spread = reliability(p, labels, bins=1, resamples=1)[CANAL_TERM]["severe"].bins[0]
    assert clustered.seen == spread.seen
    widths = [b.interval.high - b.interval.low for b in (clustered, spread)]
    assert widths[0] > 1.8 * widths[1]


@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 12))
@settings(max_examples=10, deadline=None)
def test_no_row_is_lost_and_errors_are_shares(seed, n, bins):
    p, labels = made(n, seed=seed)
    labels[np.random.default_rng(seed).random(labels.shape) < 0.3] = -1
    for finding, events in reliability(p, labels, bins=bins, resamples=2).items():
        ours = [t.index for t in TARGETS if t.finding.term == finding]
        for judged in events.values():
            assert judged.rows == sum(b.rows for b in judged.bins) == (labels[:, ours] >= 0).sum()
            assert judged.events == pytest.approx(sum(b.rows * b.seen for b in judged.bins))
            assert len(judged.bins) <= max(1, min(bins, judged.rows // 20))
            assert 0 <= judged.ece <= 1
            assert all(b.interval.low <= b.seen <= b.interval.high for b in judged.bins)


def test_nothing_to_judge_is_nan_and_certainty_is_finite():
    p, labels = made(3)
    nothing = reliability(p, np.full_like(labels, -1), resamples=2)[CANAL_TERM]["severe"]
    assert (nothing.rows, nothing.bins) == (0, ())
    assert np.isnan([nothing.ece, nothing.chance, nothing.brier, nothing.slope]).all()
    assert np.isnan(reliability(p[:0], labels[:0])[CANAL_TERM]["severe"].ece)
    assert np.isnan(brier_score(p[:0], labels[:0]))
    sure = np.eye(3)[labels]
    certain = reliability(sure, labels, resamples=2)[CANAL_TERM]
    assert all(np.isfinite(certain[e].slope) for e in ("normal_mild", "moderate"))
    assert all(certain[e].ece == 0 for e in EVENTS)


def test_batches_give_what_all_rows_give_at_once():
    p, labels = made(30)
    metric = CalibrationMetric(resamples=20)
    for part in (slice(0, 7), slice(7, 30)):
        metric.update(torch.from_numpy(p[part]), torch.from_numpy(labels[part]))
    got = metric.compute()
    expected = reliability(p, labels, resamples=20)
    assert got[f"{CANAL_TERM}/severe/ece"].item() == expected[CANAL_TERM]["severe"].ece
    assert got[f"{CANAL_TERM}/confidence/slope"].item() == pytest.approx(
        expected[CANAL_TERM]["confidence"].slope
    )
    assert got["brier"].item() == pytest.approx(brier_score(p, labels))
    metric.reset()
    metric.update(torch.from_numpy(p[:1]), torch.from_numpy(labels[:1]))
    assert metric.compute()["brier"].item() == pytest.approx(brier_score(p[:1], labels[:1]))


@pytest.mark.parametrize("which", ["shape", "nan", "grade", "bins"])
def test_what_cannot_be_judged_is_refused(which):
    p, labels = made(2)
    if which == "nan":
        p[0, 0, 0] = np.nan
    labels = {"shape": labels[:, :3], "grade": labels + 3}.get(which, labels)
    with pytest.raises(ConfigurationError) as raised:
        reliability(p, labels, bins=0 if which == "bins" else 10)
    assert raised.value.code == "VS-CFG-123"
