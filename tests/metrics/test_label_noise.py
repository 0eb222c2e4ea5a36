"""Label noise: labels that were flipped on purpose stand at the top of the list."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from tests.metrics.test_likelihood import reports
from volspine.anatomy import TARGETS
from volspine.errors import ConfigurationError
from volspine.metrics.label_noise import NOISE_COLUMNS, disagreement, label_noise_csv, suspects


def one_row(p, label):
    grades = np.full((1, 25), -1)
    grades[0, 7] = label
    report = np.full((1, 25, 3), 1 / 3)
    report[0, 7] = p
    return report, grades


def test_a_label_ten_times_less_likely_is_2_3_nats_away():
    report, grades = one_row([0.08, 0.8, 0.12], 0)
    assert disagreement(report, grades)[0, 7] == pytest.approx(np.log(10))
    (found,) = suspects(report, grades, ["9"])
    assert (found.label, found.likeliest, found.target) == (0, 1, TARGETS[7])
    assert (found.p_label, found.p_likeliest) == pytest.approx((0.08, 0.8))


def test_a_label_that_is_believed_is_no_suspect_and_a_missing_one_is_not_judged():
    report, grades = one_row([0.1, 0.8, 0.1], 1)
    assert suspects(report, grades, ["9"]) == ()
    assert np.isnan(disagreement(report, grades)).sum() == 24


def test_planted_flips_are_ranked_first():
    """Of 1,000 labels drawn from what the model says, 50 are made another grade."""
    p, grades = reports(0, sharp=8.0)
    rng = np.random.default_rng(1)
    planted = np.zeros(grades.size, dtype=bool)
    planted[rng.choice(grades.size, 50, replace=False)] = True
    flipped = np.where(planted.reshape(grades.shape), (grades + rng.integers(1, 3)) % 3, grades)
    ranks = disagreement(p, flipped).ravel()
    assert roc_auc_score(planted, ranks) > 0.95
    top = suspects(p, flipped, [str(n) for n in range(len(p))])[:50]
    at = [int(s.key) * 25 + s.target.index for s in top]
    assert planted[at].mean() > 0.6


@given(st.integers(0, 1000))
def test_the_list_is_sorted_and_complete(seed):
    p, grades = reports(seed)
    found = suspects(p, grades, [str(n) for n in range(len(p))])
    assert len(found) == int((p.argmax(axis=-1) != grades).sum())
    values = [one.disagreement for one in found]
    assert values == sorted(values, reverse=True)
    assert min(values) > 0


def test_the_table_names_study_side_and_level():
    report, grades = one_row([0.08, 0.8, 0.12], 2)
    rows = list(csv.DictReader(io.StringIO(label_noise_csv(suspects(report, grades, ["a_b"])))))
    assert tuple(rows[0]) == NOISE_COLUMNS
    assert rows[0]["row_id"] == f"a_b_{TARGETS[7].name}"
    assert rows[0]["condition"] == TARGETS[7].condition.term
    assert rows[0]["level"] == TARGETS[7].level.value
    assert (rows[0]["rank"], rows[0]["label"], rows[0]["likeliest"]) == ("1", "2", "1")


def test_labels_of_another_shape_are_refused():
    with pytest.raises(ConfigurationError, match="are not of"):
        disagreement(np.ones((2, 25, 3)), np.zeros((3, 25), dtype=int))
