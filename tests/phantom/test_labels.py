"""Severities, labels and what is missing: 20,000 draws against the published figures."""

import numpy as np
import pytest

from volspine.anatomy import LEVELS, TARGETS, Finding
from volspine.challenge import MISSING
from volspine.phantom.labels import draw_severity, drop_labels, grades_of, read_labels
from volspine.phantom.prevalence import cutpoints, latent_correlation, prevalence
from volspine.phantom.spec import Noise

DRAWS = draw_severity(np.random.default_rng(1), 20_000)


def test_a_grade_counts_the_cut_points_below():
    cuts = np.tile([0.0, 1.0], (25, 1))
    assert grades_of(np.full(25, -0.5), cuts).tolist() == [0] * 25
    assert grades_of(np.full(25, 0.5), cuts).tolist() == [1] * 25
    assert grades_of(np.full(25, 1.5), cuts).tolist() == [2] * 25


def test_the_prevalence_is_as_published():
    grades = grades_of(DRAWS, cutpoints())
    drawn = np.stack([(grades == g).mean(axis=0) for g in range(3)], axis=1)
    # Three standard errors of 20,000 draws are .0106 at one half and less elsewhere.
    assert np.abs(drawn - prevalence()).max() < 0.0106
    assert np.abs(drawn - prevalence()).mean() < 0.003


def test_the_severities_correlate_as_in_patients():
    error = np.corrcoef(DRAWS.T) - latent_correlation()
    assert np.sqrt((error**2).mean()) < 0.015


def test_any_severe_canal_is_as_frequent_as_published_though_never_aimed_at():
    canal = [t.index for t in TARGETS if t.finding is Finding.CANAL]
    severe = (grades_of(DRAWS, cutpoints())[:, canal] == 2).any(axis=1).mean()
    assert severe == pytest.approx(0.185, abs=0.015)


@pytest.mark.parametrize("noise", [Noise.CONSENSUS, Noise.SINGLE_READER])
def test_reader_noise_keeps_the_prevalence(noise):
    rng = np.random.default_rng(2)
    some = DRAWS[:2000]
    truth = grades_of(some, cutpoints())
    labels = np.array([read_labels(z, g, noise, rng) for z, g in zip(some, truth, strict=True)])
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
