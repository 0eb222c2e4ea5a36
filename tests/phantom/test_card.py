"""The card: ceilings against published figures, and the limits of no noise."""

import pytest

from volspine.anatomy import Finding
from volspine.phantom.card import card
from volspine.phantom.spec import Cohort, Noise


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
    assert thirds.prevalence == pytest.approx(1 / 3, abs=0.04)
    assert thirds.correlation[0, 15] == 0.0
