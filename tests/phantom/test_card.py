"""The card: ceilings against published figures, and the limits of no noise."""

import numpy as np
import pytest
from scipy.stats import norm

from volspine.anatomy import TARGETS, Finding
from volspine.phantom.card import card
from volspine.phantom.labels import draw_severity, grades_of, read_labels
from volspine.phantom.prevalence import cutpoints, observed_cutpoints, reader_sigma
from volspine.phantom.spec import Cohort, Noise
from volspine.phantom.targets import draw_measures, severity_of


def test_the_ceilings_of_a_single_reader_are_the_published_ones():
    ceilings = card(Cohort.RSNA_LIKE, Noise.SINGLE_READER).ceilings
    assert ceilings[Finding.CANAL].accuracy == pytest.approx(0.943, abs=0.003)
    assert ceilings[Finding.FORAMEN].accuracy == pytest.approx(0.876, abs=0.003)
    assert ceilings[Finding.RECESS].accuracy == pytest.approx(0.802, abs=0.003)
    levels = ceilings[Finding.RECESS].by_level
    assert levels == pytest.approx((0.936, 0.856, 0.760, 0.676, 0.784), abs=0.004)


def test_without_reader_noise_everything_can_be_known():
    for ceiling in card(Cohort.RSNA_LIKE, Noise.NONE).ceilings.values():
        assert ceiling.accuracy == pytest.approx(1.0, abs=1e-6)
        assert ceiling.loss == pytest.approx(0.0, abs=1e-6)


def test_the_prior_scores_what_it_scores_on_the_challenge():
    ceilings = card(Cohort.RSNA_LIKE, Noise.NONE).ceilings
    # Weighted prior per condition and level on the 1,975 studies: .7063, .8037, .9508.
    assert ceilings[Finding.CANAL].prior_loss == pytest.approx(0.7063, abs=0.003)
    assert ceilings[Finding.FORAMEN].prior_loss == pytest.approx(0.8037, abs=0.003)
    assert ceilings[Finding.RECESS].prior_loss == pytest.approx(0.9508, abs=0.008)


def test_more_noise_is_a_lower_ceiling_and_never_below_the_prior():
    few = card(Cohort.RSNA_LIKE, Noise.CONSENSUS).ceilings
    many = card(Cohort.RSNA_LIKE, Noise.SINGLE_READER).ceilings
    for finding in Finding:
        assert many[finding].accuracy < few[finding].accuracy
        assert few[finding].loss < many[finding].loss < many[finding].prior_loss
        assert many[finding].majority < many[finding].accuracy


def test_a_probe_is_in_thirds():
    thirds = card(Cohort.PROBE, Noise.NONE)
    assert thirds.prevalence == pytest.approx(1 / 3, abs=1e-9)
    assert thirds.correlation[0, 15] == 0.0


def best_guess(severity, noise):
    """What a reader who knows the severity should say: the likeliest label, by SciPy's normal."""
    cuts, sigma = observed_cutpoints(noise), reader_sigma(noise)[:, None]
    below = norm.cdf(cuts[None], loc=severity[..., None], scale=sigma[None])
    chances = np.diff(below, axis=-1, prepend=0.0, append=1.0)
    return chances.argmax(axis=-1)


@pytest.mark.slow
@pytest.mark.parametrize("cohort", [Cohort.RSNA_LIKE, Cohort.PROBE])
@pytest.mark.parametrize("noise", [Noise.CONSENSUS, Noise.SINGLE_READER])
def test_one_who_knows_the_severity_scores_the_ceiling_and_no_more(cohort, noise):
    rng = np.random.default_rng(6)
    severity = draw_severity(rng, 1500)
    if cohort is Cohort.PROBE:
        grades = rng.integers(0, 3, (500, 25))
        severity = np.array([severity_of(draw_measures(g, rng)) for g in grades])
    truth = grades_of(severity, cutpoints())
    labels = np.array([read_labels(z, g, noise, rng) for z, g in zip(severity, truth, strict=True)])
    right = labels == best_guess(severity, noise)
    for finding, ceiling in card(cohort, noise).ceilings.items():
        share = right[:, [t.index for t in TARGETS if t.finding is finding]].mean(axis=1)
        error = 3.5 * share.std() / np.sqrt(len(share))
        assert share.mean() == pytest.approx(ceiling.accuracy, abs=error)


@pytest.mark.slow
@pytest.mark.parametrize("noise", list(Noise))
def test_clean_and_shifted_cohorts_have_the_ceilings_of_the_published_prevalence(noise):
    usual = card(Cohort.RSNA_LIKE, noise)
    for cohort in (Cohort.CLEAN, Cohort.SHIFT):
        other = card(cohort, noise)
        assert other.ceilings == usual.ceilings
        assert (other.prevalence == usual.prevalence).all()
    assert card(Cohort.PAIRS, noise).ceilings == card(Cohort.PROBE, noise).ceilings


def test_reader_noise_takes_more_from_a_probe_than_from_the_clinic():
    # A probe has two thirds of its levels in the hard grades; most of a clinic's are clear.
    probe = card(Cohort.PROBE, Noise.SINGLE_READER).ceilings
    clinic = card(Cohort.RSNA_LIKE, Noise.SINGLE_READER).ceilings
    for finding in Finding:
        assert probe[finding].majority < probe[finding].accuracy < clinic[finding].accuracy
        assert probe[finding].loss < probe[finding].prior_loss
