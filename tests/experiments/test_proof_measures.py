"""Scores beside prior and floor, kappa and pairs: by hand, and by what must hold."""

from pathlib import Path

import numpy as np
import pytest

from volspine.decide import frequencies
from volspine.metrics.ordinal import ordinal_scores_by_finding
from volspine.metrics.rsna import rsna_terms
from volspine.phantom.card import card, reader_posterior
from volspine.phantom.labels import read_labels
from volspine.phantom.prevalence import cutpoints, prevalence
from volspine.phantom.spec import Cohort, Noise

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
READER = Noise.SINGLE_READER


@pytest.fixture(autouse=True)
def _experiments_on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))


def people(studies: int, seed: int = 0):
    """Labels, true grades and severities of people, each target on its own."""
    rng = np.random.default_rng(seed)
    severity = rng.standard_normal((studies, 25))
    grades = (severity[..., None] > cutpoints()).sum(axis=-1)
    labels = np.stack(
        [read_labels(z, g, READER, rng) for z, g in zip(severity, grades, strict=True)]
    )
    return labels, grades, severity


def graded(probabilities, studies: int = 300, seed: int = 0):
    from proof.measures import Graded

    labels, grades, severity = people(studies, seed)
    said = np.broadcast_to(probabilities(severity), (studies, 25, 3))
    return Graded(labels, grades, severity, np.array(said), severity)


def exact(severity):
    return reader_posterior(severity, READER)


def ignorant(severity):
    return prevalence()


def test_who_knows_the_severity_is_at_the_floor_and_who_knows_nothing_at_the_prior():
    from proof.measures import COLUMNS, ways

    for said, expected in ((exact, 0.0), (ignorant, 100.0)):
        found = ways(graded(said), {"own": prevalence()}, READER)
        assert [way.name for way in found] == list(COLUMNS)
        for way in found:
            assert way.shares["own"] == pytest.approx((expected,) * 3, abs=1e-9)


def test_the_floor_lies_below_the_prior_and_near_what_is_expected_and_near_the_card():
    from proof.measures import FINDINGS, ways

    found = {w.name: w for w in ways(graded(exact, 1000), {"own": prevalence()}, READER)}
    on_card = card(Cohort.RSNA_LIKE, READER).ceilings
    limits = {finding.name.lower(): ceiling for finding, ceiling in on_card.items()}
    for name in FINDINGS:
        way = found[name]
        assert way.score.low <= way.score.value <= way.score.high
        assert way.floor < way.priors["own"]
        assert way.floor == pytest.approx(way.expected_floor, rel=0.08)
        assert way.expected_floor == pytest.approx(limits[name].loss, rel=0.08)
        assert way.priors["own"] == pytest.approx(limits[name].prior_loss, rel=0.08)
    means = [found[name].floor for name in FINDINGS]
    assert found["three terms"].floor == pytest.approx(np.mean(means))


def test_the_columns_are_those_of_the_challenge_after_the_decision_layer():
    from proof.measures import columns, reported

    labels = np.full((2, 25), -1)
    labels[0, 0], labels[1, 1] = 0, 2  # Canal at L1/L2, and at L2/L3 of the other study.
    # Reported as (0.25, 0.25, 0.5); the severe row weighs 4.
    p = np.tile([0.5, 0.25, 0.25], (25, 1))
    drawn = columns(reported(p, labels), resamples=8)
    canal = (np.log(4) + 4 * np.log(2)) / 5
    np.testing.assert_allclose(drawn[0, 1], canal, rtol=1e-12)
    assert np.isnan(drawn[0, 2:4]).all()
    assert drawn.shape == (9, 6)


def test_a_label_that_is_missing_counts_neither_in_score_nor_in_the_expected_floor():
    from proof.measures import expected_losses

    labels, _, severity = people(20)
    truth = reader_posterior(severity, READER)
    hidden = labels.copy()
    hidden[:, 0] = -1
    spoiled = truth.copy()
    spoiled[:, 0] = [0.9, 0.05, 0.05]
    assert expected_losses(truth, hidden) == pytest.approx(
        expected_losses(spoiled, hidden), nan_ok=True
    )
    assert expected_losses(truth, labels) != expected_losses(spoiled, labels)


def test_prior_of_a_training_split_with_other_prevalence_is_worse_than_the_cohort_s_own():
    from proof.measures import ways

    even = frequencies(np.tile(np.arange(3)[:, None], (40, 25)))
    (way, *_) = ways(graded(exact), {"even": even, "own": prevalence()}, READER)
    assert way.priors["even"] > way.priors["own"]


