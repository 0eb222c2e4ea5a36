"""Temperatures: known factors come back, labels are never less likely, few labels move little."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from torch.nn.functional import cross_entropy

from volspine.anatomy import MIRRORED_INDEX, TARGETS, Finding
from volspine.errors import ConfigurationError
from volspine.metrics.calibration import (
    BOUNDS,
    LEAST_ROWS,
    PRIOR_SPREAD,
    condition_temperatures,
    fit_temperature,
    for_targets,
    recalibrated,
    tempered,
)

CANAL = [t.index for t in TARGETS if t.finding is Finding.CANAL]
FORAMEN = [t.index for t in TARGETS if t.finding is Finding.FORAMEN]


def made(n: int, *, seed: int = 0, factor: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return scores that are `factor` times those of the probabilities labels are drawn from."""
    rng = np.random.default_rng(seed)
    logits = 1.5 * rng.standard_normal((n, len(TARGETS), 3))
    p = np.exp(log_softmax(logits, axis=-1))
    labels = (rng.random((n, len(TARGETS), 1)) > p.cumsum(axis=-1)).sum(axis=-1).clip(max=2)
    return factor * logits, labels


def nll(log_probs: np.ndarray, labels: np.ndarray) -> float:
    said = np.take_along_axis(
        log_softmax(log_probs, axis=-1), labels.clip(min=0)[..., None], axis=-1
    )[..., 0]
    return -float(said[labels >= 0].sum())


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0, 3.0])
def test_scores_that_were_scaled_are_scaled_back(factor):
    logits, labels = made(2000, factor=factor)
    assert fit_temperature(logits, labels) == pytest.approx(np.full(25, factor), rel=0.06)


def test_a_hand_worked_temperature():
    """A model that says 0.9 / 0.05 / 0.05 and is right in half of 3000 rows, else evenly wrong."""
    labels = np.full((1000, 25), -1)
    labels[:, CANAL[:3]] = np.repeat([0, 0, 1, 2], 250)[:, None]
    p = np.broadcast_to([0.9, 0.05, 0.05], (1000, 25, 3))
    expected = np.log(0.9 / 0.05) / np.log(0.5 / 0.25)  # where softmax(log p / T) is .5 .25 .25
    assert fit_temperature(np.log(p), labels)[CANAL] == pytest.approx(expected, rel=0.01)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 12), st.floats(0.1, 20))
def test_labels_are_never_less_likely_at_the_temperature(seed, n, factor):
    logits, labels = made(n, seed=seed, factor=factor)
    temperature = fit_temperature(logits, labels)
    assert np.all((temperature >= BOUNDS[0]) & (temperature <= BOUNDS[1]))
    for finding in Finding:
        ours = [t.index for t in TARGETS if t.finding is finding]
        after = np.log(tempered(logits[:, ours], temperature[ours]))
        assert nll(after, labels[:, ours]) <= nll(logits[:, ours], labels[:, ours]) + 1e-9


def test_a_general_minimiser_finds_the_same():
    logits, labels = made(60, factor=2.0)
    scores, truth = torch.from_numpy(logits[:, CANAL]), torch.from_numpy(labels[:, CANAL])

    def loss(log_temperature: float) -> float:
        a = np.exp(-log_temperature)
        rows = cross_entropy((a * scores).flatten(0, 1), truth.flatten(), reduction="sum")
        return rows.item() + (a - 1) ** 2 / (2 * PRIOR_SPREAD**2)

    found = minimize_scalar(loss, bounds=np.log(BOUNDS), method="bounded", options={"xatol": 1e-9})
    assert fit_temperature(logits, labels)[CANAL[0]] == pytest.approx(np.exp(found.x), rel=1e-5)


def test_sides_and_levels_share_and_findings_do_not():
    logits, labels = made(500)
    logits[:, FORAMEN] *= 3
    temperature = fit_temperature(logits, labels)
    assert np.array_equal(temperature, temperature[list(MIRRORED_INDEX)])
    assert len({*temperature[CANAL]}) == len({*temperature[FORAMEN]}) == 1
    assert temperature[FORAMEN[0]] / temperature[CANAL[0]] == pytest.approx(3, rel=0.15)
    assert len({*fit_temperature(logits, labels, by="all")}) == 1


def test_nothing_known_changes_nothing_and_little_changes_little():
    logits, labels = made(400, factor=3.0)
    nothing = fit_temperature(logits, np.full_like(labels, -1))
    assert np.array_equal(nothing, np.ones(25))
    assert np.array_equal(fit_temperature(logits[:0], labels[:0]), np.ones(25))
    few = labels.copy()
    few[1:] = -1
    few[0, CANAL[1:]] = -1
    after_one, after_all = fit_temperature(logits, few), fit_temperature(logits, labels)
    assert abs(np.log(after_one[CANAL[0]])) < abs(np.log(after_all[CANAL[0]]))


def test_missing_labels_say_nothing():
    logits, labels = made(50, factor=2.0)
    padded = np.concatenate([labels, np.full_like(labels, -1)])
    more = np.concatenate([logits, 100 * logits])
    assert np.array_equal(fit_temperature(more, padded), fit_temperature(logits, labels))


