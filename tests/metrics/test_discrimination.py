"""Areas under the curve: by hand, as two libraries have them, and of drawn studies."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from volspine._compat import import_torchvision
from volspine.anatomy import Grade
from volspine.errors import ConfigurationError
from volspine.metrics.discrimination import auroc, auroc_columns
from volspine.metrics.intervals import study_draws


def made(studies=30, seed=0):
    """Return probabilities with many ties, and labels with gaps."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(3), (studies, 25)).round(1)
    return p / p.sum(axis=-1, keepdims=True), rng.integers(-1, 3, (studies, 25))


def test_a_hand_worked_area():
    """Of four pairs three are in order and one is a tie."""
    assert auroc([0.1, 0.4, 0.4, 0.8], [False, False, True, True]) == 0.875


@pytest.mark.parametrize("events", [[True, True], [False, False], []])
def test_where_one_kind_of_row_is_missing_there_is_no_area(events):
    assert np.isnan(auroc([0.2, 0.7][: len(events)], events))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_two_libraries_find_the_same_and_reversed_scores_the_rest(seed):
    import_torchvision()
    from torchmetrics.functional.classification import binary_auroc

    rng = np.random.default_rng(seed)
    scores, events = rng.integers(0, 8, 40) / 8, np.arange(40) % 3 == 0
    found = auroc(scores, events)
    assert found == pytest.approx(roc_auc_score(events, scores))
    exact = binary_auroc(torch.from_numpy(scores), torch.from_numpy(events.astype(int)))
    assert found == pytest.approx(float(exact), abs=1e-6)
    assert auroc(-scores, events) == pytest.approx(1 - found)
    assert auroc(scores**3 + 5, events) == pytest.approx(found)


@pytest.mark.parametrize("least", [Grade.MODERATE, Grade.SEVERE])
def test_a_draw_weighs_rows_as_often_as_their_study_was_drawn(least):
    p, labels = made()
    draws = study_draws(len(labels), resamples=20, seed=3)
    found = auroc_columns(p, labels, draws, least=least)
    known = labels >= 0
    study, score = np.nonzero(known)[0], p[..., least:].sum(axis=-1)[known]
    for draw, area in zip(draws, found, strict=True):
        expected = roc_auc_score(labels[known] >= least, score, sample_weight=draw[study])
        assert area == pytest.approx(expected)
    drawn = np.repeat(np.arange(len(labels)), draws[5].astype(int))
    assert found[5] == pytest.approx(
        auroc(
            p[drawn][..., least:].sum(axis=-1)[labels[drawn] >= 0],
            labels[drawn][labels[drawn] >= 0] >= least,
        )
    )


def test_a_draw_without_the_event_has_no_area_and_the_others_do():
    p, labels = made(4)
    labels[:] = 0
    labels[2] = 2
    draws = np.array([[1.0, 1, 1, 1], [2, 2, 0, 0], [0, 0, 4, 0]])
    found = auroc_columns(p, labels, draws, least=Grade.SEVERE)
    assert np.isnan(found).tolist() == [False, True, True]


def test_scores_that_are_no_numbers_and_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ConfigurationError, match="VS-CFG-127"):
        auroc([np.nan, 0.1], [True, False])
    p, labels = made(3)
    with pytest.raises(ConfigurationError, match="VS-CFG-127"):
        auroc_columns(p, labels, np.ones((1, 4)), least=Grade.SEVERE)
