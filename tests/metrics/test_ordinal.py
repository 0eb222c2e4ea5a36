"""Agreement of grades against scikit-learn and by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    cohen_kappa_score,
    confusion_matrix,
)

from volspine.anatomy import TARGETS, Finding
from volspine.errors import ConfigurationError
from volspine.metrics.ordinal import (
    confusion,
    ordinal_scores,
    ordinal_scores_by_finding,
    quadratic_weighted_kappa,
)


def test_kappa_by_hand() -> None:
    # Truth 0 0 2 2, given 0 2 2 2: observed 4; expected (2*1*0 + 2*3*4 + 2*1*4 + 2*3*0) / 4 = 8.
    assert quadratic_weighted_kappa(confusion([0, 0, 2, 2], [0, 2, 2, 2])) == pytest.approx(0.5)


@settings(max_examples=15)
@given(st.integers(0, 10_000))
def test_it_equals_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, given_grades = rng.integers(0, 3, 60), rng.integers(0, 3, 60)
    truth[:3] = [0, 1, 2]
    scores = ordinal_scores(truth, given_grades)
    kappa = cohen_kappa_score(truth, given_grades, weights="quadratic")
    assert scores.kappa == pytest.approx(kappa)
    assert scores.accuracy == pytest.approx(accuracy_score(truth, given_grades))
    assert scores.balanced_accuracy == pytest.approx(balanced_accuracy_score(truth, given_grades))
    assert confusion(truth, given_grades).tolist() == (
        confusion_matrix(truth, given_grades, labels=[0, 1, 2]).tolist()
    )


def test_missing_grades_are_left_out_whatever_was_given_there() -> None:
    whole = ordinal_scores([0, 1, 2], [0, 2, 2])
    assert ordinal_scores([0, -1, 1, 2, -1], [0, 7, 2, 2, -1]) == whole
    assert whole.num_rows == 3
    assert whole.mean_error == pytest.approx(1 / 3)


def test_saying_the_commonest_grade_has_the_accuracy_of_the_majority_and_no_kappa() -> None:
    scores = ordinal_scores([0, 0, 0, 2], [0, 0, 0, 0])
    assert scores.accuracy == scores.majority == 0.75
    assert scores.kappa == 0.0
    assert scores.balanced_accuracy == 0.5


def test_nothing_known_is_nan_and_no_error() -> None:
    scores = ordinal_scores([-1, -1], [0, 1])
    assert scores.num_rows == 0
    assert all(math.isnan(v) for k, v in scores.to_dict().items() if k != "num_rows")


def test_one_grade_throughout_leaves_kappa_undefined() -> None:
    assert math.isnan(ordinal_scores([0, 0], [0, 0]).kappa)


def test_findings_are_told_apart() -> None:
    truth, given_grades = np.zeros((4, 25), dtype=int), np.zeros((4, 25), dtype=int)
    foramina = [t.index for t in TARGETS if t.finding is Finding.FORAMEN]
    given_grades[:, foramina] = 2
    scores = ordinal_scores_by_finding(truth, given_grades)
    assert scores["neural_foraminal_narrowing"].accuracy == 0.0
    assert scores["neural_foraminal_narrowing"].num_rows == 40
    assert scores["spinal_canal_stenosis"].accuracy == 1.0
    assert scores["all"].accuracy == pytest.approx(15 / 25)


@pytest.mark.parametrize(
    ("truth", "given_grades"), [([0, 1], [0]), ([3], [0]), ([-2], [0]), ([0], [3]), ([0], [-1])]
)
def test_grades_that_do_not_exist_are_refused(truth: list[int], given_grades: list[int]) -> None:
    with pytest.raises(ConfigurationError, match="cannot be compared"):
        confusion(truth, given_grades)
