"""The challenge's metric against scikit-learn, constants and hand values."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from volspine.anatomy import LEVELS, TARGETS, Finding, Grade
from volspine.challenge import LABEL_COLUMNS, PROBABILITY_COLUMNS, row_id
from volspine.errors import ConfigurationError, TableError
from volspine.metrics.rsna import TERMS, Terms, rsna_score, rsna_terms

LN = np.log


def cohort(num_studies: int, seed: int = 0, missing: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    grades = rng.choice(3, size=(num_studies, 25), p=[0.77, 0.16, 0.07])
    grades[rng.random(grades.shape) < missing] = -1
    grades[0] = 0  # every term has a row
    return grades, rng.dirichlet((2, 1, 1), size=(num_studies, 25))


def wide(grades: np.ndarray) -> pd.DataFrame:
    text = [[Grade(g).label if g >= 0 else np.nan for g in row] for row in grades.tolist()]
    frame = pd.DataFrame(text, columns=list(LABEL_COLUMNS))
    frame.insert(0, "study_id", [1000 + n for n in range(len(grades))])
    return frame


def submission(probabilities: np.ndarray) -> pd.DataFrame:
    rows = [
        (row_id(1000 + n, target), *probabilities[n, target.index])
        for n in range(len(probabilities))
        for target in reversed(TARGETS)  # the order of rows means nothing
    ]
    return pd.DataFrame(rows, columns=["row_id", *PROBABILITY_COLUMNS])


def long(grades: np.ndarray) -> pd.DataFrame:
    rows = [
        (row_id(1000 + n, target), *np.eye(3)[g], 2.0**g)
        for n, row in enumerate(grades.tolist())
        for target, g in zip(TARGETS, row, strict=True)
        if g >= 0
    ]
    return pd.DataFrame(rows, columns=["row_id", *PROBABILITY_COLUMNS, "sample_weight"])


def independent_score(
    truth: pd.DataFrame, said: pd.DataFrame, *, normalize_rows: bool
) -> list[float]:
    """The metric written once more with pandas and scikit-learn, from the long tables."""
    table = truth.merge(said, on="row_id", suffixes=("", "_said"))
    table["study"] = table["row_id"].str.split("_").str[0]
    columns = list(PROBABILITY_COLUMNS)
    terms = []
    for word in ("spinal", "foraminal", "subarticular"):
        part = table[table["row_id"].str.contains(word)]
        p = part[[f"{c}_said" for c in columns]].to_numpy()
        if normalize_rows:
            p = np.clip(p, np.finfo(float).eps, 1 - np.finfo(float).eps)
            p = p / p.sum(axis=1, keepdims=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns where rows do not sum to one
            loss = log_loss(
                part[columns].to_numpy().argmax(axis=1),
                p,
                sample_weight=part["sample_weight"],
                labels=[0, 1, 2],
            )
        terms.append(loss)
    study = table[table["row_id"].str.contains("spinal")].groupby("study")
    terms.append(
        log_loss(
            study["severe"].max(),
            study["severe_said"].max(),
            sample_weight=study["sample_weight"].max(),
            labels=[0, 1],
        )
    )
    return [float(np.mean(terms)), *terms]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("normalize_rows", [True, False])
def test_it_equals_scikit_learn(seed: int, normalize_rows: bool) -> None:
    grades, probabilities = cohort(40, seed)
    probabilities[3, :, :] = [1.0, 0.0, 0.0]  # certain, and sometimes wrong
    probabilities[5] *= 0.8  # rows that do not sum to one
    expected = independent_score(
        long(grades), submission(probabilities), normalize_rows=normalize_rows
    )
    score = rsna_score(
        wide(grades), submission(probabilities), normalize_rows=normalize_rows
    ).to_dict()
    assert list(score) == ["total", *TERMS]
    assert list(score.values()) == pytest.approx(expected, rel=1e-12)


def test_the_wide_and_the_long_solution_give_the_same() -> None:
    grades, probabilities = cohort(30)
    said = submission(probabilities)
    assert rsna_score(long(grades), said) == rsna_score(wide(grades), said)


def test_uniform_predictions_score_ln_3_and_a_known_fourth_term() -> None:
    grades, _ = cohort(50)
    score = rsna_score(wide(grades), submission(np.full((50, 25, 3), 1 / 3)))
    assert score.spinal == pytest.approx(LN(3))
    assert score.foraminal == pytest.approx(LN(3))
    assert score.subarticular == pytest.approx(LN(3))
    worst = grades[:, :5].max(axis=1)
    w = np.array([0.0, 1.0, 2.0, 4.0])[worst + 1]
    share = w[worst == 2].sum() / w.sum()
    assert score.any_severe == pytest.approx(share * LN(3) + (1 - share) * LN(1.5))


def test_the_weighted_prior_scores_its_own_entropy() -> None:
    """A constant prediction of the weighted frequencies costs exactly their entropy."""
    grades, _ = cohort(200, missing=0.0)
    probabilities = np.empty((200, 25, 3))
    entropies = {}
    for finding in Finding:
        index = [t.index for t in TARGETS if t.finding is finding]
        counts = np.bincount(grades[:, index].ravel(), minlength=3) * np.array([1, 2, 4])
        q = counts / counts.sum()
        probabilities[:, index] = q
        entropies[finding] = -(q * LN(q)).sum()
    score = rsna_score(wide(grades), submission(probabilities))
    assert score.spinal == pytest.approx(entropies[Finding.CANAL])
    assert score.foraminal == pytest.approx(entropies[Finding.FORAMEN])
    assert score.subarticular == pytest.approx(entropies[Finding.RECESS])


CANAL_PERCENT = np.array(
    [[95.5, 3.4, 1.1], [89.7, 7.6, 2.7], [82.2, 11.7, 6.2], [75.1, 12.0, 12.9], [96.5, 2.6, 1.0]]
)
"""Published share of normal/mild, moderate and severe canals at each level, rounded."""


def test_the_published_frequencies_give_the_published_priors() -> None:
    """Canal: .7833 with one prior for all levels, .7063 with one for each; percentages rounded."""
    counts = np.round(CANAL_PERCENT * 10).astype(int)
    size = counts.sum(axis=1).min()
    grades = np.zeros((size, 25), dtype=int)
    for level in range(len(LEVELS)):
        grades[:, level] = np.repeat([0, 1, 2], counts[level])[:size]
    weighted = counts * np.array([1, 2, 4])
    one = np.broadcast_to(weighted.sum(axis=0) / weighted.sum(), (size, 25, 3))
    each = np.full((size, 25, 3), 1 / 3)
    each[:, :5] = weighted / weighted.sum(axis=1, keepdims=True)
    assert rsna_terms(grades, one).score().spinal == pytest.approx(0.7833, abs=2e-3)
    assert rsna_terms(grades, each).score().spinal == pytest.approx(0.7063, abs=2e-3)


def test_the_largest_severe_probability_counts_among_graded_levels_only() -> None:
    grades = np.zeros((1, 25), dtype=int)
    grades[0, 4] = -1
    p = np.full((1, 25, 3), 1 / 3)
    p[0, 1] = [0.3, 0.3, 0.4]
    p[0, 4] = [0.05, 0.05, 0.9]
    assert rsna_terms(grades, p).score().any_severe == pytest.approx(-LN(0.6))


def test_the_fourth_term_uses_the_raw_probability() -> None:
    """Rows of (1, 1, 0.5) are divided by 2.5 for the first term, but 0.5 itself is the fourth's."""
    grades = np.full((1, 25), -1)
    grades[0, 0] = 2
    score = rsna_terms(grades, np.tile([0.6, 0.4, 0.5], (1, 25, 1))).score()
    assert score.spinal == pytest.approx(-LN(0.5 / 1.5))
    assert score.any_severe == pytest.approx(-LN(0.5))


