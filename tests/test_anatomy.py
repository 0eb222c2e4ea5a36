"""The vocabulary: 25 targets in one order, and sides that change places."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volspine.anatomy import (
    LEVELS,
    MIRRORED_INDEX,
    PROTOCOLS,
    TARGETS,
    Condition,
    Finding,
    Grade,
    Level,
    Protocol,
    Side,
    Target,
)

ORDER = (
    "spinal_canal_stenosis",
    "left_neural_foraminal_narrowing",
    "right_neural_foraminal_narrowing",
    "left_subarticular_stenosis",
    "right_subarticular_stenosis",
)


def test_targets_stand_by_condition_then_from_cranial_to_caudal() -> None:
    levels = ("l1_l2", "l2_l3", "l3_l4", "l4_l5", "l5_s1")
    assert [t.name for t in TARGETS] == [f"{c}_{level}" for c in ORDER for level in levels]


@given(st.integers(0, 24))
def test_an_index_is_a_position_and_a_mirror_undoes_itself(index: int) -> None:
    target = TARGETS[index]
    assert target.index == index
    assert target.mirrored.mirrored == target
    assert MIRRORED_INDEX[MIRRORED_INDEX[index]] == index
    assert target.mirrored.level is target.level
    assert target.mirrored.finding is target.finding


def test_the_mirror_exchanges_left_and_right_by_hand() -> None:
    assert (
        *range(5), *range(10, 15), *range(5, 10), *range(20, 25), *range(15, 20)
    ) == MIRRORED_INDEX  # fmt: skip
    left = Target(Condition.LEFT_SUBARTICULAR_STENOSIS, Level.L5_S1)
    assert left.mirrored.condition is Condition.RIGHT_SUBARTICULAR_STENOSIS
    canal = Target(Condition.SPINAL_CANAL_STENOSIS, Level.L1_L2)
    assert canal.mirrored == canal


def test_sides_are_the_patients() -> None:
    assert Side.LEFT.opposite is Side.RIGHT
    assert Side.RIGHT.opposite is Side.LEFT
    for target in TARGETS:
        expected = target.name.split("_")[0] if target.side else None
        assert (target.side and target.side.value) == expected
    assert Counter(t.side for t in TARGETS) == {Side.LEFT: 10, Side.RIGHT: 10, None: 5}


def test_findings_hold_5_10_and_10_targets() -> None:
    counts = Counter(t.finding for t in TARGETS)
    assert counts == {Finding.CANAL: 5, Finding.FORAMEN: 10, Finding.RECESS: 10}


def test_primary_views_are_those_that_show_the_finding() -> None:
    assert Finding.CANAL.primary_views == (Protocol.SAGITTAL_T2, Protocol.AXIAL_T2)
    assert Finding.FORAMEN.primary_views == (Protocol.SAGITTAL_T1,)
    assert Finding.RECESS.primary_views == (Protocol.AXIAL_T2,)


def test_channels_have_one_order_and_no_other_protocol() -> None:
    assert [p.value for p in PROTOCOLS] == ["sagittal_t1", "sagittal_t2", "axial_t2"]


def test_labels_read_like_a_report() -> None:
    assert TARGETS[8].label == "Left neural foraminal narrowing L4/L5"
    assert [level.label for level in LEVELS] == ["L1/L2", "L2/L3", "L3/L4", "L4/L5", "L5/S1"]
    assert [p.label for p in Protocol] == [
        "sagittal T1",
        "sagittal T2",
        "axial T2",
        "other series",
    ]
    assert [grade.label for grade in Grade] == ["Normal/Mild", "Moderate", "Severe"]


def test_grades_are_ordered_and_index_arrays() -> None:
    assert Grade.NORMAL_MILD < Grade.MODERATE < Grade.SEVERE
    assert np.array([10, 20, 30])[Grade.SEVERE] == 30


def test_a_target_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        TARGETS[0].level = Level.L2_L3