def test_tensors_and_probabilities_of_zero_are_taken():
    logits, labels = made(50)
    given = torch.from_numpy(logits).requires_grad_()
    assert np.array_equal(
        fit_temperature(given, torch.from_numpy(labels)), fit_temperature(logits, labels)
    )
    sure = np.full((50, 25, 3), -np.inf)
    np.put_along_axis(sure, labels[..., None], 0.0, axis=-1)
    assert np.all(np.isfinite(fit_temperature(sure, labels)))


@pytest.mark.parametrize("which", ["nan", "grade", "shape"])
def test_what_cannot_be_calibrated_is_refused(which):
    logits, labels = made(2)
    if which == "nan":
        logits[0, 0, 0] = np.nan
    labels = {"grade": labels + 5, "shape": labels[:, :24]}.get(which, labels)
    with pytest.raises(ConfigurationError) as raised:
        fit_temperature(logits, labels)
    assert raised.value.code == ("VS-CFG-120" if which == "shape" else "VS-CFG-121")


def test_a_hand_worked_temperature_of_each_condition():
    """Says 0.9 and is right in half of the rows, evenly wrong in the others: T is ln 18 / ln 2."""
    p, labels = np.full((200, 25, 3), [0.9, 0.05, 0.05]), np.full((200, 25), -1)
    labels[:] = np.repeat([0, 0, 1, 2], 50)[:, None]
    right = [t.index for t in TARGETS if t.finding is Finding.RECESS]
    labels[:, right] = np.repeat([0, 0, 0, 0, 0, 0, 0, 0, 1, 2], 20)[:, None]
    expected = [np.log(18) / np.log(2), np.log(18) / np.log(2), np.log(18) / np.log(8)]
    assert condition_temperatures(p, labels) == pytest.approx(expected)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.1, 15))
def test_no_temperature_makes_the_labels_likelier_and_the_likeliest_grade_stays(seed, factor):
    logits, labels = made(12, seed=seed, factor=factor)
    p = np.exp(log_softmax(logits, axis=-1))
    fitted = condition_temperatures(p, labels)
    after = recalibrated(p, fitted)
    assert np.array_equal(after.argmax(axis=-1), p.argmax(axis=-1))
    for n, finding in enumerate(Finding):
        ours = [t.index for t in TARGETS if t.finding is finding]
        least = nll(np.log(after[:, ours]), labels[:, ours])
        for other in (1.0, 0.9 * fitted[n], 1.1 * fitted[n]):
            if BOUNDS[0] <= other <= BOUNDS[1]:
                rival = recalibrated(p, [other] * 3)[:, ours]
                assert least <= nll(np.log(rival), labels[:, ours]) + 1e-9


def test_a_general_minimiser_finds_the_same_temperature_of_each_condition():
    logits, labels = made(60, factor=2.0)
    labels[:20, CANAL] = -1
    found = condition_temperatures(np.exp(log_softmax(logits, axis=-1)), labels)
    for n, finding in enumerate(Finding):
        ours = [t.index for t in TARGETS if t.finding is finding]
        best = minimize_scalar(
            lambda log_t, ours=ours: nll(logits[:, ours] / np.exp(log_t), labels[:, ours]),
            bounds=np.log(BOUNDS),
            method="bounded",
            options={"xatol": 1e-9},
        )
        assert found[n] == pytest.approx(np.exp(best.x), rel=1e-5)


def test_both_sides_share_a_temperature():
    temperatures = for_targets([1.0, 2.0, 3.0])
    assert np.array_equal(temperatures, temperatures[list(MIRRORED_INDEX)])
    assert [temperatures[t.index] for t in TARGETS if t.finding is Finding.FORAMEN] == [2.0] * 10


def test_too_few_labels_are_refused_and_just_enough_are_not():
    logits, labels = made(20)
    p = np.exp(log_softmax(logits, axis=-1))
    labels[:, CANAL] = -1
    labels[: LEAST_ROWS // 5, CANAL] = 1
    assert condition_temperatures(p, labels).shape == (3,)
    labels[0, CANAL[0]] = -1
    with pytest.raises(ConfigurationError, match="49 labels of spinal_canal_stenosis") as caught:
        condition_temperatures(p, labels)
    assert caught.value.code == "VS-CFG-126"


@pytest.mark.parametrize("bad", [np.full((60, 25, 3), 0.5), np.full((60, 25, 3), np.nan)])
def test_rows_that_are_no_distribution_are_not_calibrated(bad):
    with pytest.raises(ConfigurationError, match="VS-CFG-121"):
        condition_temperatures(bad, np.zeros((60, 25), dtype=int))


@pytest.mark.parametrize("bad", [[1.0, 2.0], [1.0, 0.0, 1.0], [1.0, np.inf, 1.0]])
def test_what_are_no_three_temperatures_is_refused(bad):
    with pytest.raises(ConfigurationError, match="VS-CFG-121"):
        for_targets(bad)