def test_a_study_without_a_canal_grade_leaves_the_fourth_term() -> None:
    grades, p = cohort(10, missing=0.0)
    whole = rsna_terms(grades, p)
    grades[4, :5] = -1
    terms = rsna_terms(grades, p)
    assert terms.denominators[4, 3] == 0
    kept = np.arange(10) != 4
    assert Terms(terms.numerators[kept], terms.denominators[kept]).score().any_severe == (
        Terms(whole.numerators[kept], whole.denominators[kept]).score().any_severe
    )


@pytest.mark.parametrize(("dtype", "eps"), [(np.float64, 2.220446e-16), (np.float32, 1.1920929e-7)])
def test_zero_is_clipped_at_eps_of_the_dtype(dtype: type, eps: float) -> None:
    grades = np.full((1, 25), -1)
    grades[0, 0] = 2
    p = np.tile(np.array([1, 0, 0], dtype=dtype), (1, 25, 1))
    score = rsna_terms(grades, p, normalize_rows=False).score()
    assert score.spinal == pytest.approx(-LN(eps), rel=1e-6)
    assert score.any_severe == pytest.approx(-LN(eps), rel=1e-6)


def test_rows_are_divided_by_their_sum_unless_told_otherwise() -> None:
    truth, said = wide(np.zeros((1, 25), dtype=int)), submission(np.full((1, 25, 3), 0.25))
    assert rsna_score(truth, said).spinal == pytest.approx(LN(3))
    assert rsna_score(truth, said, normalize_rows=False).spinal == pytest.approx(LN(4))


