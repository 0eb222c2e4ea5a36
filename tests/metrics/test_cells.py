"""Cells: parts that add up to the metric, sides kept apart, and blanks with a reason."""

import json

import numpy as np
import pytest

from volspine.anatomy import LEVELS, MIRRORED_INDEX, TARGETS, Condition, Target
from volspine.decide import decide
from volspine.metrics.cells import CELL_MEASURES, cells, confusions
from volspine.metrics.intervals import GROUPS
from volspine.metrics.ordinal import confusion
from volspine.metrics.rsna import grade_weights, rsna_terms

LEFT_L5 = Target(Condition.LEFT_NEURAL_FORAMINAL_NARROWING, LEVELS[4]).index
RIGHT_L5 = Target(Condition.RIGHT_NEURAL_FORAMINAL_NARROWING, LEVELS[4]).index


def made(studies=30, seed=0):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(3), (studies, 25)), rng.integers(-1, 3, (studies, 25))


def test_weighted_parts_of_the_cells_add_up_to_the_terms_of_the_metric():
    p, labels = made()
    found, weights = cells(p, labels, decide(p)), grade_weights(labels).sum(axis=0)
    score = rsna_terms(labels, decide(p)).score()
    for group, term in {
        "canal": "spinal",
        "foramen": "foraminal",
        "recess": "subarticular",
    }.items():
        t = GROUPS[group]
        parts = sum(weights[n] * found[n].measures["score_part"] for n in t)
        assert parts / weights[t].sum() == pytest.approx(score.to_dict()[term])


def test_a_hand_worked_cell():
    p, labels = made(4)
    p[:, LEFT_L5] = [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.5, 0.25, 0.25]]
    labels[:, LEFT_L5] = [0, 1, 2, -1]
    cell = cells(p, labels, p)[LEFT_L5]
    assert (cell.rows, cell.labels) == (3, (1, 1, 1))
    assert cell.measures["score_part"] == pytest.approx(-np.log(0.8))
    assert cell.measures["calibration_error"] == pytest.approx(0.2)
    for name in ("kappa", "auroc_moderate", "auroc_severe", "balanced_accuracy"):
        assert cell.measures[name] == 1.0
    assert cell.to_dict()["side"] == "left"
    assert cell.to_dict()["level"] == "l5_s1"


def test_a_mirrored_cohort_has_the_cells_of_the_other_side():
    p, labels = made()
    p[:, LEFT_L5] = np.eye(3)[np.maximum(labels[:, LEFT_L5], 0)] * 0.97 + 0.01
    found = cells(p, labels, p)
    index = list(MIRRORED_INDEX)
    mirrored = cells(p[:, index], labels[:, index], p[:, index])
    assert found[LEFT_L5].measures["kappa"] == 1.0 > found[RIGHT_L5].measures["kappa"]
    assert mirrored[RIGHT_L5].measures["kappa"] == 1.0
    for t in range(len(TARGETS)):
        assert mirrored[index[t]].measures == pytest.approx(found[t].measures, nan_ok=True)
        assert mirrored[t].target is TARGETS[t] or mirrored[t].target == TARGETS[t]


@pytest.mark.parametrize(
    ("labels_there", "measure", "reason"),
    [
        ([0, 0, 1, 1], "auroc_severe", "no label is severe"),
        ([0, 0, 0, 0], "auroc_moderate", "no label is moderate or worse"),
        ([1, 1, 2, 2], "auroc_moderate", "all labels are moderate or worse"),
        ([2, 2, 2, 2], "auroc_severe", "all labels are severe"),
        ([-1, -1, -1, -1], "kappa", "no label"),
        ([-1, -1, -1, -1], "score_part", "no label"),
        ([-1, -1, -1, -1], "calibration_error", "no label"),
    ],
)
def test_what_a_cell_does_not_define_is_blank_with_its_reason(labels_there, measure, reason):
    p, labels = made(4)
    labels[:, RIGHT_L5] = labels_there
    cell = cells(p, labels, p)[RIGHT_L5]
    assert np.isnan(cell.measures[measure])
    assert cell.reasons[measure] == reason
    plain = json.loads(json.dumps(cell.to_dict(), allow_nan=False))
    assert plain[measure] is None
    assert set(CELL_MEASURES) <= set(plain)


def test_one_grade_that_is_always_given_leaves_kappa_blank():
    p, labels = made(4)
    labels[:, 0], p[:, 0] = 0, [0.9, 0.05, 0.05]
    reasons = cells(p, labels, p)[0].reasons
    assert reasons["kappa"] == "all labels and all grades given are one grade"


def test_confusions_are_those_of_the_likeliest_grade():
    p, labels = made()
    found = confusions(p, labels, GROUPS)
    for name, t in GROUPS.items():
        assert np.array_equal(found[name], confusion(labels[:, t], p[:, t].argmax(axis=-1)))
