"""The challenge's spellings, in and out again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volspine.anatomy import LEVELS, PROTOCOLS, TARGETS, Condition, Finding, Grade, Protocol
from volspine.challenge import (
    FINDING_GROUPS,
    GRADE_WEIGHTS,
    LABEL_COLUMNS,
    condition_from_title,
    condition_title,
    description_from_protocol,
    grade_from_text,
    level_from_title,
    parse_row_id,
    protocol_from_description,
    row_id,
    submission_targets,
)
from volspine.errors import TableError


@given(st.text(min_size=1, max_size=20), st.sampled_from(TARGETS))
def test_a_row_id_names_its_study_and_target_again(study: str, target: object) -> None:
    assert parse_row_id(row_id(study, target)) == (study, target)


def test_a_row_id_is_spelt_as_in_the_sample_submission() -> None:
    assert row_id(4003253, TARGETS[0]) == "4003253_spinal_canal_stenosis_l1_l2"
    assert row_id("7", TARGETS[24]) == "7_right_subarticular_stenosis_l5_s1"


def test_a_study_id_may_look_like_a_target() -> None:
    tricky = "1_left_subarticular_stenosis_l1_l2"
    assert parse_row_id(row_id(tricky, TARGETS[3])) == (tricky, TARGETS[3])


@pytest.mark.parametrize(
    "text", ["", "7", "spinal_canal_stenosis_l1_l2", "_spinal_canal_stenosis_l1_l2", "7_knee_l1_l2",
             "7_spinal_canal_stenosis_l6_s1", "7_spinal_canal_stenosis_l1_l2 "]
)  # fmt: skip
def test_other_row_ids_are_refused(text: str) -> None:
    with pytest.raises(TableError, match="does not end in a condition and level"):
        parse_row_id(text)


def test_a_submission_has_conditions_in_alphabetical_order_and_not_in_ours() -> None:
    names = [target.name for target in submission_targets()]
    assert names == sorted(names)
    assert set(submission_targets()) == set(TARGETS)
    assert names[0] == "left_neural_foraminal_narrowing_l1_l2"
    assert names[-1] == "spinal_canal_stenosis_l5_s1"
    assert names != list(LABEL_COLUMNS)


def test_descriptions_and_protocols_are_inverse() -> None:
    assert description_from_protocol(Protocol.SAGITTAL_T2) == "Sagittal T2/STIR"
    for protocol in PROTOCOLS:
        assert protocol_from_description(description_from_protocol(protocol)) is protocol


@pytest.mark.parametrize("text", ["", "Coronal T1", "Sagittal T2", "T1"])
def test_an_unknown_description_is_other(text: str) -> None:
    assert protocol_from_description(text) is Protocol.OTHER


def test_descriptions_are_read_whatever_their_case_and_spaces() -> None:
    assert protocol_from_description("  axial   t2 ") is Protocol.AXIAL_T2


def test_other_has_no_spelling() -> None:
    with pytest.raises(TableError, match="has no spelling"):
        description_from_protocol(Protocol.OTHER)


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        ("Normal/Mild", 0),
        ("Moderate", 1),
        ("Severe", 2),
        (" severe ", 2),
        ("", None),
        ("nan", None),
    ],
)
def test_cells_of_the_label_table(text: str, grade: int | None) -> None:
    assert grade_from_text(text) == grade


@pytest.mark.parametrize("text", ["Mild", "2", "Normal"])
def test_other_cells_are_refused(text: str) -> None:
    with pytest.raises(TableError, match=f"'{text}' is not a grade"):
        grade_from_text(text)


def test_titles_are_those_of_the_coordinate_table() -> None:
    title = "Left Neural Foraminal Narrowing"
    assert condition_title(Condition.LEFT_NEURAL_FORAMINAL_NARROWING) == title
    for condition in Condition:
        assert condition_from_title(condition_title(condition)) is condition
    for level in LEVELS:
        assert level_from_title(level.label) is level_from_title(level.value) is level


def test_other_titles_are_refused() -> None:
    with pytest.raises(TableError, match="is not a condition"):
        condition_from_title("Knee pain")
    with pytest.raises(TableError, match="is not a level"):
        level_from_title("L6/S1")


def test_a_weight_is_two_to_the_grade() -> None:
    assert tuple(2.0**grade for grade in Grade) == GRADE_WEIGHTS


def test_the_metrics_groups_pool_both_sides() -> None:
    assert list(FINDING_GROUPS.items()) == [
        ("spinal", Finding.CANAL),
        ("foraminal", Finding.FORAMEN),
        ("subarticular", Finding.RECESS),
    ]
    for name, finding in FINDING_GROUPS.items():
        assert name in finding.term
