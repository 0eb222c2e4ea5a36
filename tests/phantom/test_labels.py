"""Severities, labels and what is missing: 20,000 draws against the published figures."""

import numpy as np
import pytest

from volspine.anatomy import LEVELS, TARGETS, Finding
from volspine.challenge import MISSING
from volspine.phantom.labels import draw_severity, drop_labels, grades_of, read_labels
from volspine.phantom.prevalence import cutpoints, latent_correlation, prevalence
from volspine.phantom.spec import Noise


@pytest.fixture(scope="module")
def draws():
    return draw_severity(np.random.default_rng(1), 20_000)


def read(severities, noise):
    rng = np.random.default_rng(2)
    truth = grades_of(severities, cutpoints())
    pairs = zip(severities, truth, strict=True)
    return truth, np.array([read_labels(z, grades, noise, rng) for z, grades in pairs])


@pytest.fixture(scope="module")
def labels(draws):
    return read(draws[:3000], Noise.SINGLE_READER)[1]


def test_a_grade_counts_the_cut_points_below():
    cuts = np.tile([0.0, 1.0], (25, 1))
    assert grades_of(np.full(25, -0.5), cuts).tolist() == [0] * 25
    assert grades_of(np.full(25, 0.5), cuts).tolist() == [1] * 25
    assert grades_of(np.full(25, 1.5), cuts).tolist() == [2] * 25


def test_the_prevalence_is_as_published(draws):
    grades = grades_of(draws, cutpoints())
    drawn = np.stack([(grades == g).mean(axis=0) for g in range(3)], axis=1)
    expected = prevalence()
    # .006, or three standard errors of 20,000 draws where those are more: .0106 at one half.
    error = 3.0 * np.sqrt(expected * (1 - expected) / len(draws))
    gap = np.abs(drawn - expected)
    assert (gap < np.maximum(error, 0.006)).all()
    assert np.sqrt((gap**2).mean()) < 0.003
    assert (gap < 0.006).mean() > 0.95


def test_the_severities_correlate_as_in_patients(draws):
    error = np.corrcoef(draws.T) - latent_correlation()
    assert np.sqrt((error**2).mean()) < 0.015


JOINT_FACTS = {
    # Published shares of the 1,790 complete studies and of the counts that no target aims at.
    "all normal": (0.129, lambda g: (g == 0).all(axis=1)),
    "any severe": (0.496, lambda g: (g == 2).any(axis=1)),
    "any severe canal": (0.185, lambda g: (g[:, :5] == 2).any(axis=1)),
    "moderate labels": (4.03 / 25, lambda g: (g == 1).mean(axis=1)),
    "severe labels": (1.56 / 25, lambda g: (g == 2).mean(axis=1)),
}


@pytest.mark.parametrize("fact", JOINT_FACTS)
def test_whole_studies_are_as_published_though_only_pairs_of_labels_were_fitted(fact, labels):
    published, share = JOINT_FACTS[fact]
    assert [t.finding for t in TARGETS[:5]] == [Finding.CANAL] * 5
    # A normal copula has .018 fewer all-normal studies and .015 more with something severe.
    assert share(labels).mean() == pytest.approx(published, abs=0.03)


@pytest.mark.parametrize("noise", [Noise.CONSENSUS, Noise.SINGLE_READER])
def test_reader_noise_keeps_the_prevalence(noise, draws):
    truth, labels = read(draws[:2000], noise)
    drawn = np.stack([(labels == g).mean(axis=0) for g in range(3)], axis=1)
    assert np.abs(drawn - prevalence()).max() < 0.04
    agreement = (labels == truth).mean()
    assert agreement < (0.95 if noise is Noise.CONSENSUS else 0.9)


def test_without_reader_noise_the_label_is_the_measured_grade():
    grades = np.arange(25) % 3
    assert (read_labels(np.zeros(25), grades, Noise.NONE, np.random.default_rng(0)) == grades).all()


def test_a_level_that_no_axial_slice_covers_loses_its_recess_labels_only():
    rng = np.random.default_rng(3)
    kept = drop_labels(np.zeros(25, dtype=np.int64), (False, True, True, True, True), rng)
    for target in TARGETS:
        unseen = target.finding is Finding.RECESS and target.level is LEVELS[0]
        if unseen:
            assert kept[target.index] == MISSING
    assert (kept == MISSING).sum() <= 4
