"""StudyGrades: valid once constructed, frozen, and mirrored as a whole."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from volspine.anatomy import TARGETS, Grade
from volspine.errors import ConfigurationError
from volspine.grades import StudyGrades

NAMES = [target.name for target in TARGETS]
LEFT = NAMES.index("left_subarticular_stenosis_l4_l5")
RIGHT = NAMES.index("right_subarticular_stenosis_l4_l5")


def graded(**changes: Any) -> StudyGrades:
    parts: dict[str, Any] = {
        "name": "a",
        "probabilities": np.tile([0.6, 0.3, 0.1], (25, 1)),
        "imputed": np.zeros(25, dtype=np.bool_),
        "reasons": ("",) * 25,
        "points_mm": np.full((25, 3), np.nan),
        "status": "graded",
    }
    return StudyGrades(**{**parts, **changes})


def test_the_grade_is_the_most_probable_and_its_probability_the_confidence() -> None:
    probabilities = np.tile([0.6, 0.3, 0.1], (25, 1))
    probabilities[LEFT] = [0.1, 0.2, 0.7]
    result = graded(probabilities=probabilities)
    assert result.grades[LEFT] is Grade.SEVERE
    assert result.grades[RIGHT] is Grade.NORMAL_MILD
    assert result.confidence[LEFT] == 0.7


def test_a_tie_goes_to_the_milder_grade() -> None:
    result = graded(probabilities=np.tile([0.2, 0.4, 0.4], (25, 1)))
    assert set(result.grades) == {Grade.MODERATE}


def test_the_mirror_moves_a_finding_with_its_place_and_reason_to_the_other_side() -> None:
    probabilities = np.tile([0.6, 0.3, 0.1], (25, 1))
    probabilities[LEFT] = [0.1, 0.2, 0.7]
    points, imputed, reasons = np.zeros((25, 3)), np.zeros(25, dtype=np.bool_), [""] * 25
    points[LEFT], imputed[LEFT], reasons[LEFT] = [20.0, -5.0, 7.0], True, "no axial series"
    result = graded(
        probabilities=probabilities, points_mm=points, imputed=imputed, reasons=tuple(reasons)
    )
    mirrored = result.mirrored()
    assert mirrored.grades[RIGHT] is Grade.SEVERE
    assert mirrored.grades[LEFT] is Grade.NORMAL_MILD
    assert mirrored.points_mm[RIGHT].tolist() == [-20.0, -5.0, 7.0]
    assert mirrored.imputed.nonzero()[0].tolist() == [RIGHT]
    assert mirrored.reasons[RIGHT] == "no axial series"
    back = mirrored.mirrored()
    assert np.array_equal(back.probabilities, result.probabilities)
    assert np.array_equal(back.points_mm, result.points_mm)


def test_nobody_can_change_a_result() -> None:
    probabilities = np.tile([0.6, 0.3, 0.1], (25, 1))
    result = graded(probabilities=probabilities)
    probabilities[0] = 0.0
    assert result.probabilities[0, 0] == 0.6
    with pytest.raises(ValueError, match="read-only"):
        result.probabilities[0, 0] = 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.name = "b"


def test_a_refused_study_has_no_grade_anywhere_and_says_why() -> None:
    result = StudyGrades.refused("a", "a head, not a lumbar spine", {"device": "cpu"})
    assert result.status == "refused"
    assert result.grades == (None,) * 25
    assert np.isnan(result.confidence).all()
    assert set(result.reasons) == {"a head, not a lumbar spine"} == {result.reason}
    assert result.provenance == {"device": "cpu"}
    assert result.mirrored().grades == (None,) * 25


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probabilities": np.full((24, 3), 1 / 3)}, "probabilities has shape"),
        ({"probabilities": np.full((25, 3), 0.5)}, "sum to one"),
        ({"probabilities": np.full((25, 3), np.nan)}, "sum to one"),
        ({"probabilities": np.tile([1.5, -0.5, 0.0], (25, 1))}, "non-negative"),
        ({"imputed": np.zeros(24, dtype=np.bool_)}, "imputed has shape"),
        ({"points_mm": np.zeros((25, 2))}, "points_mm has shape"),
        ({"reasons": ("",) * 24}, "24 reasons for 25 targets"),
    ],
)
def test_an_invalid_result_cannot_be_made(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        graded(**change)