def test_a_row_of_zeros_is_uniform_once_clipped() -> None:
    grades = np.zeros((1, 25), dtype=int)
    assert rsna_terms(grades, np.zeros((1, 25, 3))).score().spinal == pytest.approx(LN(3))


@given(st.integers(0, 10_000))
def test_terms_add_up_over_any_split_of_the_studies(seed: int) -> None:
    grades, p = cohort(12, seed)
    parts = [rsna_terms(grades[s], p[s]) for s in (slice(0, 5), slice(5, 12))]
    joined = Terms(*(np.concatenate(pair) for pair in zip(*parts, strict=True)))
    assert joined.score().to_dict() == pytest.approx(rsna_terms(grades, p).score().to_dict())


@given(st.integers(0, 24), st.floats(0.01, 0.9))
def test_ungraded_rows_do_not_matter(target: int, p_severe: float) -> None:
    grades, p = cohort(6)
    grades[:, target] = -1
    before = rsna_terms(grades, p)
    p[:, target] = [0.95 - p_severe, 0.05, p_severe]
    after = rsna_terms(grades, p)
    assert np.array_equal(before.numerators, after.numerators)


def test_the_truth_scores_best() -> None:
    grades, p = cohort(20, missing=0.0)
    perfect = rsna_terms(grades, np.eye(3)[grades]).score()
    assert perfect.total == pytest.approx(0.0, abs=1e-12)
    assert rsna_terms(grades, p).score().total > 0.5


def test_mirrored_labels_and_predictions_score_the_same_and_mixed_ones_do_not() -> None:
    from volspine.anatomy import MIRRORED_INDEX

    grades, p = cohort(20)
    index = list(MIRRORED_INDEX)
    score = rsna_terms(grades, p).score().to_dict()
    both = rsna_terms(grades[:, index], p[:, index]).score().to_dict()
    assert both == pytest.approx(score)
    assert rsna_terms(grades, p[:, index]).score().foraminal != pytest.approx(score["foraminal"])


def test_a_term_without_rows_is_nan_for_terms_and_an_error_for_tables() -> None:
    grades = np.full((2, 25), -1)
    grades[:, :5] = 0
    p = np.full((2, 25, 3), 1 / 3)
    score = rsna_terms(grades, p).score()
    assert np.isnan(score.foraminal)
    assert score.total == pytest.approx((score.spinal + score.any_severe) / 2)
    with pytest.raises(TableError, match="no graded row"):
        rsna_score(wide(grades), submission(p))


@pytest.mark.parametrize(("grades", "p"), [((2, 24), (2, 24, 3)), ((2, 25), (2, 25, 2))])
def test_shapes_that_do_not_fit_are_refused(grades: tuple[int], p: tuple[int]) -> None:
    with pytest.raises(ConfigurationError, match="do not fit"):
        rsna_terms(np.zeros(grades, dtype=int), np.ones(p))


def test_files_and_frames_score_the_same(tmp_path: Path) -> None:
    grades, p = cohort(8)
    truth, said = tmp_path / "train.csv", tmp_path / "submission.csv"
    wide(grades).to_csv(truth, index=False)
    submission(p).to_csv(said, index=False)
    from_files = rsna_score(truth, str(said))
    assert from_files.to_dict() == pytest.approx(
        rsna_score(wide(grades), submission(p)).to_dict(), rel=1e-12
    )


def test_some_studies_can_be_scored_alone() -> None:
    grades, p = cohort(10)
    some = rsna_score(wide(grades), submission(p), studies={"1000", "1003"})
    assert some == rsna_score(
        wide(grades[[0, 3]]).assign(study_id=["1000", "1003"]),
        submission(p),
        studies={"1000", "1003"},
    )
    assert some != rsna_score(wide(grades), submission(p))
