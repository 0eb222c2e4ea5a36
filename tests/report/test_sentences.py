"""Sentences about levels say the worst first, keep sides apart, and call nothing unseen normal."""

import numpy as np
import pytest

from tests.report.made_up import make_grades
from volspine.anatomy import LEVELS, TARGETS, Level
from volspine.grades import StudyGrades
from volspine.report.sentences import level_sentence, study_sentence

SEVERE, MODERATE, MILD = [0.05, 0.05, 0.9], [0.1, 0.8, 0.1], [0.95, 0.04, 0.01]
TORN = [0.36, 0.24, 0.4]


def graded(*, imputed=None, **rows):
    """Everything mild but what is named: `spinal_canal_stenosis_l4_l5=SEVERE`."""
    probabilities = np.tile(MILD, (25, 1))
    for name, row in rows.items():
        (t,) = [target.index for target in TARGETS if target.name == name]
        probabilities[t] = row
    missing = np.zeros(25, dtype=bool) if imputed is None else imputed
    return StudyGrades(
        name="x",
        probabilities=probabilities,
        imputed=missing,
        reasons=tuple("no such series" if m else "" for m in missing),
        points_mm=np.full((25, 3), np.nan),
        status="partial" if missing.any() else "graded",
    )


def said(grades, level=Level.L4_L5):
    return level_sentence(grades, level).replace("\u00a0", " ")


def test_the_worst_is_said_first():
    grades = graded(
        spinal_canal_stenosis_l4_l5=MODERATE, right_neural_foraminal_narrowing_l4_l5=SEVERE
    )
    assert said(grades) == (
        "Severe right neural foraminal narrowing (90 %); moderate spinal canal stenosis (80 %). "
        "Normal or mild: left foramen and both recesses."
    )


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_side_is_never_the_other(side):
    grades = graded(**{f"{side}_subarticular_stenosis_l4_l5": SEVERE})
    other = {"left": "right", "right": "left"}[side]
    text = said(grades)
    assert text.startswith(f"Severe {side} subarticular stenosis (90 %).")
    assert f"{other} recess" in text
    assert f"{side} recess" not in text


def test_both_sides_are_said_together_with_the_probability_of_each():
    grades = graded(
        left_subarticular_stenosis_l4_l5=[0.1, 0.2, 0.7], right_subarticular_stenosis_l4_l5=SEVERE
    )
    assert said(grades).startswith(
        "Severe subarticular stenosis on both sides (right 90 %; left 70 %)."
    )


def test_what_is_uncertain_names_the_next_grade():
    assert "(40 %, uncertain: normal or mild 36 %)" in said(
        graded(spinal_canal_stenosis_l4_l5=TORN)
    )
    mild = graded(spinal_canal_stenosis_l4_l5=[0.4, 0.36, 0.24])
    assert said(mild).startswith("Normal or mild, but uncertain: canal (40 %, moderate 36 %).")


def test_a_level_without_findings_says_what_is_least_sure():
    grades = graded(left_neural_foraminal_narrowing_l4_l5=[0.7, 0.2, 0.1])
    assert said(grades) == "Normal or mild throughout (least sure: left foramen, 70 %)."


def test_what_was_not_measured_is_never_called_normal():
    imputed = np.array([target.side is not None for target in TARGETS])
    text = said(graded(imputed=imputed))
    assert text == "Normal or mild: canal. Not measured: both foramina and both recesses."


def test_the_study_counts_what_was_measured():
    grades = graded(spinal_canal_stenosis_l4_l5=SEVERE, spinal_canal_stenosis_l1_l2=TORN)
    assert study_sentence(grades) == (
        "25 of 25 targets were measured: 2 severe, 23 normal or mild. 1 grade is uncertain. "
        "Severe at L1/L2 and L4/L5."
    )


def test_a_refused_study_says_why():
    refused = StudyGrades.refused("x", "a knee")
    assert study_sentence(refused) == "Nothing was graded: a knee."
    assert all(level_sentence(refused, level) == "Not graded." for level in LEVELS)


def test_every_target_is_told_once_at_its_level():
    grades = make_grades()  # All moderate but one.
    for level in LEVELS:
        text = level_sentence(grades, level)
        assert text.lower().count("stenosis") + text.lower().count("narrowing") >= 3
        assert "Normal" not in text