def test_agreement_is_that_of_the_package_and_perfect_grades_have_no_spread():
    from proof.measures import agreement

    _, grades, _ = people(60)
    given = np.clip(grades + np.random.default_rng(1).integers(-1, 2, grades.shape), 0, 2)
    found, reference = agreement(grades, given), ordinal_scores_by_finding(grades, given)
    names = {"canal": "spinal_canal_stenosis", "foramen": "neural_foraminal_narrowing"}
    for name, term in (names | {"all": "all"}).items():
        kappa, right = found[name]
        assert kappa.value == pytest.approx(reference[term].kappa)
        assert right.value == pytest.approx(100 * reference[term].accuracy)
        assert kappa.low < kappa.value < kappa.high
    for kappa, right in agreement(grades, grades).values():
        assert tuple(kappa) == (1.0, 1.0, 1.0)
        assert tuple(right) == (100.0, 100.0, 100.0)


def pairs(moves, steps, changed):
    """Pairs whose grades differ at one target, and whose said severities differ as given."""
    from proof.measures import Graded

    n = len(changed)
    grades, said = np.ones((2 * n, 25), dtype=int), np.zeros((2 * n, 25))
    rows = np.arange(n)
    grades[1::2][rows, changed] += steps
    said[1::2] = moves
    flat = np.full((2 * n, 25, 3), 1 / 3)
    return Graded(grades, grades, said, flat, said)


def test_a_pair_is_told_right_if_the_changed_target_moves_most_and_in_its_direction():
    from proof.measures import pair_scores

    moves = np.zeros((4, 25))
    moves[0, 3], moves[1, 7], moves[2, 9], moves[3, 0] = 2.0, -1.0, 1.0, 0.5
    moves[2, 4], moves[3, 1] = 3.0, -4.0  # Others move more.
    found = pair_scores(pairs(moves, np.array([1, 1, 1, -1]), np.array([3, 7, 9, 0])))
    assert (found.largest.value, found.right.value, found.pairs) == (50.0, 50.0, 4)
    assert found.rank == 1.5


def test_studies_that_are_no_pairs_are_refused():
    from proof.measures import pair_scores

    found = pairs(np.zeros((2, 25)), np.array([1, 0]), np.array([0, 1]))
    with pytest.raises(ValueError, match="neighbours"):
        pair_scores(found)


def test_a_difference_is_paired_and_vanishes_between_equals():
    from proof.measures import paired, reported

    found = graded(exact)
    terms = reported(found.probabilities, found.labels)
    assert all(tuple(e) == (0.0, 0.0, 0.0) for e in paired(terms, terms))
    worse = reported(prevalence(), found.labels)
    assert paired(worse, terms)[0].low > 0


def test_reports_are_decided_row_by_row_and_as_a_whole_and_both_beat_what_is_not_decided():
    from proof.measures import averaged, columns, reported

    found = graded(exact)
    terms = reported(found.probabilities, found.labels)
    plain = rsna_terms(found.labels, found.probabilities).score()
    assert terms.rows.score().spinal < plain.spinal
    assert terms.study.score().total < terms.rows.score().total < plain.total
    drawn = columns(terms, resamples=4)[0]
    score = terms.rows.score()
    three = [score.spinal, score.foraminal, score.subarticular]
    whole = terms.study.score()
    expected = [np.mean(three), *three, whole.any_severe, whole.total]
    np.testing.assert_allclose(drawn, expected)
    other = reported(prevalence(), found.labels)
    between = columns(averaged([terms, other]), resamples=4)[0]
    np.testing.assert_allclose(between, (drawn + columns(other, resamples=4)[0]) / 2)


@pytest.mark.slow
def test_a_grader_that_knows_the_truth_but_no_reader_is_mended_by_the_labels_of_others():
    from dataclasses import replace

    from proof.measures import ways
    from proof.refit import temperature_and_offsets_of, temperature_of

    def sure(severity):
        """One who never met a reader: cuts as of the truth, and hardly a doubt."""
        margin = (cutpoints() - severity[..., None]) / 0.1
        below = np.pad(1 / (1 + np.exp(-margin)), [(0, 0), (0, 0), (1, 1)])
        below[..., -1] = 1
        return np.maximum(np.diff(below, axis=-1), 1e-9)

    def loss(p, found):
        said = p / p.sum(axis=-1, keepdims=True)
        changed = replace(found, probabilities=said)
        return ways(changed, {"own": prevalence()}, READER)[0]

    others, found = graded(sure, 200, seed=1), graded(sure, 200, seed=2)
    as_is = loss(found.probabilities, found)
    warm = loss(temperature_of(others)(found.probabilities), found)
    both = loss(temperature_and_offsets_of(others)(found.probabilities), found)
    assert as_is.shares["own"].value > 40
    assert warm.score.value < as_is.score.value
    assert 0 < both.shares["own"].value < 15
    assert both.score.value <= warm.score.value + 0.01


def test_what_is_refitted_is_a_distribution_and_alike_on_both_sides():
    from proof.refit import temperature_and_offsets_of, temperature_of

    from volspine.anatomy import MIRRORED_INDEX

    found, index = graded(exact, 40), list(MIRRORED_INDEX)
    for fit in (temperature_of(found), temperature_and_offsets_of(found)):
        p = fit(found.probabilities)
        np.testing.assert_allclose(p.sum(axis=-1), 1)
        np.testing.assert_allclose(fit(found.probabilities[:, index]), p[:, index])
